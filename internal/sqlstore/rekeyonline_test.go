package sqlstore_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/sqlstore"
)

// testRekeyOnline changes the key there and back while nodes that have both keys add the same keys, change the
// configuration and follow what is new.
func testRekeyOnline(t *testing.T, database fresh) {
	dsn := database(t)
	before := filled(t, dsn, "one", 3000)
	const nodes, fresh = 3, 900
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers, followers sync.WaitGroup
	var mu sync.Mutex
	added := make(map[fleet.KeyID]string) // by all nodes
	changing := make(chan struct{})
	stores := make([]*sqlstore.Store, nodes)
	for i := range stores {
		stores[i] = migrated(t, dsn)
		if err := stores[i].Unlock(ctx, boxOf(t, stores[i], "two").Beside(boxOf(t, stores[i], "one"))); err != nil {
			t.Fatal(err)
		}
	}
	group := must(stores[0].Groups(ctx))(t)[2].ID
	for i, node := range stores {
		writers.Go(func() {
			<-changing
			for from := 0; from < fresh; from += 30 {
				values := make([]secret.Text, 0, 60)
				for j := from; j < from+30; j++ {
					values = append(values, secret.New(fmt.Sprintf("sk-online-%d", j)), secret.New(fmt.Sprintf("sk-value-%d", j)))
				}
				keys, _, err := node.AddKeys(ctx, group, values, false)
				if err != nil {
					t.Errorf("node %d: %v", i, err)
					return
				}
				mu.Lock()
				for _, k := range keys {
					added[k.ID] = k.Value.Reveal()
				}
				mu.Unlock()
				if _, err := node.SaveSettings(ctx, map[string]string{"proxy_keys": fmt.Sprintf("sk-client-%d", from)}, nil); err != nil {
					t.Errorf("node %d: %v", i, err)
				}
				g, err := node.Group(ctx, group)
				if err == nil {
					g.ProxyKeys = []secret.Text{secret.New(fmt.Sprintf("sk-group-%d", from))}
					_, err = node.UpdateGroup(ctx, g, 0)
				}
				if err != nil {
					t.Errorf("node %d: %v", i, err)
				}
			}
		})
	}
	followed := maps.Clone(before.keys)
	var revision int64 = -1
	catchUp := func(ctx context.Context) error {
		for more := true; more; {
			var delta fleet.KeyDelta
			var err error
			if delta, more, err = stores[0].KeysSince(ctx, max(0, revision), 0); err != nil {
				return err
			}
			for _, k := range delta.Changed {
				if known, ok := followed[k.ID]; ok && known != k.Value.Reveal() {
					t.Errorf("key %d became another value", k.ID)
				}
				followed[k.ID] = k.Value.Reveal()
			}
			revision = delta.UpTo
		}
		return nil
	}
	followers.Go(func() {
		<-changing
		for ctx.Err() == nil {
			if err := catchUp(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})

	s := migrated(t, dsn)
	once := sync.OnceFunc(func() { close(changing) })
	for _, change := range [][2]string{{"one", "two"}, {"two", "one"}, {"one", "two"}} {
		_, err := s.Rekey(ctx, sqlstore.Rekeying{
			From: boxOf(t, s, change[0]), To: boxOf(t, s, change[1]), Gentle: true,
			Begin: func(context.Context) error { once(); return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	writers.Wait()
	stop()
	followers.Wait()
	if err := catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}

	if len(added) != fresh {
		t.Errorf("%d keys were added, not %d", len(added), fresh)
	}
	maps.Copy(before.keys, added)
	after := contentsOf(t, openAt(t, dsn, "two"))
	if !maps.Equal(before.keys, after.keys) {
		t.Errorf("%d keys are not the %d there should be", len(after.keys), len(before.keys))
	}
	if !maps.Equal(followed, after.keys) {
		t.Errorf("who followed has %d keys of %d", len(followed), len(after.keys))
	}
	if got := after.settings["proxy_keys"]; !strings.HasPrefix(got, "sk-client-") {
		t.Error("the settings are lost")
	}
}

// TestRekeyLeavesNothingInClear looks for secrets in the file, which stood there in clear before.
func TestRekeyLeavesNothingInClear(t *testing.T) {
	dsn := sqliteFile(t)
	filled(t, dsn, "", 2000)
	s, err := sqlstore.Open(t.Context(), dsn, sqlstore.Options{Alone: true, Existing: true})
	if err != nil {
		t.Fatal(err)
	}
	holds := func() (found []string) {
		files := must(filepath.Glob(dsn + "*"))(t)
		for _, file := range files {
			content := string(must(os.ReadFile(file))(t))
			for _, part := range []string{"sk-value-", "sk-client-", "sk-group-", "sk-second"} {
				if strings.Contains(content, part) {
					found = append(found, filepath.Base(file)+" holds "+part)
				}
			}
		}
		return found
	}
	if len(holds()) == 0 {
		t.Error("nothing is found in clear at first")
	}
	if done := must(s.Rekey(t.Context(), sqlstore.Rekeying{From: boxOf(t, s, ""), To: boxOf(t, s, "one")}))(t); done.Traces {
		t.Error("it says that traces are left")
	}
	if found := holds(); len(found) > 0 {
		t.Error(found)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if found := holds(); len(found) > 0 {
		t.Errorf("after closing: %s", found)
	}
}

// TestAlone opens a file for one process, and finds it open.
func TestAlone(t *testing.T) {
	dsn := sqliteFile(t)
	filled(t, dsn, "one", 10)
	ctx := t.Context()
	node := openAt(t, dsn, "one")
	_, err := sqlstore.Open(ctx, dsn, sqlstore.Options{Alone: true})
	wantCode(t, err, fleet.CodeUnavailable)
	if err := node.Close(); err != nil {
		t.Fatal(err)
	}
	alone := must(sqlstore.Open(ctx, dsn, sqlstore.Options{Alone: true}))(t)
	must(alone.Install(ctx))(t)
	short, cancel := context.WithCancel(ctx)
	tried := make(chan error, 1)
	go func() {
		other, err := sqlstore.Open(short, dsn, sqlstore.Options{})
		if err == nil {
			_, err = other.Install(short)
			_ = other.Close()
		}
		tried <- err
	}()
	if err := unlock(alone, "one"); err != nil {
		t.Error(err)
	}
	waits := true
	select {
	case err := <-tried:
		wantCode(t, err, fleet.CodeUnavailable)
		waits = false
	default:
	}
	if err := alone.Close(); err != nil {
		t.Error(err)
	}
	cancel()
	if waits {
		if err := <-tried; err != nil { // it may have come in after alone had gone
			wantCode(t, err, fleet.CodeUnavailable)
		}
	}
	_, err = sqlstore.Open(ctx, dsn+"-not", sqlstore.Options{Existing: true})
	wantCode(t, err, fleet.CodeInvalid)
	if _, err := os.Stat(dsn + "-not"); !os.IsNotExist(err) {
		t.Error("a file was made")
	}
}
