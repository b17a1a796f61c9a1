package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gpt-load/internal/config"
	"gpt-load/internal/secret"
)

func TestEnsureAuthKeyMakesOneAndKeepsIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	key, path, created, err := config.EnsureAuthKey(dir)
	if err != nil || !created || path != filepath.Join(dir, "auth-key") {
		t.Fatalf("path %s, created %v, %v", path, created, err)
	}
	if !strings.HasPrefix(key.Reveal(), "sk-gptload-") || key.Len() < len("sk-gptload-")+32 || config.Weakness(key) != "" {
		t.Errorf("not a strong key: %d bytes, %s", key.Len(), config.Weakness(key))
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	again, _, created, err := config.EnsureAuthKey(dir)
	if err != nil || created || !again.Equal(key) {
		t.Errorf("the second start: created %v, same %v, %v", created, again.Equal(key), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".auth-key-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestEnsureAuthKeyOfManyStartsAtOnce(t *testing.T) {
	dir := t.TempDir()
	keys := make([]secret.Text, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			key, _, _, err := config.EnsureAuthKey(dir)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	wg.Wait()
	for _, key := range keys {
		if !key.Equal(keys[0]) {
			t.Fatal("two starts got different keys")
		}
	}
}

func TestEnsureAuthKeyRefusals(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "auth-key")
	if err := os.WriteFile(path, []byte("canary, canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, _, _, err := config.EnsureAuthKey(dir)
	if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "canary") {
		t.Errorf("an unusable file: %v", err)
	}
	if _, _, _, err := config.EnsureAuthKey(filepath.Join(path, "below-a-file")); err == nil {
		t.Error("a folder that cannot be made was accepted")
	}
}

func TestWeakness(t *testing.T) {
	for key, weak := range map[string]bool{
		"":                               true,
		"short-one":                      true,
		"sk-123456":                      true,
		"admin-password-123456":          true,
		"PasswordPassword1":              true,
		"aaaaaaaaaaaaaaaaaaaaaaaa":       true,
		"1212121212121212121212":         true,
		"sk-gptload-aaaaaaaaaaaaaaaa":    true,
		"9f86d081884c7d659a2feaa0c55ad0": false,
		"sk-gptload-k3jq7w2mzt5xn4vb6p":  false,
		"correct horse battery staple":   false,
	} {
		if why := config.Weakness(secret.New(key)); (why != "") != weak {
			t.Errorf("%q: %q, want weak %v", key, why, weak)
		}
	}
}

func TestWarningsNameTheEntryAndNotTheKey(t *testing.T) {
	c := mustLoad(t, nil, "AUTH_KEY=canary", "ENCRYPTION_KEY=canary")
	got := strings.Join(c.Warnings(), "\n")
	if !strings.Contains(got, "AUTH_KEY is weak: it has 6 bytes") || !strings.Contains(got, "ENCRYPTION_KEY is weak") || strings.Contains(got, "canary") {
		t.Error(got)
	}
	if got := mustLoad(t, nil).Warnings(); len(got) > 0 {
		t.Errorf("without keys: %v", got)
	}
}

func TestAuthKeysOfOtherPrograms(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := config.StoredAuthKey(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a stored key: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("looking for a key left %v, %v", entries, err)
	}
	made, path, _, err := config.EnsureAuthKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	stored, where, err := config.StoredAuthKey(dir)
	if err != nil || where != path || !stored.Equal(made) {
		t.Errorf("the stored key is %v of %s, %v", stored, where, err)
	}
	if read, err := config.AuthKeyFrom(path); err != nil || !read.Equal(made) {
		t.Errorf("read %v, %v", read, err)
	}
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("two words\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.AuthKeyFrom(bad); err == nil || !strings.Contains(err.Error(), bad) || strings.Contains(err.Error(), "two words") {
		t.Errorf("a key with a space: %v", err)
	}
}
