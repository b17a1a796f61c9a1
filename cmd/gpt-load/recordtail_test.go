package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"gpt-load/internal/testenv"
)

// chat sends one request through the proxy; its path names it in the record.
func (w *world) chat(t *testing.T, name string) {
	t.Helper()
	body := strings.NewReader(`{"model":"gpt-4.1-nano","messages":[{"role":"user","content":"Hello"}]}`)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.node.URL+"/proxy/openai/v1/chat/completions/"+name, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+testenv.AuthKey)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

// TestTail follows records over a restart of the node.
func TestTail(t *testing.T) {
	w := newWorld(t)
	w.withGroup(t, 0)
	w.must(t, "", "settings", "set", "request_log_write_interval_minutes=0")
	w.chat(t, "before")
	for !strings.Contains(w.must(t, "", "records", "list", "-o", "json"), "/before") {
		continue // until it is written
	}
	c := w.command(t, "records", "tail", "--interval", "100ms", "-o", "json")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines, notes := bufio.NewScanner(out), bufio.NewScanner(said)
	expect := func(from *bufio.Scanner, what string) {
		t.Helper()
		if !from.Scan() || !strings.Contains(from.Text(), what) {
			t.Fatalf("got %q, %v instead of %s", from.Text(), from.Err(), what)
		}
	}
	expect(lines, "/before")
	w.chat(t, "one")
	expect(lines, "/one")
	if err := w.node.Kill(); err != nil {
		t.Fatal(err)
	}
	expect(notes, "trying again")
	if err := w.node.Restart(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	expect(notes, "answers again")
	w.chat(t, "two")
	w.chat(t, "three")
	expect(lines, "/two")
	expect(lines, "/three")
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if lines.Scan() || notes.Scan() {
		t.Errorf("at the end it said %q and %q", lines.Text(), notes.Text())
	}
	if err := c.Wait(); err != nil {
		t.Errorf("Ctrl-C is how it ends: %v", err)
	}
	w.fails(t, 1, "no group", "", "records", "tail", "--group", "nothing")
}
