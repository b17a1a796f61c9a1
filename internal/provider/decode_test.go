package provider

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
)

func encode(t testing.TB, encoding string, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch encoding {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "deflate":
		w = zlib.NewWriter(&out)
	case "bare deflate":
		w, err = flate.NewWriter(&out, flate.BestCompression)
	case "br":
		w = brotli.NewWriter(&out)
	case "zstd":
		w, err = zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestDecodePrefix(t *testing.T) {
	plain := []byte(`{"error":{"message":"` + strings.Repeat("no quota left. ", 2000) + `"}}`)
	for _, encoding := range []string{"gzip", "deflate", "bare deflate", "br", "zstd"} {
		raw := encode(t, encoding, plain)
		h := http.Header{"Content-Encoding": {strings.TrimPrefix(encoding, "bare ")}}
		if got := DecodePrefix(h, raw, len(plain)+10); !bytes.Equal(got, plain) {
			t.Errorf("%s: %d bytes of %d", encoding, len(got), len(plain))
		}
		if got := DecodePrefix(h, raw, 100); !bytes.Equal(got, plain[:100]) {
			t.Errorf("%s with a limit: %q", encoding, got)
		}
		if got := DecodePrefix(h, raw[:len(raw)-3], 1<<20); !bytes.HasPrefix(plain, got) {
			t.Errorf("%s cut off: not a beginning", encoding)
		}
		if got := DecodePrefix(h, plain, 1<<20); !bytes.Equal(got, plain) {
			t.Errorf("%s on a plain body: %d bytes", encoding, len(got))
		}
	}
	twice := encode(t, "gzip", encode(t, "br", plain))
	if got := DecodePrefix(http.Header{"Content-Encoding": {"br, GZIP"}}, twice, 1<<20); !bytes.Equal(got, plain) {
		t.Errorf("two encodings: %d bytes", len(got))
	}
	for _, test := range []struct {
		header http.Header
		want   string
	}{
		{nil, "{}"},
		{http.Header{"Content-Encoding": {"identity"}}, "{}"},
		{http.Header{"Content-Encoding": {"compress"}}, ""},
		{http.Header{"Content-Encoding": {"gzip,gzip,gzip,gzip"}}, ""},
	} {
		if got := DecodePrefix(test.header, []byte("{}"), 10); string(got) != test.want {
			t.Errorf("%v: %q", test.header, got)
		}
	}
	if got := DecodePrefix(nil, nil, 10); len(got) != 0 {
		t.Errorf("nothing became %q", got)
	}
}

func FuzzDecodePrefix(f *testing.F) {
	for _, encoding := range []string{"gzip", "deflate", "br", "zstd"} {
		f.Add(encoding, encode(f, encoding, []byte(`{"error":"x"}`)))
	}
	f.Fuzz(func(t *testing.T, encoding string, raw []byte) {
		const limit = 4 << 10
		if got := DecodePrefix(http.Header{"Content-Encoding": {encoding}}, raw, limit); len(got) > limit {
			t.Errorf("%d bytes", len(got))
		}
	})
}
