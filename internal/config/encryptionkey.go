package config

import (
	"fmt"

	"gpt-load/internal/secret"
)

// EncryptionKeyFrom reads a passphrase of any file, as ENCRYPTION_KEY_FILE does.
func EncryptionKeyFrom(path string) (secret.Text, error) {
	text, err := readSecretFile(path)
	if err != nil {
		return secret.Text{}, err
	}
	key := secret.New(text)
	if err := CheckEncryptionKey(key); err != nil {
		return secret.Text{}, fmt.Errorf("the key of %s %w", path, err)
	}
	return key, nil
}

// CheckEncryptionKey says why a text cannot be an ENCRYPTION_KEY, in words that follow its name.
func CheckEncryptionKey(key secret.Text) error { return checkEncryptionKey(key) }

// noKey is the ENCRYPTION_KEY_OLD that stands for secrets in clear.
const noKey = "none"

// OldEncryption is the passphrase that secrets were sealed with before ENCRYPTION_KEY, empty for secrets in clear, and
// whether there is one: a node reads what either of the two sealed.
func (c Config) OldEncryption() (passphrase secret.Text, set bool) {
	if c.EncryptionKeyOld.Reveal() == noKey {
		return secret.Text{}, true
	}
	return c.EncryptionKeyOld, !c.EncryptionKeyOld.IsEmpty()
}
