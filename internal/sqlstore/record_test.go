package sqlstore_test

import (
	"bytes"
	"context"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
	"gpt-load/internal/sqlstore"
)

var noon = time.Date(2026, 3, 4, 12, 30, 0, 123456000, time.UTC)

// record is a successful request that started n seconds after noon.
func record(n int) fleet.RequestRecord {
	at := noon.Add(time.Duration(n) * time.Second)
	return fleet.RequestRecord{
		ID: fleet.NewRecordID(at), StartedAt: at, Duration: 1500 * time.Microsecond, TimeToFirstByte: time.Millisecond,
		GroupID: 1, GroupName: "main", ProxyKeyFingerprint: "aabbccddeeff", ClientIP: "192.0.2.1", UserAgent: "OpenAI/Go", Method: "POST",
		Path: "/v1/chat/completions", ModelAsked: "asked", ModelSent: "sent", Status: 200, Class: fleet.ClassOK, RequestBytes: 10, ResponseBytes: 20,
		Attempts: []fleet.Attempt{{GroupID: 1, KeyID: 7, KeyTail: "abcd", Upstream: "api.example.com:443", Status: 200, Class: fleet.ClassOK, Duration: time.Millisecond}},
	}
}

func write(t testing.TB, s *sqlstore.Store, position int64, records ...fleet.RequestRecord) {
	t.Helper()
	if err := s.WriteRecords(t.Context(), requestlog.Batch{Source: "spool", Position: position, Records: records}); err != nil {
		t.Fatal(err)
	}
}

func testRecords(t *testing.T, open opener) {
	t.Run("RoundTrip", func(t *testing.T) { testRecordRoundTrip(t, open(t)) })
	t.Run("Once", func(t *testing.T) { testRecordsOnce(t, open(t)) })
	t.Run("Canceled", func(t *testing.T) { testRecordsCanceled(t, open(t)) })
	t.Run("Poison", func(t *testing.T) { testPoisonousRecords(t, open(t)) })
	t.Run("Pages", func(t *testing.T) { testRecordPages(t, open(t)) })
	t.Run("Filters", func(t *testing.T) { testRecordFilters(t, open(t)) })
	t.Run("Retention", func(t *testing.T) { testRetention(t, open(t)) })
}

func testRecordRoundTrip(t *testing.T, s *sqlstore.Store) {
	want := record(0)
	want.ParentID, want.ParentName, want.Stream = 2, "all", true
	want.Status, want.Class, want.Error = 502, fleet.ClassUpstream, "it's \"broken\" \\ ? ?0 组"
	want.Attempts = append(want.Attempts, fleet.Attempt{GroupID: 3, KeyID: math.MaxInt64, Class: fleet.ClassUpstream, Reason: "refused <&> \u2028"})
	want.Capture = &fleet.BodyCapture{Request: []byte("\x00\xff{}"), Response: []byte{}, ResponseTruncated: true}
	empty := fleet.RequestRecord{ID: fleet.NewRecordID(noon)}
	write(t, s, 1, want, empty)
	got := must(s.Record(t.Context(), want.ID))(t)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("read  %+v\nwrote %+v", got, want)
	}
	if got := must(s.Record(t.Context(), empty.ID))(t); !reflect.DeepEqual(got, empty) {
		t.Errorf("read %+v", got)
	}
	page, _ := must2(s.Records(t.Context(), fleet.RecordQuery{Class: fleet.ClassUpstream}))(t)
	want.Capture = nil
	if len(page) != 1 || !reflect.DeepEqual(page[0], want) {
		t.Errorf("listed %+v", page)
	}
	_, err := s.Record(t.Context(), fleet.NewRecordID(noon))
	wantCode(t, err, fleet.CodeNotFound)
}

func testRecordsOnce(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	if got := must(s.Position(ctx, "spool"))(t); got != 0 {
		t.Errorf("a new source stands at %d", got)
	}
	a, b, c, d := record(0), record(1), record(2), record(3)
	a.Capture = &fleet.BodyCapture{Request: []byte("x")}
	write(t, s, 2, a, b, a)
	write(t, s, 2, a, b, c) // the same position: already there
	write(t, s, 1, c)
	write(t, s, 4, a, b, c, d) // overlaps: only what is new counts
	write(t, s, 9)
	if got := must(s.Position(ctx, "spool"))(t); got != 9 {
		t.Errorf("position %d", got)
	}
	page, _ := must2(s.Records(ctx, fleet.RecordQuery{}))(t)
	stats := must(s.Stats(ctx, fleet.StatsQuery{}))(t)
	if len(page) != 4 || stats.Total.Requests != 4 {
		t.Errorf("%d records, sums %+v", len(page), stats)
	}
	if err := s.WriteRecords(ctx, requestlog.Batch{Source: "another", Position: 1, Records: []fleet.RequestRecord{record(4)}}); err != nil {
		t.Fatal(err)
	}
	if got := must(s.Position(ctx, "spool"))(t); got != 9 {
		t.Errorf("another source moved the position to %d", got)
	}
	// A source that is forgotten and comes back begins anew, and what it sends again counts once.
	if n := must(s.ForgetSources(ctx, time.Now().Add(-time.Hour)))(t); n != 0 {
		t.Errorf("%d sources were forgotten too early", n)
	}
	for _, want := range []int{2, 0} {
		if n := must(s.ForgetSources(ctx, time.Now().Add(time.Hour)))(t); n != want {
			t.Errorf("%d sources were forgotten, want %d", n, want)
		}
	}
	if got := must(s.Position(ctx, "spool"))(t); got != 0 {
		t.Errorf("a source that was forgotten stands at %d", got)
	}
	write(t, s, 4, a, b, c, d)
	if stats = must(s.Stats(ctx, fleet.StatsQuery{}))(t); stats.Total.Requests != 5 {
		t.Errorf("afterwards the sums are %+v", stats)
	}
}

// testRecordsCanceled ends the context before and while a batch is written: it stands whole or not at all. A server that is
// told to commit and not listened to may do so all the same, a moment later even; the position tells.
func testRecordsCanceled(t *testing.T, s *sqlstore.Store) {
	const records = 1000
	batch := requestlog.Batch{Source: "spool", Position: 1}
	for i := range records {
		batch.Records = append(batch.Records, record(i))
	}
	for patience := time.Duration(0); ; patience = 3*patience/2 + 100*time.Microsecond {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		err := s.WriteRecords(ctx, batch)
		cancel()
		if err != nil {
			wantCode(t, err, fleet.CodeUnavailable)
		}
		before := must(s.Position(t.Context(), "spool"))(t)
		stats := must(s.Stats(t.Context(), fleet.StatsQuery{}))(t)
		page, _ := must2(s.Records(t.Context(), fleet.RecordQuery{Limit: records}))(t)
		if after := must(s.Position(t.Context(), "spool"))(t); after != before {
			return // it was committed between these reads
		}
		if want := before * records; stats.Total.Requests != want || int64(len(page)) != want || err == nil && before != 1 {
			t.Fatalf("after %v (%v): %d records, %d summed, position %d", patience, err, len(page), stats.Total.Requests, before)
		}
		if before == 1 {
			return
		}
	}
}

func testPoisonousRecords(t *testing.T, s *sqlstore.Store) {
	long := strings.Repeat("ü\x00\xff", 100_000)
	bad := fleet.RequestRecord{
		ID: fleet.NewRecordID(noon), StartedAt: time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC), Duration: -5, TimeToFirstByte: math.MaxInt64,
		GroupID: -1, GroupName: long, ParentID: math.MinInt64, ParentName: long, ProxyKeyFingerprint: long, ClientIP: long, UserAgent: long, Method: long, Path: long,
		ModelAsked: long, ModelSent: long, Status: math.MinInt32, Class: fleet.Class(long), Error: long, RequestBytes: -1, ResponseBytes: math.MaxInt64,
		Capture: &fleet.BodyCapture{Request: bytes.Repeat([]byte{0}, 3<<20)},
	}
	for range 500 {
		bad.Attempts = append(bad.Attempts, fleet.Attempt{KeyTail: long, Upstream: long, Class: fleet.Class(long), Reason: long, Duration: math.MinInt64})
	}
	late, zero, good := record(1), fleet.RequestRecord{}, record(2)
	late.StartedAt = time.Date(292277, 1, 1, 0, 0, 0, 0, time.UTC)
	write(t, s, 1, bad, late, zero, good)
	got := must(s.Record(t.Context(), bad.ID))(t)
	if !strings.HasPrefix(got.ModelAsked, "ü??ü") || len(got.ModelAsked) > 512 || len(got.Error) > 500 || len(got.Attempts) != 64 || got.Duration != 0 || got.RequestBytes != 0 {
		t.Errorf("cleaned to %.200v", got)
	}
	if len(got.Capture.Request) != 1<<20 || !got.Capture.RequestTruncated {
		t.Errorf("a body of %d bytes was kept", len(got.Capture.Request))
	}
	if got := must(s.Record(t.Context(), good.ID))(t); got.ModelAsked != "asked" {
		t.Errorf("the good one: %+v", got)
	}
	page, _ := must2(s.Records(t.Context(), fleet.RecordQuery{Model: long}))(t)
	if len(page) != 1 || page[0].ID != bad.ID {
		t.Errorf("looking for the odd model found %d records", len(page))
	}
}

func testRecordPages(t *testing.T, s *sqlstore.Store) {
	var all []fleet.RequestRecord
	for i := range 700 {
		r := record(i)
		if i%3 == 0 {
			r.ParentID, r.GroupID = 1, 0
		}
		all = append(all, r)
	}
	write(t, s, 1, all...)
	for _, q := range []fleet.RecordQuery{{Limit: 100}, {Limit: 99, GroupID: 1}, {Limit: 1000}} {
		want := len(all)
		for {
			page, next := must2(s.Records(t.Context(), q))(t)
			for _, r := range page {
				want--
				if r.ID != all[want].ID {
					t.Fatalf("%+v: out of order at %d", q, want)
				}
			}
			if q.Cursor = next; next == "" {
				break
			}
		}
		if want != 0 {
			t.Errorf("%d records were not shown", want)
		}
	}
	_, _, err := s.Records(t.Context(), fleet.RecordQuery{Cursor: "nonsense"})
	wantCode(t, err, fleet.CodeInvalid)
}

func testRecordFilters(t *testing.T, s *sqlstore.Store) {
	plain, odd := record(0), record(10)
	odd.GroupID, odd.ParentID, odd.Stream, odd.Status, odd.Class = 5, 6, true, 429, fleet.ClassLimited
	odd.ModelAsked, odd.ModelSent, odd.ProxyKeyFingerprint, odd.ClientIP = "o1", "o2", "ffffff", "2001:db8::1"
	odd.Error, odd.Path = "100%_Wrong!", "/v1/Odd"
	odd.Attempts = []fleet.Attempt{{KeyID: 77, KeyTail: `<"'\`}, {KeyID: 8, KeyTail: "ABCD", Reason: `"k":7,`}}
	write(t, s, 1, plain, odd)
	yes, no := true, false
	for name, c := range map[string]struct {
		q    fleet.RecordQuery
		want []fleet.RequestRecord
	}{
		"nothing":       {fleet.RecordQuery{}, []fleet.RequestRecord{odd, plain}},
		"from":          {fleet.RecordQuery{From: odd.StartedAt}, []fleet.RequestRecord{odd}},
		"from later":    {fleet.RecordQuery{From: odd.StartedAt.Add(time.Microsecond)}, nil},
		"to":            {fleet.RecordQuery{To: odd.StartedAt}, []fleet.RequestRecord{plain}},
		"to later":      {fleet.RecordQuery{To: odd.StartedAt.Add(time.Microsecond)}, []fleet.RequestRecord{odd, plain}},
		"group":         {fleet.RecordQuery{GroupID: 5}, []fleet.RequestRecord{odd}},
		"parent":        {fleet.RecordQuery{GroupID: 6}, []fleet.RequestRecord{odd}},
		"model asked":   {fleet.RecordQuery{Model: "o1"}, []fleet.RequestRecord{odd}},
		"model sent":    {fleet.RecordQuery{Model: "o2"}, []fleet.RequestRecord{odd}},
		"model case":    {fleet.RecordQuery{Model: "O1"}, nil},
		"status":        {fleet.RecordQuery{Status: 429}, []fleet.RequestRecord{odd}},
		"status range":  {fleet.RecordQuery{StatusFrom: 200, StatusTo: 299}, []fleet.RequestRecord{plain}},
		"class":         {fleet.RecordQuery{Class: fleet.ClassLimited}, []fleet.RequestRecord{odd}},
		"class ok":      {fleet.RecordQuery{Class: fleet.ClassOK}, []fleet.RequestRecord{plain}},
		"stream":        {fleet.RecordQuery{Stream: &yes}, []fleet.RequestRecord{odd}},
		"no stream":     {fleet.RecordQuery{Stream: &no}, []fleet.RequestRecord{plain}},
		"retried":       {fleet.RecordQuery{Retried: &yes}, []fleet.RequestRecord{odd}},
		"not retried":   {fleet.RecordQuery{Retried: &no}, []fleet.RequestRecord{plain}},
		"key":           {fleet.RecordQuery{KeyID: 7}, []fleet.RequestRecord{plain}},
		"another key":   {fleet.RecordQuery{KeyID: 77}, []fleet.RequestRecord{odd}},
		"tail":          {fleet.RecordQuery{KeyTail: "ABCD"}, []fleet.RequestRecord{odd}},
		"quoted tail":   {fleet.RecordQuery{KeyTail: `<"'\`}, []fleet.RequestRecord{odd}},
		"part of tail":  {fleet.RecordQuery{KeyTail: "BCD"}, nil},
		"proxy key":     {fleet.RecordQuery{ProxyKeyFingerprint: "ffffff"}, []fleet.RequestRecord{odd}},
		"ip":            {fleet.RecordQuery{ClientIP: "2001:db8::1"}, []fleet.RequestRecord{odd}},
		"error text":    {fleet.RecordQuery{Text: "%_wrong!"}, []fleet.RequestRecord{odd}},
		"path text":     {fleet.RecordQuery{Text: "v1/ODD"}, []fleet.RequestRecord{odd}},
		"id":            {fleet.RecordQuery{Text: odd.ID.String()}, []fleet.RequestRecord{odd}},
		"part of id":    {fleet.RecordQuery{Text: plain.ID.String()[20:]}, []fleet.RequestRecord{plain}},
		"no such text":  {fleet.RecordQuery{Text: "x%g"}, nil},
		"injection":     {fleet.RecordQuery{Text: "' OR 1=1 --", Model: "' OR 1=1 --"}, nil},
		"text and more": {fleet.RecordQuery{Text: "v1", Status: 200}, []fleet.RequestRecord{plain}},
		"odd bytes":     {fleet.RecordQuery{Text: "\x00\xff", Model: "\x00", ClientIP: "\xff", KeyTail: "\x00", Class: "\x00"}, nil},
	} {
		page, next := must2(s.Records(t.Context(), c.q))(t)
		if next != "" || !reflect.DeepEqual(ids(page), ids(c.want)) {
			t.Errorf("%s: found %v, want %v", name, ids(page), ids(c.want))
		}
	}
}

func ids(records []fleet.RequestRecord) []string {
	var list []string
	for _, r := range records {
		list = append(list, r.ID.String())
	}
	return list
}

func testRetention(t *testing.T, s *sqlstore.Store) {
	ctx := t.Context()
	var all []fleet.RequestRecord
	for i := range 300 {
		r := record(i)
		r.Capture = &fleet.BodyCapture{Request: bytes.Repeat([]byte("x"), 20_000)}
		all = append(all, r)
	}
	write(t, s, 1, all...)
	cut := all[250].StartedAt
	for _, want := range []int{100, 100, 50, 0} {
		if got := must(s.DeleteRecordsBefore(ctx, cut, 100))(t); got != want {
			t.Errorf("deleted %d, want %d", got, want)
		}
	}
	page, _ := must2(s.Records(ctx, fleet.RecordQuery{Limit: 1000}))(t)
	if len(page) != 50 {
		t.Errorf("%d records left", len(page))
	}
	if r := must(s.Record(ctx, all[250].ID))(t); r.Capture == nil {
		t.Error("a body that should stay is gone")
	}
	if stats := must(s.Stats(ctx, fleet.StatsQuery{}))(t); stats.Total.Requests != 300 {
		t.Errorf("retention changed the sums: %+v", stats)
	}
	if n := must(s.DeleteStatsBefore(ctx, noon))(t); n != 1 {
		t.Errorf("%d rows of statistics deleted", n)
	}
	if n := must(s.DeleteStatsBefore(ctx, noon))(t); n != 0 {
		t.Errorf("%d rows of statistics deleted", n)
	}
}
