package config

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gpt-load/internal/secret"
)

const (
	authKeyFile   = "auth-key"
	authKeyPrefix = "sk-gptload-"
	// authKeyRandom base32 characters carry 160 bits.
	authKeyRandom = 32
	strongKeyLen  = 16 // bytes; shorter keys are called weak
)

// EnsureAuthKey returns the auth key that is stored in the data folder, and makes a strong one when there is none yet.
// It also says where the key is stored and whether this call made it. The file is written whole or not at all, with
// mode 0600; of several processes that start at once, all return the key of the first.
func EnsureAuthKey(dataDir string) (key secret.Text, path string, created bool, err error) {
	path = filepath.Join(dataDir, authKeyFile)
	key, err = readAuthKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, path, false, err
	}
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return secret.Text{}, path, false, fmt.Errorf("making the data folder %s (DATA_DIR): %w", dataDir, cause(err))
	}
	key = secret.New(authKeyPrefix + (rand.Text() + rand.Text())[:authKeyRandom])
	err = writeNew(path, key.Reveal()+"\n")
	if errors.Is(err, fs.ErrExist) { // another process was first
		key, err = readAuthKey(path)
		return key, path, false, err
	}
	if err != nil {
		return secret.Text{}, path, false, fmt.Errorf("the generated AUTH_KEY cannot be kept in %s (DATA_DIR), which does not take a file: %w; make room, or set AUTH_KEY", dataDir, cause(err))
	}
	return key, path, true, nil
}

// StoredAuthKey returns the auth key that is stored in the data folder and where; it makes none. The error is
// fs.ErrNotExist when there is none.
func StoredAuthKey(dataDir string) (key secret.Text, path string, err error) {
	path = filepath.Join(dataDir, authKeyFile)
	key, err = readAuthKey(path)
	return key, path, err
}

// AuthKeyFrom reads the auth key of any file, as AUTH_KEY_FILE does.
func AuthKeyFrom(path string) (secret.Text, error) {
	text, err := readSecretFile(path)
	if err != nil {
		return secret.Text{}, err
	}
	key := secret.New(text)
	if err := checkAuthKey(key); err != nil {
		return secret.Text{}, fmt.Errorf("the auth key of %s %w", path, err)
	}
	return key, nil
}

func readAuthKey(path string) (secret.Text, error) {
	text, err := readSecretFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return secret.Text{}, err
	}
	key := secret.New(strings.TrimSpace(text))
	if err == nil {
		err = checkAuthKey(key)
	}
	if err != nil {
		return secret.Text{}, fmt.Errorf("the stored auth key is not usable: %w; remove %s to have a new one made, or set AUTH_KEY", err, path)
	}
	return key, nil
}

// writeNew puts a file of mode 0600 in place in one step; it fails with fs.ErrExist when there is one already.
func writeNew(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // CreateTemp gives mode 0600
	if err != nil {
		return cause(err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.WriteString(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link never replaces what is there.
	return os.Link(f.Name(), path)
}

// commonWords are what people type when they are asked for a key in a hurry.
var commonWords = []string{
	"admin", "password", "passwd", "secret", "letmein", "welcome", "qwerty", "changeme", "change-me", "default", "example",
	"123456", "111111", "abc123", "gpt-load", "gptload", "sk-test", "test", "root", "your-", "xxxx",
}

// Weakness says why a key is easy to guess, in words that follow "is weak:", and "" when it is not.
func Weakness(key secret.Text) string {
	s := strings.ToLower(key.Reveal())
	if len(s) < strongKeyLen {
		return fmt.Sprintf("it has %d bytes, fewer than %d", len(s), strongKeyLen)
	}
	// What stays of a key without its common words has to be strong enough by itself.
	rest := strings.TrimPrefix(s, authKeyPrefix)
	for _, word := range commonWords {
		if without := strings.ReplaceAll(rest, word, ""); without != rest && len(without) < strongKeyLen {
			return fmt.Sprintf("most of it is the common word %q", word)
		}
	}
	distinct := slices.Compact(slices.Sorted(slices.Values([]byte(rest))))
	if len(distinct) < strongKeyLen/2 {
		return fmt.Sprintf("it repeats %d characters", len(distinct))
	}
	return ""
}
