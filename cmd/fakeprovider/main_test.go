package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "script.json")
	if err := os.WriteFile(file, []byte(`[{"match":{"key":"sk-secret-0123456789"},"then":{"fault":"429-seconds"}}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	var done sync.WaitGroup
	done.Go(func() {
		defer func() { _ = in.Close() }()
		if err := run(ctx, []string{"-addr", "127.0.0.1:0", "-script", file, "-keys", "sk-secret-0123456789, other"}, in, io.Discard); err != nil {
			t.Error(err)
		}
	})
	lines := bufio.NewScanner(out)
	next := func() string {
		if !lines.Scan() {
			t.Fatal("nothing more was printed")
		}
		return lines.Text()
	}
	base, found := strings.CutPrefix(next(), "fakeprovider listening on ")
	if !found || !strings.Contains(next(), base+"/_help") {
		t.Fatalf("the first line must end in the address, not %q", base)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer sk-secret-0123456789")
	printed := make(chan string, 1)
	go func() { printed <- next() }()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if line := <-printed; response.StatusCode != http.StatusTooManyRequests || strings.Contains(line, "secret") || !strings.Contains(line, "429-seconds") {
		t.Errorf("status %d, line %q", response.StatusCode, line)
	}
	stop()
	for lines.Scan() { // to the end of the output
	}
	done.Wait()
}

func TestRunRefuses(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.json")
	if err := os.WriteFile(broken, []byte(`[{"then":{"fault":"nope"}}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"an argument":      {"serve"},
		"an unknown flag":  {"-port", "1"},
		"a missing script": {"-script", broken + "x"},
		"a broken script":  {"-script", broken},
		"a wrong address":  {"-addr", "here"},
	} {
		if err := run(t.Context(), args, io.Discard, io.Discard); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}
