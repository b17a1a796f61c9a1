package gptload1

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"gpt-load/internal/secret"
)

// The encryption of 1.x.
const (
	derivationSalt   = "gpt-load-encryption-v1"
	derivationRounds = 100_000
	nonceBytes       = 12
	tagBytes         = 16
)

// sealing says how a stored key value stands.
type sealing int

const (
	untold   sealing = iota // there is no value to tell by
	inClear                 // not encrypted
	opened                  // encrypted, and this passphrase opens it
	unopened                // encrypted, and this passphrase, or none, does not open it
)

// opener opens stored key values. The zero opener has no passphrase.
type opener struct{ aead cipher.AEAD }

func newOpener(passphrase secret.Text) (opener, error) {
	if passphrase.IsEmpty() {
		return opener{}, nil
	}
	key, err := pbkdf2.Key(sha256.New, passphrase.Reveal(), []byte(derivationSalt), derivationRounds, 32)
	if err != nil {
		return opener{}, fmt.Errorf("deriving the key of the 1.x database: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return opener{}, err
	}
	aead, err := cipher.NewGCM(block)
	return opener{aead: aead}, err
}

// open returns the clear value, and the stored one when it does not open. hash is the row's key_hash, empty in rows that
// are older than 1.1, when nothing was encrypted yet.
func (o opener) open(stored, hash string) (string, sealing) {
	if stored == "" {
		return "", untold
	}
	raw, looksSealed := sealedBytes(stored)
	if !looksSealed {
		return stored, inClear
	}
	if o.aead != nil {
		if plain, err := o.aead.Open(nil, raw[:nonceBytes], raw[nonceBytes:], nil); err == nil {
			return string(plain), opened
		}
	}
	// Some providers' keys are hexadecimal digits themselves: the digest tells.
	if digest := sha256.Sum256([]byte(stored)); hash == "" || hash == hex.EncodeToString(digest[:]) {
		return stored, inClear
	}
	return stored, unopened
}

// sealedBytes decodes what could be an encrypted value: hexadecimal digits of a nonce, at least one byte and a tag.
func sealedBytes(stored string) ([]byte, bool) {
	if len(stored) <= 2*(nonceBytes+tagBytes) {
		return nil, false
	}
	raw, err := hex.DecodeString(stored)
	return raw, err == nil
}
