package backup_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"gpt-load/internal/backup"
	"gpt-load/internal/fleet"
	"gpt-load/internal/keyfile"
	"gpt-load/internal/secret"
)

var oddKeys = []keyfile.Key{
	{Value: secret.New("sk-canary-plain"), State: fleet.KeyActive, Weight: 1},
	{Value: secret.New(`{"type":"service_account", "private_key":"canary, with \"all\": - # !"}`), State: fleet.KeyActive, Weight: 7, Notes: "two\nlines: #1", Tags: []string{"eu", "team-a", "ключ", "1.0", "true"}},
	{Value: secret.New("canary with spaces"), State: fleet.KeyInvalid, Reason: "invalid_api_key", Failures: 3, Weight: 1},
	{Value: secret.New("ключ-🔑-canary"), State: fleet.KeyDisabled, Reason: "disabled_by_operator", Weight: 100},
}

// withKeys is a file with keys, written over an earlier one or afresh.
func withKeys(t *testing.T, sealer *backup.Sealer, keys map[string][]keyfile.Key, order ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := backup.Write(&b, &backup.Document{}, sealer); err != nil {
		t.Fatal(err)
	}
	for _, group := range order {
		if err := backup.WriteKeys(&b, sealer, group, keys[group]); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func TestKeysRoundTrip(t *testing.T) {
	sealer, err := backup.NewSealer(passphrase)
	if err != nil {
		t.Fatal(err)
	}
	twice := []keyfile.Key{oddKeys[0], oddKeys[1], oddKeys[0]}
	file := withKeys(t, sealer, map[string][]keyfile.Key{"a": oddKeys, "c": twice}, "a", "b", "c")
	if bytes.Contains(file, []byte("canary")) {
		t.Fatalf("a key stands in the file:\n%s", file)
	}
	r := backup.NewReader(bytes.NewReader(file), passphrase)
	r.Remember()
	if _, err := r.Document(); err != nil {
		t.Fatal(err)
	}
	got := map[string][]keyfile.Key{}
	if err := r.EachKeys(func(group string, keys []keyfile.Key) error {
		got[group] = keys
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := map[string][]keyfile.Key{"a": oddKeys, "b": nil, "c": twice}; !reflect.DeepEqual(values(got), values(want)) {
		t.Errorf("got %+v from\n%s", values(got), file)
	}
	if again := withKeys(t, r.Sealer(), got, "a", "b", "c"); !bytes.Equal(again, file) {
		t.Errorf("a second export differs:\n%s\nand\n%s", file, again)
	}
}

// values makes keys comparable.
func values(groups map[string][]keyfile.Key) map[string][]string {
	out := map[string][]string{}
	for group, keys := range groups {
		out[group] = nil
		for _, k := range keys {
			out[group] = append(out[group], fmt.Sprintf("%q %s %q %d %d %q %q", k.Value.Reveal(), k.State, k.Reason, k.Failures, k.Weight, k.Notes, k.Tags))
		}
	}
	return out
}

func TestWrongKeys(t *testing.T) {
	for name, c := range map[string]struct{ document, says string }{
		"no group":            {"keys: [a]\n", "line 3: keys_of: is needed"},
		"unknown":             {"keys_of: a\nkeys: [{key: canary, wieght: 3}]\n", "line 4: keys[0].wieght: is not known"},
		"a group of settings": {"groups: []\n", "line 3: groups: is not known; there are keys, keys_of"},
		"not a list":          {"keys_of: a\nkeys: canary\n", "line 4: keys: must be a list"},
		"a weight":            {"keys_of: a\nkeys:\n  - key: canary\n    weight: 101\n", "line 5: keys[0]: weight must be a whole number from 1 to 100"},
		"no weight":           {"keys_of: a\nkeys:\n  - key: canary\n    weight: 0\n", "line 5: keys[0]: weight must be a whole number from 1 to 100"},
		"a state":             {"keys_of: a\nkeys: [{key: canary, state: canary}]\n", "line 4: keys[0]: state must be active, invalid or disabled"},
		"a tag":               {"keys_of: a\nkeys: [{key: canary, tags: [a b]}]\n", "line 4: keys[0]: each of the tags"},
		"empty":               {"keys_of: a\nkeys: ['']\n", "line 4: keys[0]: is empty"},
		"left out":            {"keys_of: a\nkeys:\n  - !omitted\n", "line 5: keys[0]: is no secret"},
		"too long":            {"keys_of: a\nkeys: [" + strings.Repeat("k", 5000) + "]\n", "line 4: keys[0]: is longer than 4096 bytes"},
		"not YAML":            {"keys_of: [\n", "this is not YAML"},
	} {
		t.Run(name, func(t *testing.T) {
			r := backup.NewReader(strings.NewReader("gpt_load_backup: 1\n---\n"+c.document), passphrase)
			if _, err := r.Document(); err != nil {
				t.Fatal(err)
			}
			_, _, err := r.NextKeys()
			var broken *backup.FileError
			if !errors.As(err, &broken) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

// BenchmarkKeys writes and reads files of 100,000 keys.
func BenchmarkKeys(b *testing.B) {
	const keys = 100_000
	sealer, err := backup.NewSealer(passphrase)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		reader, writer := io.Pipe()
		go func() {
			page := make([]keyfile.Key, backup.KeysPerDocument)
			err := backup.Write(writer, &backup.Document{}, sealer)
			for n := 0; n < keys && err == nil; n += len(page) {
				for i := range page {
					page[i] = keyfile.Key{Value: secret.New(fmt.Sprintf("sk-proj-%064d", n+i)), State: fleet.KeyActive, Weight: 1}
				}
				err = backup.WriteKeys(writer, sealer, "a", page)
			}
			_ = writer.CloseWithError(err) // always nil
		}()
		r := backup.NewReader(reader, passphrase)
		if _, err := r.Document(); err != nil {
			b.Fatal(err)
		}
		n := 0
		if err := r.EachKeys(func(_ string, page []keyfile.Key) error { n += len(page); return nil }); err != nil || n != keys {
			b.Fatal(n, err)
		}
	}
	b.ReportMetric(float64(keys*b.N)/b.Elapsed().Seconds(), "keys/s")
}
