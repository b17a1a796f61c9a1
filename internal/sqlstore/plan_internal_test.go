package sqlstore

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/uptrace/bun"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/testenv"
)

// planner collects the plan of every statement that reads.
type planner struct {
	db      *bun.DB
	explain string
	plans   map[string]string
}

func (p *planner) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

func (p *planner) AfterQuery(ctx context.Context, event *bun.QueryEvent) {
	if !strings.HasPrefix(event.Query, "SELECT") {
		return
	}
	rows, err := p.db.DB.QueryContext(ctx, p.explain+event.Query)
	if err != nil {
		p.plans[event.Query] = err.Error()
		return
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		p.plans[event.Query] = err.Error()
		return
	}
	values := make([]any, len(columns))
	for i := range values {
		values[i] = new(any)
	}
	for rows.Next() {
		detail := "unreadable"
		if rows.Scan(values...) == nil {
			detail, _ = (*values[len(values)-1].(*any)).(string) // the last column is the text on both databases
		}
		p.plans[event.Query] += detail + "\n"
	}
	if err := rows.Err(); err != nil {
		p.plans[event.Query] = err.Error()
	}
}

// TestPagesUseIndexes guards against a query that reads or sorts a whole table of keys or records for one page.
func TestPagesUseIndexes(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		s := openInternal(t)
		// A scan by an index is in the order of the page and stops when the page is full.
		pagesUseIndexes(t, s, "EXPLAIN QUERY PLAN ", regexp.MustCompile(`(?m)^SCAN \w+$|TEMP B-TREE`))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		s := openServer(t, testenv.Postgres(t).NewDatabase(t))
		// What small tables are best read by is out of reach, so that what is left for large ones shows.
		s.reader.SetMaxOpenConns(1)
		if _, err := s.reader.DB.ExecContext(t.Context(), "SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off"); err != nil {
			t.Fatal(err)
		}
		pagesUseIndexes(t, s, "EXPLAIN ", regexp.MustCompile(`Seq Scan on (provider_keys|request_records|hourly_stats|minute_stats|hourly_key_stats|key_usage|deleted_keys|audit_events)|Sort  `))
	})
}

func pagesUseIndexes(t *testing.T, s *Store, explain string, bad *regexp.Regexp) {
	t.Helper()
	ctx := t.Context()
	p := &planner{db: s.reader, explain: explain, plans: map[string]string{}}
	if _, err := s.reader.ExecContext(ctx, "SELECT 1"); err != nil {
		t.Fatal(err)
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// Something that is newer, for KeysSince to look at.
	group, err := s.CreateGroup(ctx, fleet.Group{Name: "g", Kind: fleet.KindStandard, Channel: fleet.ChannelOpenAI})
	check(err)
	_, _, err = s.AddKeys(ctx, group.ID, []secret.Text{secret.New("k")}, false)
	check(err)
	s.reader = s.reader.WithQueryHook(p)
	for _, q := range []fleet.KeyQuery{{}, {Group: 1}, {Group: 1, State: fleet.KeyInvalid}, {Value: secret.New("x")}, {Group: 1, Value: secret.New("x")}, {Group: 1, Cursor: "77"}} {
		_, _, err := s.Keys(ctx, q)
		check(err)
	}
	// As in a large group.
	s.smallGroup = 0
	filter := fleet.KeyFilter{Reason: "x", CreatedFrom: now(), CreatedTo: now(), UsedFrom: now()}
	for _, order := range fleet.KeySorts {
		for _, states := range [][]fleet.KeyState{nil, {fleet.KeyActive}, {fleet.KeyCooling}, {fleet.KeyInvalid, fleet.KeyDisabled}} {
			filter.States = states
			for _, q := range []fleet.KeyQuery{{Filter: fleet.KeyFilter{States: states}}, {Filter: filter}, {Filter: fleet.KeyFilter{NeverUsed: true}}} {
				q.Group, q.Sort = 1, order
				_, _, err := s.Keys(ctx, q)
				check(err)
				for _, q.Cursor = range []string{"0.5.77", "1.0.77"} {
					if _, _, err := s.Keys(ctx, q); fleet.CodeOf(err) != fleet.CodeInvalid { // there are walks without a second one
						check(err)
					}
				}
			}
		}
	}
	for _, which := range []fleet.KeySelection{
		{Group: 1},
		{Group: 1, State: fleet.KeyInvalid},
		{Group: 1, Filter: filter},
		{Group: 1, IDs: []fleet.KeyID{5, 6}},
		{Group: 1, Filter: fleet.KeyFilter{States: []fleet.KeyState{fleet.KeyCooling}}},
	} {
		for _, act := range []fleet.KeyAct{fleet.ActDelete, fleet.ActRestore} {
			edit := fleet.KeyEdit{Act: act}
			_, _, err := s.CountSelected(ctx, which, edit, 1000)
			check(err)
			_, err = s.SelectedKeys(ctx, which, edit, 5)
			check(err)
		}
		_, _, err := s.KeysAfter(ctx, which, 5, 500)
		check(err)
	}
	_, err = s.FindKeys(ctx, 1, []secret.Text{secret.New("x"), secret.New("y")})
	check(err)
	check(s.EachKey(ctx, 1, func([]fleet.Key) error { return nil }))
	check(s.EachKey(ctx, 0, func([]fleet.Key) error { return nil }))
	_, err = s.CountKeys(ctx, 1)
	check(err)
	_, _, err = s.KeysSince(ctx, 0, 0)
	check(err)
	_, err = s.KeyUsage(ctx, []fleet.KeyID{1, 2})
	check(err)
	cursor := fleet.NewRecordID(now()).String()
	for _, q := range []fleet.RecordQuery{
		{},
		{GroupID: 1},
		{GroupID: 1, Cursor: cursor},
		{Class: fleet.ClassUpstream},
		{From: now(), To: now()},
		{GroupID: 1, Class: fleet.ClassOK, From: now()},
		{ParentID: 1, Text: "x"},
		{Status: 429, ClientIP: "x"},
		{StatusFrom: 500, StatusTo: 599, Cursor: cursor},
		{Model: "x", From: now()},
		{GroupID: 1, KeyID: 7},
	} {
		_, _, err := s.Records(ctx, q)
		check(err)
	}
	for _, q := range []fleet.StatsQuery{
		{By: []fleet.StatsBy{fleet.StatsByTime}}, {By: []fleet.StatsBy{fleet.StatsByModel}, Step: fleet.StatsMinute}, {KeyID: 7, GroupID: 1},
	} {
		q.From, q.To = now(), now()
		_, err = s.Stats(ctx, q)
		check(err)
	}
	for _, q := range []audit.Query{
		{},
		{Kind: audit.KeyRested},
		{Actor: audit.System},
		{Noun: "group"},
		{Noun: "key", NounID: "7"},
		{Group: 1},
		{From: now(), To: now()},
		{Group: 1, Cursor: audit.NewID(now()).String()},
		{Kind: audit.KeyRested, Group: 1, From: now()},
		{Kind: audit.KeyRested, Group: 1},
		{Kind: audit.KeyRested, Actor: audit.System, To: now()},
		{Actor: audit.System, Group: 1, Noun: "key"},
		{NounID: "7", Cursor: audit.NewID(now()).String()},
	} {
		_, _, err := s.Audit(ctx, q)
		check(err)
	}
	_, err = s.PruneAudit(ctx, now(), now(), 1000)
	check(err)
	if len(p.plans) < 33 {
		t.Errorf("only %d statements seen", len(p.plans))
	}
	portions := regexp.MustCompile(`SCAN (u|found)\n`) // what an inner SELECT, which has a limit and a plan of its own, found
	sorts := regexp.MustCompile(`TEMP B-TREE|Sort  `)
	for query, plan := range p.plans {
		// One value has at most one key in each group: a few rows to sort. Sums read what they are of.
		if strings.Contains(query, "hash IN (") || strings.Contains(query, "GROUP BY") {
			plan = sorts.ReplaceAllString(plan, "")
		}
		plan = portions.ReplaceAllString(plan, "")
		if bad.MatchString(plan) {
			t.Errorf("%s\n%s", query, plan)
		}
	}
}
