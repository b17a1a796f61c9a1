package provider

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

// Bounds against bombs: the window that a zstd frame may ask for (RFC 8878 recommends 8 MiB for interchange) and
// the number of encodings on top of each other.
const (
	maxZstdWindow = 8 << 20
	maxEncodings  = 3
)

// DecodePrefix decodes the beginning of a body as Content-Encoding says (gzip, deflate, br, zstd, identity, several of them) and
// returns at most limit bytes. The raw bytes may be cut off anywhere: what could be decoded is returned. A body that is not in the
// encoding it claims is returned as it stands, since some edges answer plainly under the header of the original; an unknown
// encoding gives nil.
func DecodePrefix(h http.Header, raw []byte, limit int) []byte {
	encodings := contentEncodings(h)
	if len(encodings) > maxEncodings {
		return nil
	}
	for i := len(encodings) - 1; i >= 0; i-- { // the last one named was applied last
		decoded, known := decodeOne(encodings[i], raw, limit)
		if !known {
			return nil
		}
		raw = decoded
	}
	return raw[:min(len(raw), max(limit, 0))]
}

func contentEncodings(h http.Header) []string {
	var encodings []string
	for _, value := range h["Content-Encoding"] {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.ToLower(strings.TrimSpace(name)); name != "" && name != "identity" {
				encodings = append(encodings, name)
			}
		}
	}
	return encodings
}

func decodeOne(encoding string, raw []byte, limit int) (decoded []byte, known bool) {
	var r io.Reader
	var err error
	switch encoding {
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(bytes.NewReader(raw))
	case "deflate": // zlib by RFC 9110, bare deflate in the wild
		if r, err = zlib.NewReader(bytes.NewReader(raw)); err != nil {
			r, err = flate.NewReader(bytes.NewReader(raw)), nil
		}
	case "br":
		r = brotli.NewReader(bytes.NewReader(raw))
	case "zstd":
		var decoder *zstd.Decoder
		decoder, err = zstd.NewReader(bytes.NewReader(raw), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err == nil {
			defer decoder.Close()
			r = decoder
		}
	default:
		return nil, false
	}
	if err != nil {
		return raw, true
	}
	// An early end is the cut that was announced; any other error, that the body was something else.
	out, err := io.ReadAll(io.LimitReader(r, int64(max(limit, 0))))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && looksPlain(raw) {
		return raw, true
	}
	return out, true
}

// looksPlain reports whether a body that did not decode is readable as it stands.
func looksPlain(raw []byte) bool {
	trimmed := bytes.TrimLeft(raw, " \t\r\n")
	return len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[' || trimmed[0] == '<')
}
