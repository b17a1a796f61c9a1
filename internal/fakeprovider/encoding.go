package fakeprovider

import (
	"bytes"
	"fmt"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// compressor is what every encoder of a content coding can do.
type compressor interface {
	io.WriteCloser
	Flush() error
}

// newCompressor makes an encoder for a content coding of RFC 9110, section 8.4.1 (deflate is the zlib format
// there), RFC 7932 or RFC 8878. The name is one that Shape.check lets through.
func newCompressor(coding string, w io.Writer) compressor {
	switch coding {
	case "br":
		return brotli.NewWriterLevel(w, brotli.BestSpeed)
	case "zstd":
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err != nil {
			panic(err) // only for wrong options
		}
		return z
	case "deflate":
		return zlib.NewWriter(w)
	}
	return gzip.NewWriter(w)
}

// compress encodes the parts as one body.
func compress(coding string, parts ...[]byte) []byte {
	var out bytes.Buffer
	enc := newCompressor(coding, &out)
	for _, part := range parts {
		_, _ = enc.Write(part) // a bytes.Buffer takes everything
	}
	_ = enc.Close()
	return out.Bytes()
}

// decode undoes a request's content coding, up to limit bytes.
func decode(coding string, body []byte, limit int64) ([]byte, error) {
	var plain io.Reader
	source := bytes.NewReader(body)
	switch coding {
	case "identity":
		return body, nil
	case "gzip":
		z, err := gzip.NewReader(source)
		if err != nil {
			return nil, err
		}
		plain = z
	case "deflate":
		z, err := zlib.NewReader(source)
		if err != nil {
			return nil, err
		}
		plain = z
	case "br":
		plain = brotli.NewReader(source)
	case "zstd":
		z, err := zstd.NewReader(source, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		plain = z
	default:
		return nil, fmt.Errorf("content coding %q is unknown", coding)
	}
	return io.ReadAll(io.LimitReader(plain, limit))
}
