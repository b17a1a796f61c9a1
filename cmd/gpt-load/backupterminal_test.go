package main

import (
	"strings"
	"testing"
)

// TestBackupAtATerminal lets a person type the passphrase and answer.
func TestBackupAtATerminal(t *testing.T) {
	const passphrase = "canary of the backups 8f3b1a"
	w := newWorld(t)
	w.withGroup(t, 3)
	p := w.sitDown(t, 80, "export", "--keys", "--file", "b.yaml")
	p.sees("The passphrase of the backup: ")
	p.types(passphrase + "\r")
	p.sees("Once more: ")
	p.types("something else\r")
	if code, seen := p.leaves(); code != 2 || !strings.Contains(seen, "the two are not the same") {
		t.Errorf("exit code %d\n%s", code, seen)
	}
	p = w.sitDown(t, 80, "export", "--keys", "--file", "b.yaml")
	p.sees("The passphrase of the backup: ")
	p.types(passphrase + "\r")
	p.sees("Once more: ")
	p.types(passphrase + "\r")
	if code, seen := p.leaves(); code != 0 || !strings.Contains(seen, "with 5 keys in b.yaml") || strings.Contains(seen, "canary") {
		t.Errorf("exit code %d\n%s", code, seen)
	}
	w.must(t, "", "groups", "delete", "openai", "--yes")
	// An import asks only where the file is sealed, and before it looks at anything else.
	p = w.sitDown(t, 80, "import", "b.yaml")
	p.sees("The passphrase of the backup: ")
	p.types("another one\r")
	if code, seen := p.leaves(); code != 2 || !strings.Contains(seen, "the passphrase is wrong") {
		t.Errorf("exit code %d\n%s", code, seen)
	}
	p = w.sitDown(t, 80, "import", "b.yaml")
	p.sees("The passphrase of the backup: ")
	p.types(passphrase + "\r")
	p.sees("Make 1 change, add 5 keys? [y/N] ")
	p.types("y\n")
	code, seen := p.leaves()
	if code != 0 || !strings.Contains(seen, "\x1b[32m+ group openai\x1b[0m") || !strings.Contains(seen, "openai: 5 keys added") || strings.Contains(seen, "canary") {
		t.Errorf("exit code %d\n%s", code, seen)
	}
	p = w.sitDown(t, 80, "import", "gpt-load", "--from", "-", "--encryption-key", "-")
	p.sees("The DATABASE_DSN of the 1.x installation: ")
	p.types("postgres://me:canary-password@127.0.0.1:1/x?sslmode=disable\r")
	p.sees("The ENCRYPTION_KEY of the 1.x installation (empty for none): ")
	p.types("\r")
	if code, seen := p.leaves(); code != 1 || !strings.Contains(seen, "cannot be reached") || strings.Contains(seen, "canary") {
		t.Errorf("exit code %d\n%s", code, seen)
	}
}
