package sqlstore_test

import (
	"fmt"
	"testing"
	"time"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/sqlstore"
)

func testSessions(t *testing.T, open opener) {
	s := open(t)
	ctx := t.Context()
	at := time.Now().UTC().Truncate(time.Microsecond)
	login := func(id string, used time.Time) {
		t.Helper()
		session := fleet.AdminSession{ID: id, CreatedAt: used, UsedAt: used, ExpiresAt: used.Add(24 * time.Hour), ClientIP: "203.0.113.7", UserAgent: "agent\x00"}
		if err := s.OpenSession(ctx, session, used.Add(-2*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	login("ONE", at)
	got := must(s.Session(ctx, "ONE"))(t)
	if want := (fleet.AdminSession{ID: "ONE", CreatedAt: at, UsedAt: at, ExpiresAt: at.Add(24 * time.Hour), ClientIP: "203.0.113.7", UserAgent: "agent?"}); got != want {
		t.Errorf("session %+v, want %+v", got, want)
	}
	for _, id := range []string{"one", "ONE ", "", "x\x00", "TWO"} {
		_, err := s.Session(ctx, id)
		wantCode(t, err, fleet.CodeNotFound)
	}
	for _, used := range []time.Time{at.Add(time.Hour), at.Add(time.Minute)} { // news may come in any order
		if err := s.TouchSession(ctx, "ONE", used); err != nil {
			t.Fatal(err)
		}
	}
	if got := must(s.Session(ctx, "ONE"))(t); !got.UsedAt.Equal(at.Add(time.Hour)) {
		t.Errorf("used at %v", got.UsedAt)
	}
	if err := s.TouchSession(ctx, "GONE", at); err != nil {
		t.Error(err)
	}

	// A login forgets what is over.
	login("IDLE", at.Add(-3*time.Hour))
	login("EXPIRED", at.Add(-25*time.Hour))
	login("TWO", at.Add(time.Hour))
	if got := sessionIDs(t, s); got != "[ONE TWO]" {
		t.Errorf("sessions %s", got)
	}
	for want, id := range map[bool]string{true: "ONE", false: "GONE"} {
		if ended := must(s.EndSession(ctx, id))(t); ended != want {
			t.Errorf("ending %s: %v", id, ended)
		}
	}
	login("THREE", at.Add(time.Hour))
	if n := must(s.EndSessions(ctx))(t); n != 2 || sessionIDs(t, s) != "[]" {
		t.Errorf("%d sessions ended, left %s", n, sessionIDs(t, s))
	}
	if e := latest(t, s, audit.SessionsEnded); e.Count != 2 {
		t.Errorf("event %+v", e)
	}
	if n := len(events(t, s, audit.Query{Kind: audit.SessionClosed})); n != 1 {
		t.Errorf("%d sessions closed", n)
	}

	// There is a bound, and who was away longest makes room.
	for i := range 1003 {
		login(fmt.Sprintf("S%04d", i), at.Add(time.Duration(i)*time.Second))
	}
	all := must(s.Sessions(ctx))(t)
	if len(all) != 1000 || all[0].ID != "S1002" || all[999].ID != "S0003" {
		t.Errorf("%d sessions, from %s to %s", len(all), all[0].ID, all[len(all)-1].ID)
	}
}

func sessionIDs(t *testing.T, s *sqlstore.Store) string {
	t.Helper()
	ids := []string{}
	for _, session := range must(s.Sessions(t.Context()))(t) {
		ids = append(ids, session.ID)
	}
	return fmt.Sprint(ids)
}
