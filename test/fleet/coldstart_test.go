package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestColdStart starts a node again while neither the database nor Redis is there: it serves from its local copy, says so, and
// goes over to the database when that is back. What it answered meanwhile is recorded.
func TestColdStart(t *testing.T) {
	w := newWorld(t)
	w.mark(first, []int{follower}, limited(convergence))
	pause(t, 3*time.Second) // the copy follows within a second or two
	must(t, w.nodes[follower].Kill())
	must(t, w.store.Kill())
	must(t, w.redis.Kill())
	begun := time.Now()
	must(t, w.nodes[follower].Restart(t.Context()))
	t.Logf("ready %v after its start", time.Since(begun).Round(time.Millisecond))
	const requests = 100
	for range requests {
		text, err := w.echo(t.Context(), follower)
		must(t, err)
		if !strings.Contains(text, fmt.Sprint("mark-", w.marks)) {
			t.Fatalf("it does not have the last change: %s", text)
		}
	}
	self, err := w.self(t.Context(), follower)
	must(t, err)
	if !self.Ready || self.ServingFrom != "local copy" || self.RecordsWaiting != requests {
		t.Errorf("it says %+v", self)
	}
	answer, err := http.Get(w.nodes[follower].URL + "/readyz")
	must(t, err)
	text, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(text), "local copy") {
		t.Errorf("readiness says %s %s, %v", answer.Status, text, err)
	}
	must(t, w.store.Restart(t.Context()))
	must(t, w.redis.Restart(t.Context()))
	took := await(t, limited(convergence), "it serves from the database", func(ctx context.Context) error {
		self, err := w.self(ctx, follower)
		if err == nil && self.ServingFrom != "store" {
			err = fmt.Errorf("%+v", self)
		}
		return err
	})
	t.Logf("it serves from the database %v after that is back", took.Round(time.Millisecond))
	w.awaitWhole(10 * convergence)
	w.mark(follower, []int{first, second, follower}, limited(convergence))
	await(t, time.Minute, "its records are stored", func(ctx context.Context) error {
		text, err := w.store.SQL(ctx, database, `SELECT count(DISTINCT id) FROM request_records WHERE path = '/echo/probe';`)
		if n, notNumber := strconv.Atoi(strings.TrimSpace(text)); err == nil && (notNumber != nil || n < requests) {
			err = fmt.Errorf("%q of at least %d", text, requests)
		}
		return err
	})
}
