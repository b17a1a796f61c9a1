package backup

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"gpt-load/internal/secret"
)

// The tags of secret values.
const (
	sealedTag  = "!sealed"
	omittedTag = "!omitted"
)

// kind is the kind of a secret, to which its sealed form is bound.
type kind string

const (
	kindSetting     kind = "gpt-load backup setting"
	kindProxyKey    kind = "gpt-load backup proxy key"
	kindHeader      kind = "gpt-load backup header"
	kindProviderKey kind = "gpt-load backup provider key"
	kindCheck       kind = "gpt-load backup check"
)

const (
	saltBytes = 16
	checkText = "gpt-load"
)

// What can be wrong with the passphrase of a file.
var (
	ErrNoPassphrase    = errors.New("the file holds secrets sealed with a passphrase, and none is given")
	ErrWrongPassphrase = errors.New("the passphrase is wrong: the secrets of the file are sealed with another one")
)

// Sealer seals the secrets of one file.
type Sealer struct {
	box  *secret.Box
	salt []byte
	// known are sealed forms from an earlier file, by kind and text; each stands for one place.
	known map[string][]string
}

// NewSealer derives the key of a new file, which takes about 100 ms.
func NewSealer(passphrase secret.Text) (*Sealer, error) {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails
	return sealerWith(passphrase, salt)
}

func sealerWith(passphrase secret.Text, salt []byte) (*Sealer, error) {
	if passphrase.IsEmpty() {
		return nil, errors.New("the passphrase is empty")
	}
	box, err := secret.NewBox(passphrase, salt)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of the file: %w", err)
	}
	return &Sealer{box: box, salt: salt, known: make(map[string][]string)}, nil
}

// seal gives a secret the form that it had, or a new one.
func (s *Sealer) seal(k kind, text string) string {
	id := string(k) + "\x00" + text
	if forms := s.known[id]; len(forms) > 0 {
		s.known[id] = forms[1:]
		return forms[0]
	}
	return s.box.Seal(secret.New(text), string(k))
}

func (s *Sealer) open(k kind, sealed string) (string, error) {
	text, err := s.box.Open(sealed, string(k))
	switch {
	case errors.Is(err, secret.ErrOtherKey):
		return "", ErrWrongPassphrase
	case err != nil:
		return "", errors.New("the sealed text is damaged, or was sealed for another kind of secret")
	}
	return text.Reveal(), nil
}

// remember keeps the sealed form of a secret for the file that is written over this one.
func (s *Sealer) remember(k kind, text, sealed string) {
	id := string(k) + "\x00" + text
	s.known[id] = append(s.known[id], sealed)
}

func (s *Sealer) saltText() string { return base64.StdEncoding.EncodeToString(s.salt) }
