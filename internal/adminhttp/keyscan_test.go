package adminhttp

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"gpt-load/internal/fleet"
)

func TestScanKeys(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []scannedKey
	}{
		"nothing":        {"", nil},
		"separators":     {" ,;\t\r\n", nil},
		"one":            {"sk-1", []scannedKey{{line: 1, value: "sk-1"}}},
		"mixed":          {"a,b;c d\te\r\nf\n\n,g", []scannedKey{{line: 1, value: "a"}, {line: 1, value: "b"}, {line: 1, value: "c"}, {line: 1, value: "d"}, {line: 1, value: "e"}, {line: 2, value: "f"}, {line: 4, value: "g"}}},
		"mark":           {"\ufeff\n\nsk-1", []scannedKey{{line: 3, value: "sk-1"}}},
		"control":        {"sk\x00-1 ok", []scannedKey{{line: 1, value: "sk\x00-1", fault: "holds a control character, which no HTTP header can carry"}, {line: 1, value: "ok"}}},
		"not UTF-8":      {"\xff\xfe", []scannedKey{{line: 1, value: "\xff\xfe", fault: "is not UTF-8 text"}}},
		"too long":       {strings.Repeat("x", maxKeyBytes+1) + " ok", []scannedKey{{line: 1, fault: "is longer than 4096 bytes; is this a list of keys?"}, {line: 1, value: "ok"}}},
		"longest":        {strings.Repeat("x", maxKeyBytes), []scannedKey{{line: 1, value: strings.Repeat("x", maxKeyBytes)}}},
		"list":           {"\n[\"a b,c\", \" d \"]\n", []scannedKey{{line: 1, value: "a b,c"}, {line: 2, value: "d"}}},
		"list of others": {`[1, null, "", ["a"], "b"]`, []scannedKey{{line: 1, fault: "is not a JSON string"}, {line: 2, fault: "is not a JSON string"}, {line: 3, fault: "is empty"}, {line: 4, fault: "is not a JSON string"}, {line: 5, value: "b"}}},
		"empty list":     {"[]", nil},
	} {
		t.Run(name, func(t *testing.T) {
			for how, r := range map[string]io.Reader{"whole": strings.NewReader(c.text), "byte by byte": iotest.OneByteReader(strings.NewReader(c.text))} {
				var got []scannedKey
				err := scanKeys(r, func(k scannedKey) error { got = append(got, k); return nil })
				if err != nil || !slices.Equal(got, c.want) {
					t.Errorf("%s: got %+v, %v", how, got, err)
				}
			}
		})
	}
}

func TestScanKeysStops(t *testing.T) {
	broken := errors.New("the line broke")
	for name, text := range map[string]string{"text": "a b c", "list": `["a", "b", "c"]`} {
		n := 0
		err := scanKeys(strings.NewReader(text), func(scannedKey) error { n++; return broken })
		if !errors.Is(err, broken) || n != 1 {
			t.Errorf("%s: went on to key %d after an error, %v", name, n, err)
		}
		reader := io.MultiReader(strings.NewReader(text[:len(text)-1]), iotest.ErrReader(broken))
		if err := scanKeys(reader, func(scannedKey) error { return nil }); !errors.Is(err, broken) {
			t.Errorf("%s: the reader's error became %v", name, err)
		}
	}
}

func FuzzScanKeys(f *testing.F) {
	for _, seed := range []string{"", "a,b;c d\ne", `["a","b"]`, "[", `["`, "[1", "\ufeffx", "\xff\x00", "[\"a\"]x", strings.Repeat("x", 5000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var values []string
		line := 0
		err := scanKeys(strings.NewReader(text), func(k scannedKey) error {
			if k.line < line || k.line < 1 {
				t.Errorf("line %d after line %d", k.line, line)
			}
			line = k.line
			if k.fault == "" {
				if keyFault(k.value) != "" {
					t.Errorf("took %q", k.value)
				}
				values = append(values, k.value)
			}
			return nil
		})
		if err != nil && fleet.CodeOf(err) != fleet.CodeInvalid {
			t.Errorf("an error without remedy: %v", err)
		}
		if err != nil || len(values) == 0 {
			return
		}
		// What was found comes back the same from a JSON list of it.
		list, err := json.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		var again []string
		err = scanKeys(strings.NewReader(string(list)), func(k scannedKey) error { again = append(again, k.value); return nil })
		if err != nil || !slices.Equal(again, values) {
			t.Errorf("%q came back as %q, %v", values, again, err)
		}
	})
}
