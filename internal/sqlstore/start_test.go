package sqlstore_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"gpt-load/internal/fleet"
	"gpt-load/internal/sqlstore"
)

func testEncryptionKey(t *testing.T, database fresh) {
	ctx := t.Context()
	for name, c := range map[string]struct {
		first, second string
		says          string
	}{
		"wrong":      {"one", "two", "their"},
		"missing":    {"one", "", "ENCRYPTION_KEY is not set"},
		"unexpected": {"", "two", "stored in clear"},
	} {
		t.Run(name, func(t *testing.T) {
			dsn := database(t)
			s := openAt(t, dsn, c.first)
			late := openAt(t, dsn, c.first)
			if err := unlock(s, c.second); err != nil {
				t.Fatalf("while no secret is stored any passphrase is taken: %v", err)
			}
			// One that was there before must not write what the others cannot read.
			_, err := late.SaveSettings(ctx, map[string]string{"proxy_keys": "sk-client"}, nil)
			wantCode(t, err, fleet.CodeInvalid)
			if err == nil || !strings.Contains(err.Error(), "ENCRYPTION_KEY") {
				t.Error(err)
			}
			if err := unlock(s, c.first); err != nil {
				t.Fatal(err)
			}
			must(s.SaveSettings(ctx, map[string]string{"proxy_keys": "sk-client"}, nil))(t)
			install := must(s.Install(ctx))(t)
			if (install.KeyID == "") != (c.first == "") {
				t.Errorf("key id %q", install.KeyID)
			}

			again := migrated(t, dsn)
			err = unlock(again, c.second)
			wantCode(t, err, fleet.CodeInvalid)
			for _, part := range []string{"ENCRYPTION_KEY", "ENCRYPTION_KEY_FILE", c.says, install.KeyID} {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("the message does not say %q: %v", part, err)
				}
			}
			_, err = again.Settings(ctx)
			wantCode(t, err, fleet.CodeUnavailable) // still locked
			if err := unlock(again, c.first); err != nil {
				t.Error(err)
			}
			if got := must(again.Settings(ctx))(t); got["proxy_keys"] != "sk-client" {
				t.Errorf("read back %v", got)
			}
		})
	}
}

// childDSN makes the test binary a node that starts: see testStartAtOnce.
const childDSN = "SQLSTORE_TEST_CHILD"

func TestChildNode(t *testing.T) {
	dsn := os.Getenv(childDSN)
	if dsn == "" {
		return // it only does something for testStartAtOnce
	}
	s := openAt(t, dsn, passphrase)
	must(s.CreateGroup(t.Context(), standard(fmt.Sprintf("p%d", os.Getpid()))))(t)
}

// testStartAtOnce lets several processes begin on the same empty database.
func testStartAtOnce(t *testing.T, database fresh) {
	dsn := database(t)
	const processes = 4
	var wg sync.WaitGroup
	for range processes {
		wg.Go(func() {
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChildNode$")
			child.Env = append(os.Environ(), childDSN+"="+dsn)
			if out, err := child.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	wg.Wait()
	s := openAt(t, dsn, passphrase)
	if groups := must(s.Groups(t.Context()))(t); len(groups) != processes {
		t.Errorf("%d groups of %d processes", len(groups), processes)
	}
	if revision := must(s.Revision(t.Context()))(t); revision != processes {
		t.Errorf("revision %d after %d writes", revision, processes)
	}
}

// testSchema is about nodes and databases of different versions.
func testSchema(t *testing.T, database fresh) {
	ctx, dsn := t.Context(), database(t)
	core, logs := observer.New(zap.InfoLevel)
	follower := must(sqlstore.Open(ctx, dsn, sqlstore.Options{Logger: zap.New(core)}))(t)
	t.Cleanup(func() { _ = follower.Close() })
	_, err := follower.Revisions(ctx)
	wantCode(t, err, fleet.CodeUnavailable)
	if err == nil || !strings.Contains(err.Error(), "IS_SLAVE=false") {
		t.Errorf("a database without tables: %v", err)
	}
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	wantCode(t, follower.AwaitSchema(short), fleet.CodeUnavailable)

	waited := make(chan error, 1)
	go func() { waited <- follower.AwaitSchema(ctx) }()
	candidate := migrated(t, dsn)
	if err := <-waited; err != nil {
		t.Errorf("waiting for the schema: %v", err)
	}
	for _, entry := range logs.All() {
		if !strings.Contains(entry.Message, "waiting for a candidate") {
			t.Errorf("logged %q", entry.Message)
		}
	}
	if logs.Len() == 0 || logs.Len() > 2 { // once for each of the two waits
		t.Errorf("%d lines were logged", logs.Len())
	}
	if err := candidate.Migrate(ctx); err != nil {
		t.Errorf("migrating twice: %v", err)
	}
	if err := unlock(candidate, ""); err != nil {
		t.Error(err)
	}

	rawSQL(t, dsn, "INSERT INTO schema_migrations (version, name, applied_at) VALUES (9999, '9999_future', 0)")
	for name, err := range map[string]error{"candidate": candidate.Migrate(ctx), "follower": follower.AwaitSchema(ctx)} {
		wantCode(t, err, fleet.CodeInvalid)
		if err == nil || !strings.Contains(err.Error(), "9999") || !strings.Contains(err.Error(), "newer GPT-Load") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
