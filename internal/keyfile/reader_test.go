package keyfile_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keyfile"
)

// read lists the entries of a file as "line:number value" or "line:number !fault".
func read(file io.Reader, o keyfile.Options) (entries []string, format keyfile.Format, err error) {
	r, err := keyfile.NewReader(file, o)
	if err != nil {
		return nil, "", err
	}
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			if _, again := r.Next(); !errors.Is(again, io.EOF) {
				err = fmt.Errorf("after the end came %w", again)
				return entries, r.Format(), err
			}
			return entries, r.Format(), nil
		}
		if err != nil {
			return entries, r.Format(), err
		}
		text := fmt.Sprintf("%d:%d %s", e.Line, e.Number, e.Key.Value.Reveal())
		if e.Fault != "" {
			text = fmt.Sprintf("%d:%d !%s", e.Line, e.Number, e.Fault)
		}
		entries = append(entries, text)
	}
}

const account = `{"type":"service_account","private_key":"-----BEGIN\nabc, def","client_email":"a@b"}`

var long = strings.Repeat("x", keyfile.MaxValueBytes)

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		told   keyfile.Format
		format keyfile.Format
		want   []string
	}{
		"nothing":         {"", "", keyfile.Text, nil},
		"separators":      {" ,;\t\r\n", "", keyfile.Text, nil},
		"one":             {"sk-1", "", keyfile.Text, []string{"1:1 sk-1"}},
		"any separator":   {"a,b;c d\te\r\nf\n\n,g", "", keyfile.Text, []string{"1:1 a", "1:2 b", "1:3 c", "1:4 d", "1:5 e", "2:6 f", "4:7 g"}},
		"byte order mark": {"\ufeff\n\nsk-1", "", keyfile.Text, []string{"3:1 sk-1"}},
		"comments":        {"# mine\nsk-1 # old\n#sk-2\n##\n#", "", keyfile.Text, []string{"2:1 sk-1", "3:2 #sk-2"}},
		"quoted":          {`"my key, with \"all\"", "b"` + "\nc", "", keyfile.Text, []string{`1:1 my key, with "all"`, "1:2 b", "2:3 c"}},
		"quote left open": {"\"a b\nc", "", keyfile.Text, []string{"1:1 !begins like a JSON string or object but is not one of at most 64 KiB", "2:2 c"}},
		"quote and more":  {"\"a\"b c\nd", "", keyfile.Text, []string{"1:1 !begins like a JSON string or object but is not one of at most 64 KiB", "2:2 d"}},
		"brace left open": {"{\na\nb", "", keyfile.Text, []string{"1:1 !begins like a JSON string or object but is not one of at most 64 KiB", "2:2 a", "3:3 b"}},
		"control":         {"sk\x01-1 ok", "", keyfile.Text, []string{"1:1 !holds a control character, which no HTTP header can carry", "1:2 ok"}},
		"not UTF-8":       {"ok \xfe\xfe", "", keyfile.Text, []string{"1:1 ok", "1:2 !is not UTF-8 text"}},
		"too long":        {long + "x ok", "", keyfile.Text, []string{"1:1 !is longer than 4096 bytes; is this a list of keys?", "1:2 ok"}},
		"longest":         {long, "", keyfile.Text, []string{"1:1 " + long}},
		"service account": {strings.ReplaceAll(account, ",\"", ",\n  \"") + "\nsk-1", "", keyfile.Text, []string{"1:1 " + account, "4:2 sk-1"}},
		"objects":         {`{"key":" a b "}` + "\n" + `{"kee":"x"}` + "\n" + `{"key":1}`, "", keyfile.Text, []string{"1:1 a b", `2:2 !is a JSON object without a member "key", and no credential with a member "type" or "private_key"`, "3:3 !the member key has a value of the wrong kind"}},
		"unknown member":  {`{"key":"a","wieght":3}`, "", keyfile.Text, []string{"1:1 !has a member that is none of key, weight, notes, tags, state, reason, evidence, failures, cooldowns"}},
		"what lists show": {`{"id":"7","key":"a","state":"active","created_at":"x"}`, "", keyfile.Text, []string{"1:1 a"}},
		"lines":           {" a b,c \n\n" + long + "x\n\"q\"\n[1]", keyfile.Lines, keyfile.Lines, []string{"1:1 a b,c", "3:2 !is longer than 4096 bytes; is this a list of keys?", `4:3 "q"`, "5:4 [1]"}},
		"JSON lines":      {"\"a b\"\n{\"key\":\"c\",\"weight\":0}\nsk-1 sk-2\n\"d\"", keyfile.JSONLines, keyfile.JSONLines, []string{"1:1 a b", "2:2 !weight must be a whole number from 1 to 100", "3:3 !is neither a JSON string nor a JSON object", "4:4 d"}},
		"array":           {"\n[\"a b,c\",\n \" d \", {\"key\": \"e\"}]\n", "", keyfile.JSON, []string{"2:1 a b,c", "3:2 d", "3:3 e"}},
		"array of others": {`[1, null, "", ["a"], true, "b"]`, "", keyfile.JSON, []string{"1:1 !is neither a JSON string nor a JSON object", "1:2 !is neither a JSON string nor a JSON object", "1:3 !is empty", "1:4 !is neither a JSON string nor a JSON object", "1:5 !is neither a JSON string nor a JSON object", "1:6 b"}},
		"empty array":     {"[\n]", "", keyfile.JSON, nil},
		"CSV":             {"key,weight,notes,tags\r\nsk-1,3,\"two\r\nlines, \"\"quoted\"\"\",a b\r\n\r\nsk-2,,,\r\n", "", keyfile.CSV, []string{"2:1 sk-1", "5:2 sk-2"}},
		"CSV of one":      {"Key\nsk-1\n\nsk-2", "", keyfile.CSV, []string{"2:1 sk-1", "4:2 sk-2"}},
		"CSV semicolons":  {"notes;key\n\"a;b\";sk-1\n", "", keyfile.CSV, []string{"2:1 sk-1"}},
		"CSV row faults": {"key,weight,state,tags,cooldowns\nsk-1,101,,,\nsk-2\n,1,,,\nsk-3,x,,,\nsk-4,,gone,,\nsk-5,,,a!,\nsk-6,,,,soon\nsk-7,1,active,a,[]\n", "", keyfile.CSV, []string{
			"2:1 !weight must be a whole number from 1 to 100", "3:2 !has 1 cells where the first line has 5; put cells that hold a delimiter between quotation marks", "4:3 !is empty",
			"5:4 !weight must be a whole number from 1 to 100", "6:5 !state must be active, invalid or disabled", "7:6 !each of the tags must have 1 to 40 letters, digits and - _ . :",
			`8:7 !cooldowns must be a JSON array such as [{"model":"gpt-4o","until":"2026-01-02T03:04:05Z","reason":"rate_limited"}]`, "9:8 sk-7",
		}},
		"text with a comma": {"sk-1,sk-2\nsk-3", "", keyfile.Text, []string{"1:1 sk-1", "1:2 sk-2", "2:3 sk-3"}},
	} {
		t.Run(name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{
				"whole": strings.NewReader(c.text), "byte by byte": iotest.OneByteReader(strings.NewReader(c.text)), "gzip": bytes.NewReader(zipped(t, c.text)),
			} {
				got, format, err := read(r, keyfile.Options{Format: c.told})
				if err != nil || format != c.format || !slices.Equal(got, c.want) {
					t.Errorf("%s: got %q as %s, %v; want %q as %s", how, got, format, err, c.want, c.format)
				}
			}
		})
	}
}

func zipped(t testing.TB, text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := io.WriteString(w, text)
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadFileFaults(t *testing.T) {
	whole := zipped(t, strings.Repeat("sk-0123456789 sk-abcdef\n", 10_000))
	damaged := slices.Clone(whole)
	damaged[len(damaged)-6] ^= 0xff // of the checksum
	for name, c := range map[string]struct {
		text    string
		told    keyfile.Format
		entries int
		want    string // in the error
	}{
		"UTF-16":            {"\xff\xfea\x00", "", 0, "UTF-16"},
		"spreadsheet":       {"PK\x03\x04rest", "", 0, "spreadsheet"},
		"binary":            {"a\x00b", "", 0, "binary data"},
		"gzip of gzip":      {string(zipped(t, string(zipped(t, "a")))), "", 0, "compressed more than once"},
		"gzip cut off":      {string(whole[:len(whole)-20]), "", -1, "no end"},
		"gzip damaged":      {string(damaged), "", -1, "damaged"},
		"array cut off":     {`["a", "b`, "", 1, "no end"},
		"array without end": {`["a", "b"`, "", 2, "no end"},
		"array and more":    {`["a"] "b"`, "", 1, "behind the end"},
		"no array":          {`["a" "b"]`, "", 1, "line 1: the file begins like a JSON array but is not one"},
		"trailing comma":    {`["a",]`, "", 1, "not one from here on"},
		"told array":        {"sk-1", keyfile.JSON, 0, "not a JSON array"},
		"wrong column":      {"key,secret-team\na,b", "", 0, "column 2 of the CSV file"},
		"no column":         {"sk-1,sk-2\nsk-3,sk-4", keyfile.CSV, 0, "names no column key"},
		"two columns":       {"key,key\na,b", "", 0, "two columns of the CSV file are called key"},
		"CSV empty":         {"\n", keyfile.CSV, 0, "empty"},
		"CSV quote open":    {"key,notes\na,\"b\nc,d\n", "", 0, "line 2: a quotation mark"},
		"too large":         {strings.Repeat("sk-1\n", 300_000), "", -1, "more than 1 MiB of text"},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := read(strings.NewReader(c.text), keyfile.Options{Format: c.told, MaxBytes: 1 << 20})
			if err == nil || !strings.Contains(err.Error(), c.want) || c.entries >= 0 && len(got) != c.entries {
				t.Errorf("%d entries and %v, want %d and an error with %q", len(got), err, c.entries, c.want)
			}
			if code := fleet.CodeOf(err); code != fleet.CodeInvalid && code != fleet.CodeTooLarge {
				t.Errorf("code %s", code)
			}
			if err != nil && (strings.Contains(err.Error(), "sk-") || strings.Contains(err.Error(), "secret-team")) {
				t.Errorf("the error repeats what stands in the file: %v", err)
			}
		})
	}
}

func TestReadersOwnError(t *testing.T) {
	broken := errors.New("the line broke")
	for _, text := range []string{"a b c", `["a", "b", "c"]`, "key,notes\na,b\n", `{"key":"a"}`} {
		for cut := range len(text) {
			_, _, err := read(io.MultiReader(strings.NewReader(text[:cut]), iotest.ErrReader(broken)), keyfile.Options{})
			if !errors.Is(err, broken) {
				t.Errorf("%q: the reader's error became %v", text[:cut], err)
			}
		}
	}
}

// TestBomb reads what 1 MiB of gzip unfolds to, 1 GiB and more, up to the bound, in little memory.
func TestBomb(t *testing.T) {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	block := bytes.Repeat([]byte("x"), 1<<20)
	for range 200 {
		if _, err := w.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _, err = read(&b, keyfile.Options{MaxBytes: 100 << 20})
	runtime.ReadMemStats(&after)
	if fleet.CodeOf(err) != fleet.CodeTooLarge {
		t.Errorf("got %v", err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20 {
		t.Errorf("%d bytes were allocated for one long entry", used)
	}
}

// TestOpenBraces is about files in which every line begins an object that never ends.
func TestOpenBraces(t *testing.T) {
	for _, line := range []string{"{\n", "{\"a\":[\n", "{x\n", "{}{\n"} {
		got, _, err := read(strings.NewReader(strings.Repeat(line, 20_000)), keyfile.Options{})
		if err != nil || len(got) != 20_000 {
			t.Errorf("%q: %d entries, %v", line, len(got), err)
		}
	}
}

func BenchmarkRead(b *testing.B) {
	var text strings.Builder
	for range 100_000 {
		fmt.Fprintf(&text, "sk-proj-%032x\n", rand.Uint64()) // #nosec G404 -- no secret
	}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		r, err := keyfile.NewReader(strings.NewReader(text.String()), keyfile.Options{})
		for n := 0; err == nil; n++ {
			_, err = r.Next()
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
	}
}
