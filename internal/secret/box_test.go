package secret_test

import (
	"errors"
	"strings"
	"testing"

	"gpt-load/internal/secret"
)

var salt = []byte("0123456789abcdef")

func newBox(tb testing.TB, passphrase string) *secret.Box {
	tb.Helper()
	box, err := secret.NewBox(secret.New(passphrase), salt)
	if err != nil {
		tb.Fatal(err)
	}
	return box
}

func TestBoxOpensWhatItSealed(t *testing.T) {
	for _, passphrase := range []string{"", "correct horse"} {
		box := newBox(t, passphrase)
		for _, plain := range []string{"", "sk-1", "with:colons:v1:", "ключ 🔑 \"'\\", strings.Repeat("x", 10_000)} {
			sealed := box.Seal(secret.New(plain), "here")
			opened, err := box.Open(sealed, "here")
			if err != nil || opened.Reveal() != plain {
				t.Errorf("passphrase %q: %d bytes came back as %d: %v", passphrase, len(plain), opened.Len(), err)
			}
			if passphrase != "" && len(plain) > 3 && strings.Contains(sealed, plain) {
				t.Errorf("the sealed text holds the plain one: %s", sealed)
			}
		}
	}
}

func TestBoxSaysWhyItDoesNotOpen(t *testing.T) {
	box, other, plain := newBox(t, "one"), newBox(t, "two"), newBox(t, "")
	sealed := box.Seal(secret.New("sk-value"), "here")
	clear := plain.Seal(secret.New("sk-value"), "here")
	last := sealed[len(sealed)-2]
	changed := sealed[:len(sealed)-2] + string(last^1) + sealed[len(sealed)-1:]
	for name, c := range map[string]struct {
		box    *secret.Box
		sealed string
		place  string
		want   error
	}{
		"other passphrase":    {other, sealed, "here", secret.ErrOtherKey},
		"no passphrase":       {plain, sealed, "here", secret.ErrOtherKey},
		"clear text":          {box, clear, "here", secret.ErrOtherKey},
		"moved":               {box, sealed, "there", secret.ErrBroken},
		"cut":                 {box, sealed[:20], "here", secret.ErrBroken},
		"changed":             {box, changed, "here", secret.ErrBroken},
		"empty":               {box, "", "here", secret.ErrBroken},
		"later version":       {box, "v9:abc:def", "here", secret.ErrBroken},
		"not base64":          {box, "v1:" + box.KeyID() + ":%%%%", "here", secret.ErrBroken},
		"id without a cipher": {plain, "v1::AAAA", "here", secret.ErrBroken},
	} {
		if _, err := c.box.Open(c.sealed, c.place); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		} else if strings.Contains(err.Error(), "sk-value") {
			t.Errorf("%s: the secret stands in the error", name)
		}
	}
}

func TestDerivedKeysDependOnPassphraseAndSalt(t *testing.T) {
	value := secret.New("sk-value")
	elsewhere, err := secret.NewBox(secret.New("one"), []byte("fedcba9876543210"))
	if err != nil {
		t.Fatal(err)
	}
	clearElsewhere, err := secret.NewBox(secret.Text{}, []byte("fedcba9876543210"))
	if err != nil {
		t.Fatal(err)
	}
	boxes := []*secret.Box{newBox(t, "one"), newBox(t, "two"), newBox(t, ""), elsewhere, clearElsewhere}
	hashes, ids := map[string]bool{}, map[string]bool{}
	for _, box := range boxes {
		hash := box.Hash(value)
		if len(hash) != 64 || !strings.HasPrefix(hash, box.Fingerprint(value)) || len(box.Fingerprint(value)) != 12 {
			t.Errorf("hash %q, fingerprint %q", hash, box.Fingerprint(value))
		}
		if box.Encrypted() != (box.KeyID() != "") {
			t.Errorf("encrypted %v with key id %q", box.Encrypted(), box.KeyID())
		}
		hashes[hash], ids[box.KeyID()] = true, true
	}
	if len(hashes) != 5 || len(ids) != 4 {
		t.Errorf("%d different digests and %d key ids, want 5 and 4", len(hashes), len(ids))
	}
	again := newBox(t, "one")
	if again.Hash(value) != boxes[0].Hash(value) || again.KeyID() != boxes[0].KeyID() {
		t.Error("the same passphrase and salt gave other keys")
	}
	if _, err := secret.NewBox(secret.New("one"), salt[:15]); err == nil {
		t.Error("a short salt was taken")
	}
}

// TestSealedFormIsStable guards databases that exist: a change of any derivation parameter makes them unreadable.
func TestSealedFormIsStable(t *testing.T) {
	const sealed = "v1:5329f211:suyAkwo1dBsfSIMXJAWOo5U0JfXH5bnPH93Zj1OMt/eZC5y8"
	box := newBox(t, "correct horse")
	opened, err := box.Open(sealed, "here")
	if err != nil || opened.Reveal() != "sk-value" {
		t.Errorf("a text sealed by an earlier version does not open: %v", err)
	}
	if got, want := box.Fingerprint(secret.New("sk-value")), "be72f5c70ab4"; got != want {
		t.Errorf("fingerprint %s, want %s", got, want)
	}
	if got, want := newBox(t, "").Fingerprint(secret.New("sk-value")), "f674c7f511b7"; got != want {
		t.Errorf("fingerprint without a passphrase %s, want %s", got, want)
	}
}

func FuzzOpen(f *testing.F) {
	box := newBox(f, "fuzz")
	f.Add(box.Seal(secret.New("sk-value"), "here"))
	f.Add("v0:plain")
	f.Add("v1:" + box.KeyID() + ":")
	f.Add("v1:")
	f.Add(":::")
	f.Fuzz(func(t *testing.T, sealed string) {
		if _, err := box.Open(sealed, "elsewhere"); err == nil {
			t.Errorf("%q opened", sealed)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	box := newBox(b, "bench")
	sealed := box.Seal(secret.New("sk-"+strings.Repeat("a", 48)), "here")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := box.Open(sealed, "here"); err != nil {
			b.Fatal(err)
		}
	}
}

func TestTwoBoxesSideBySide(t *testing.T) {
	older, newer, clear, stranger := newBox(t, "one"), newBox(t, "two"), newBox(t, ""), newBox(t, "three")
	both := newer.Beside(older)
	for _, from := range []*secret.Box{older, newer} {
		opened, err := both.Open(from.Seal(secret.New("sk-value"), "here"), "here")
		if err != nil || opened.Reveal() != "sk-value" {
			t.Errorf("key id %q: %v", from.KeyID(), err)
		}
		if _, err := both.Open(from.Seal(secret.New("sk-value"), "here"), "there"); !errors.Is(err, secret.ErrBroken) {
			t.Errorf("key id %q, moved: %v", from.KeyID(), err)
		}
	}
	for _, from := range []*secret.Box{clear, stranger} {
		if _, err := both.Open(from.Seal(secret.New("sk-value"), "here"), "here"); !errors.Is(err, secret.ErrOtherKey) {
			t.Errorf("key id %q: %v", from.KeyID(), err)
		}
	}
	if sealed := both.Seal(secret.New("sk-value"), "here"); !newer.Sealed(sealed) || older.Sealed(sealed) || clear.Sealed(sealed) {
		t.Errorf("sealed as %s", sealed)
	}
	if both.Hash(secret.New("a")) != newer.Hash(secret.New("a")) || both.KeyID() != newer.KeyID() {
		t.Error("it digests as another box")
	}
	if other := both.Other(); other.KeyID() != older.KeyID() || other.Other().KeyID() != newer.KeyID() || newer.Other() != nil {
		t.Error("the boxes are not those side by side")
	}
	if opened, err := newer.Beside(clear).Open(clear.Seal(secret.New("sk-value"), ""), ""); err != nil || opened.Reveal() != "sk-value" {
		t.Error(err)
	}
	if newer.Beside(older).Beside(nil).Other() != nil {
		t.Error("nil beside a box is something")
	}
}
