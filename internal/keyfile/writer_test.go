package keyfile_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keyfile"
	"gpt-load/internal/secret"
)

func write(t testing.TB, format keyfile.Format, keys []keyfile.Key) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := keyfile.NewWriter(&b, format)
	if err != nil {
		t.Fatal(err)
	}
	for i := range keys {
		if err := w.Write(&keys[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func keysOf(t testing.TB, file []byte) []keyfile.Key {
	t.Helper()
	r, err := keyfile.NewReader(bytes.NewReader(file), keyfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var keys []keyfile.Key
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return keys
		}
		if err != nil || e.Fault != "" {
			t.Fatalf("line %d: %s %v", e.Line, e.Fault, err)
		}
		keys = append(keys, e.Key)
	}
}

var until = time.Date(2026, 3, 4, 5, 6, 7, 123456000, time.UTC)

var samples = []keyfile.Key{
	{Value: secret.New("key")},
	{Value: secret.New("sk-plain"), Weight: 1, State: fleet.KeyActive},
	{
		Value: secret.New(`with "all", of; it`), Weight: 100, Notes: "two\r\nlines, <b>\"é\"</b>\n", Tags: []string{"team:a", "eu-1"}, State: fleet.KeyInvalid,
		Reason: "invalid_api_key", Evidence: `Incorrect API key; "sk-****"`, Failures: 3,
		Cooldowns: []fleet.Cooldown{{Model: "gpt-4o", Until: until, Reason: "rate_limited"}, {Until: until.Add(time.Hour), Reason: "insufficient_quota"}},
	},
	{Value: secret.New(account), State: fleet.KeyDisabled, Reason: "disabled_by_operator"},
	{Value: secret.New("#")},
	{Value: secret.New("{")},
	{Value: secret.New("[1]")},
	{Value: secret.New(`"`)},
	{Value: secret.New("é key")},
}

func TestRoundTrip(t *testing.T) {
	for _, format := range []keyfile.Format{keyfile.CSV, keyfile.JSON, keyfile.JSONLines, keyfile.Text} {
		for _, keys := range [][]keyfile.Key{nil, samples[:1], samples, {samples[6]}} {
			file := write(t, format, keys)
			got := keysOf(t, file)
			if again := write(t, format, got); !bytes.Equal(again, file) {
				t.Errorf("%s: the second export differs:\n%s\n%s", format, file, again)
			}
			want := keys
			if format == keyfile.Text {
				want = nil
				for _, k := range keys {
					want = append(want, keyfile.Key{Value: k.Value})
				}
			}
			if !same(got, want) {
				t.Errorf("%s: got %+v, want %+v", format, got, want)
			}
		}
	}
	if _, err := keyfile.NewWriter(io.Discard, keyfile.Lines); fleet.CodeOf(err) != fleet.CodeInvalid {
		t.Errorf("lines cannot hold every key, and are written: %v", err)
	}
}

// same compares values in clear, too.
func same(a, b []keyfile.Key) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		x, y := a[i], b[i]
		if x.Value.Reveal() != y.Value.Reveal() {
			return false
		}
		x.Value, y.Value = secret.Text{}, secret.Text{}
		if !reflect.DeepEqual(x, y) {
			return false
		}
	}
	return true
}

// FuzzRead reads anything: it ends, entries are in order and within their bounds, and what was read can be written and read
// again.
func FuzzRead(f *testing.F) {
	for _, format := range []keyfile.Format{keyfile.CSV, keyfile.JSON, keyfile.JSONLines, keyfile.Text} {
		f.Add(write(f, format, samples), "")
	}
	for _, text := range []string{
		"", "a,b;c\n", "# x\n\"a b\" {\"key\":\"c\"}", "{\n\"type\": \"x\"}", "[\"a\",{\"key\":\"b\",\"weight\":3}]", "key;notes\n\"a\"\"b\";\"c\nd\"\n", "\ufeffa",
		"[1,[2],{},null]", "\"a\n", "{\"key\":\"a\",\"cooldowns\":[{\"until\":\"2026-01-02T03:04:05Z\"}]}", "[\"a\"]x", "\x1f\x8b",
	} {
		f.Add([]byte(text), "")
		f.Add([]byte(text), "lines")
		f.Add([]byte(text), "csv")
	}
	f.Add(zipped(f, "sk-1\nsk-2"), "jsonl")
	f.Fuzz(func(t *testing.T, file []byte, format string) {
		r, err := keyfile.NewReader(bytes.NewReader(file), keyfile.Options{Format: keyfile.Format(format), MaxBytes: 1 << 20})
		if err != nil {
			return
		}
		var keys []keyfile.Key
		line := 1
		for n := 1; ; n++ {
			e, err := r.Next()
			if err != nil {
				if fleet.CodeOf(err) == fleet.CodeInternal && !errors.Is(err, io.EOF) {
					t.Fatal(err)
				}
				break
			}
			if e.Number != n || e.Line < line {
				t.Fatalf("entry %d of line %d came as number %d, behind line %d", n, e.Line, e.Number, line)
			}
			line = e.Line
			if e.Fault == "" {
				if keyfile.ValueFault(e.Key.Value.Reveal()) != "" || strings.TrimSpace(e.Key.Value.Reveal()) != e.Key.Value.Reveal() {
					t.Fatalf("a key that cannot be one: %q", e.Key.Value.Reveal())
				}
				keys = append(keys, e.Key)
			}
		}
		for _, format := range []keyfile.Format{keyfile.CSV, keyfile.JSON, keyfile.JSONLines, keyfile.Text} {
			first := write(t, format, keys)
			if again := write(t, format, keysOf(t, first)); !bytes.Equal(again, first) {
				t.Fatalf("%s: %q became %q", format, first, again)
			}
		}
	})
}
