package sqlstore_test

import (
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
	"gpt-load/internal/sqlstore"
)

func testStats(t *testing.T, open opener) {
	t.Run("Sums", func(t *testing.T) { testSums(t, open(t)) })
	t.Run("Bound", func(t *testing.T) { testModelBound(t, open(t)) })
	t.Run("Percentiles", func(t *testing.T) { testPercentiles(t, open(t)) })
	t.Run("Keys", func(t *testing.T) { testKeyStats(t, open(t)) })
	t.Run("KeyBound", func(t *testing.T) { testKeyBound(t, open(t)) })
	t.Run("Minutes", func(t *testing.T) { testMinutes(t, open(t)) })
	t.Run("Trim", func(t *testing.T) { testTrimStats(t, open(t)) })
	t.Run("AtOnce", func(t *testing.T) { testStatsAtOnce(t, open(t)) })
}

func testSums(t *testing.T, s *sqlstore.Store) {
	classes := []fleet.Class{
		fleet.ClassOK, fleet.ClassClient, fleet.ClassCanceled, fleet.ClassKeyDead, fleet.ClassKeyExhausted, fleet.ClassKeySuspect,
		fleet.ClassModelDenied, fleet.ClassLimited, fleet.ClassUpstream, fleet.ClassGateway,
	}
	var batch []fleet.RequestRecord
	for i, class := range classes {
		r := record(i)
		r.Class = class
		batch = append(batch, r)
	}
	next := record(3600)
	next.ModelSent, next.GroupID, next.ParentID, next.TimeToFirstByte = "other", 2, 9, 0
	next.Attempts = append(next.Attempts, fleet.Attempt{}, fleet.Attempt{})
	write(t, s, 1, batch[:5]...)
	write(t, s, 2, append(batch[5:], next)...)

	first := noon.Truncate(time.Hour)
	sum := fleet.StatsRow{
		Requests: 10, Succeeded: 1, ClientFaults: 2, Failed: 7, RequestBytes: 100, ResponseBytes: 200,
		DurationSum: 15 * time.Millisecond, FirstBytes: 10, FirstByteSum: 10 * time.Millisecond,
	}
	last := fleet.StatsRow{Requests: 1, Succeeded: 1, Retries: 2, RequestBytes: 10, ResponseBytes: 20, DurationSum: 1500 * time.Microsecond}
	hours := []fleet.StatsRow{sum, last}
	hours[0].Start, hours[1].Start = first, first.Add(time.Hour)
	groups := []fleet.StatsRow{sum, last}
	groups[0].GroupID, groups[0].Model, groups[0].ProxyKeyFingerprint = 1, "sent", "aabbccddeeff"
	groups[1].GroupID, groups[1].Model, groups[1].ProxyKeyFingerprint = 2, "other", "aabbccddeeff"
	byGroup := []fleet.StatsBy{fleet.StatsByGroup}
	ofGroup := func(row fleet.StatsRow, id fleet.GroupID) fleet.StatsRow {
		row.GroupID = id
		return row
	}
	for name, c := range map[string]struct {
		q    fleet.StatsQuery
		want []fleet.StatsRow
	}{
		"hours":      {fleet.StatsQuery{By: []fleet.StatsBy{fleet.StatsByTime}}, hours},
		"from":       {fleet.StatsQuery{From: first.Add(time.Hour), By: []fleet.StatsBy{fleet.StatsByTime}}, hours[1:]},
		"to":         {fleet.StatsQuery{To: first.Add(time.Hour), By: []fleet.StatsBy{fleet.StatsByTime}}, hours[:1]},
		"asked":      {fleet.StatsQuery{GroupID: 9, By: byGroup}, []fleet.StatsRow{ofGroup(last, 2)}},
		"served":     {fleet.StatsQuery{GroupID: 1, By: byGroup}, []fleet.StatsRow{ofGroup(sum, 1)}},
		"model":      {fleet.StatsQuery{Model: "other", By: byGroup}, []fleet.StatsRow{ofGroup(last, 2)}},
		"parent":     {fleet.StatsQuery{ParentID: 9, By: byGroup}, []fleet.StatsRow{ofGroup(last, 2)}},
		"proxy key":  {fleet.StatsQuery{ProxyKey: "nobody", By: byGroup}, []fleet.StatsRow{}},
		"everything": {fleet.StatsQuery{By: []fleet.StatsBy{fleet.StatsByGroup, fleet.StatsByModel, fleet.StatsByProxyKey}}, groups},
		"none":       {fleet.StatsQuery{GroupID: 77, By: byGroup}, []fleet.StatsRow{}},
	} {
		if got := must(s.Stats(t.Context(), c.q))(t).Rows; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got, c.want)
		}
	}
	all := sum
	all.Requests, all.Succeeded, all.Retries, all.RequestBytes, all.ResponseBytes, all.DurationSum = 11, 2, 2, 110, 220, 16500*time.Microsecond
	if got := must(s.Stats(t.Context(), fleet.StatsQuery{}))(t); !reflect.DeepEqual(got, fleet.Stats{Total: all, Rows: []fleet.StatsRow{}}) {
		t.Errorf("in all %+v, want %+v", got, all)
	}
	_, err := s.Stats(t.Context(), fleet.StatsQuery{By: []fleet.StatsBy{"1; DROP TABLE"}})
	wantCode(t, err, fleet.CodeInvalid)
}

func testModelBound(t *testing.T, s *sqlstore.Store) {
	const models = 5000
	n := 0
	for position := int64(1); n < models; position++ {
		var batch []fleet.RequestRecord
		for range 1000 {
			r := record(0)
			r.ModelSent = fmt.Sprintf("made-up-%05d", n)
			batch = append(batch, r)
			n++
		}
		write(t, s, position, append(batch, record(0))...)
	}
	byModel := must(s.Stats(t.Context(), fleet.StatsQuery{By: []fleet.StatsBy{fleet.StatsByModel}}))(t).Rows
	var total, known int64
	for _, row := range byModel {
		total += row.Requests
		if row.Model == "sent" {
			known = row.Requests
		}
	}
	if len(byModel) > 2001 || total != models+5 || known != 5 {
		t.Errorf("%d rows, %d requests, %d of the model that was there first", len(byModel), total, known)
	}
}

// testPercentiles compares with the percentiles of the durations themselves, over several batches, hours and models, and
// with a batch that comes again.
func testPercentiles(t *testing.T, s *sqlstore.Store) {
	var durations, firstBytes []time.Duration
	for position := int64(1); position <= 6; position++ {
		var batch []fleet.RequestRecord
		for i := range 500 {
			n := int(position)*500 + i
			r := record(n * 3)
			r.ModelSent = fmt.Sprintf("model-%d", n%3)
			r.Duration = time.Duration(n*n%100_000) * time.Millisecond
			r.TimeToFirstByte = r.Duration / 4
			durations = append(durations, r.Duration)
			if r.TimeToFirstByte > 0 {
				firstBytes = append(firstBytes, r.TimeToFirstByte)
			}
			batch = append(batch, r)
		}
		write(t, s, position, batch...)
		write(t, s, position, batch...)
		write(t, s, position+100, batch[:10]...) // known by their ids
		if err := s.WriteRecords(t.Context(), requestlog.Batch{Source: fmt.Sprint("again", position), Position: 1, Records: batch}); err != nil {
			t.Fatal(err)
		}
	}
	q := fleet.StatsQuery{Latencies: true, By: []fleet.StatsBy{fleet.StatsByTime, fleet.StatsByModel}}
	got := must(s.Stats(t.Context(), q))(t)
	if got.Total.Requests != 3000 || len(got.Rows) != 12 {
		t.Errorf("%d requests in %d rows", got.Total.Requests, len(got.Rows))
	}
	near := func(what string, got, want time.Duration) {
		t.Helper()
		if got < want*955/1000 || got > want*1045/1000 {
			t.Errorf("%s: %v, want %v within 4.4 %%", what, got, want)
		}
	}
	for _, c := range []struct {
		what   string
		values []time.Duration
		got    fleet.Percentiles
	}{{"duration", durations, got.Total.Duration}, {"first byte", firstBytes, got.Total.FirstByte}} {
		slices.Sort(c.values)
		at := func(percent int) time.Duration { return c.values[(len(c.values)*percent+99)/100-1] }
		near(c.what+" p50", c.got.P50, at(50))
		near(c.what+" p95", c.got.P95, at(95))
		near(c.what+" p99", c.got.P99, at(99))
	}
}

func testKeyStats(t *testing.T, s *sqlstore.Store) {
	retried := record(0)
	retried.Duration, retried.TimeToFirstByte = 3*time.Second, 2*time.Second
	retried.Attempts = []fleet.Attempt{
		{GroupID: 1, KeyID: 7, Class: fleet.ClassLimited, Duration: time.Second}, {GroupID: 2, KeyID: 8, Class: fleet.ClassOK, Duration: 2 * time.Second},
	}
	without := record(1)
	without.Attempts = nil
	write(t, s, 1, retried, without, record(2))
	q := fleet.StatsQuery{By: []fleet.StatsBy{fleet.StatsByKey}, Latencies: true}
	rows := must(s.Stats(t.Context(), q))(t).Rows
	if len(rows) != 2 {
		t.Fatalf("%+v", rows)
	}
	for i := range rows {
		rows[i].Duration, rows[i].FirstByte = fleet.Percentiles{P50: rows[i].Duration.P50.Round(time.Second)}, fleet.Percentiles{P99: rows[i].FirstByte.P99.Round(time.Second)}
	}
	want := []fleet.StatsRow{
		{KeyID: 7, Requests: 2, Succeeded: 1, Failed: 1, RequestBytes: 10, ResponseBytes: 20, DurationSum: time.Second + time.Millisecond, FirstBytes: 1, FirstByteSum: time.Millisecond},
		{
			KeyID: 8, Requests: 1, Succeeded: 1, Retries: 1, RequestBytes: 10, ResponseBytes: 20, DurationSum: 2 * time.Second, FirstBytes: 1, FirstByteSum: 2 * time.Second,
			Duration: fleet.Percentiles{P50: 2 * time.Second}, FirstByte: fleet.Percentiles{P99: 2 * time.Second},
		},
	}
	if !reflect.DeepEqual(rows, want) {
		t.Errorf(" got %+v\nwant %+v", rows, want)
	}
	one := must(s.Stats(t.Context(), fleet.StatsQuery{KeyID: 8, GroupID: 2}))(t)
	if one.Total.Requests != 1 {
		t.Errorf("of one key %+v", one)
	}
	for _, q := range []fleet.StatsQuery{
		{KeyID: 8, Model: "sent"},
		{KeyID: 8, ProxyKey: "x"},
		{KeyID: 8, ParentID: 1},
		{KeyID: 8, Step: fleet.StatsMinute},
		{By: []fleet.StatsBy{fleet.StatsByKey, fleet.StatsByModel}},
	} {
		_, err := s.Stats(t.Context(), q)
		wantCode(t, err, fleet.CodeInvalid)
	}
}

// testKeyBound uses more keys in an hour than get rows.
func testKeyBound(t *testing.T, s *sqlstore.Store) {
	const keys = 1500
	for position := range int64(3) {
		var batch []fleet.RequestRecord
		for i := range 1000 {
			r := record(i)
			r.Attempts[0].KeyID = fleet.KeyID((int(position)*1000+i)%keys + 1)
			batch = append(batch, r)
		}
		write(t, s, position+1, batch...)
	}
	got := must(s.Stats(t.Context(), fleet.StatsQuery{By: []fleet.StatsBy{fleet.StatsByKey}, Latencies: true}))(t)
	if len(got.Rows) != 501 || got.Total.Requests != 3000 || got.Rows[0].KeyID != 0 || got.Rows[0].Requests != 2000 || got.Rows[0].Duration.P50 == 0 {
		t.Errorf("%d rows, %d attempts, first %+v", len(got.Rows), got.Total.Requests, got.Rows[0])
	}
}

// recent is a record of a time for which there are sums by the minute.
func recent(at time.Time) fleet.RequestRecord {
	r := record(0)
	r.ID, r.StartedAt = fleet.NewRecordID(at), at
	return r
}

func testMinutes(t *testing.T, s *sqlstore.Store) {
	start := time.Now().UTC().Truncate(time.Minute).Add(-10 * time.Minute)
	write(t, s, 1, recent(start), recent(start.Add(59*time.Second)), recent(start.Add(time.Minute)), record(0))
	write(t, s, 2, recent(start.Add(30*time.Second)))
	got := must(s.Stats(t.Context(), fleet.StatsQuery{Step: fleet.StatsMinute, By: []fleet.StatsBy{fleet.StatsByTime}, Latencies: true}))(t)
	if len(got.Rows) != 2 || !got.Rows[0].Start.Equal(start) || got.Rows[0].Requests != 3 || got.Rows[1].Requests != 1 || got.Total.Requests != 4 {
		t.Errorf("%+v", got)
	}
	if p50 := got.Total.Duration.P50.Round(100 * time.Microsecond); p50 != 1500*time.Microsecond {
		t.Errorf("p50 %v", p50)
	}
	if all := must(s.Stats(t.Context(), fleet.StatsQuery{}))(t); all.Total.Requests != 5 {
		t.Errorf("by the hour %+v", all.Total)
	}
}

func testTrimStats(t *testing.T, s *sqlstore.Store) {
	present := time.Now().UTC()
	write(t, s, 1, recent(present.Add(-fleet.MinutesKept+time.Minute)), recent(present), record(0))
	for range 3 {
		must(s.TrimStats(t.Context()))(t)
	}
	minutes := must(s.Stats(t.Context(), fleet.StatsQuery{Step: fleet.StatsMinute}))(t)
	keys := must(s.Stats(t.Context(), fleet.StatsQuery{By: []fleet.StatsBy{fleet.StatsByKey}}))(t)
	hours := must(s.Stats(t.Context(), fleet.StatsQuery{}))(t)
	if minutes.Total.Requests != 2 || keys.Total.Requests != 2 || hours.Total.Requests != 3 {
		t.Errorf("left: %d by the minute, %d by key, %d by the hour", minutes.Total.Requests, keys.Total.Requests, hours.Total.Requests)
	}
	if n := must(s.TrimStats(t.Context()))(t); n != 0 {
		t.Errorf("%d rows were past their time", n)
	}
}

// testStatsAtOnce lets several sources write into the same rows: no histogram is lost.
func testStatsAtOnce(t *testing.T, s *sqlstore.Store) {
	const sources, batches, each = 4, 10, 20
	var all sync.WaitGroup
	for source := range sources {
		all.Go(func() {
			for position := range batches {
				b := requestlog.Batch{Source: fmt.Sprint(source), Position: int64(position + 1)}
				for i := range each {
					b.Records = append(b.Records, record(i))
				}
				if err := s.WriteRecords(t.Context(), b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	got := must(s.Stats(t.Context(), fleet.StatsQuery{Latencies: true}))(t)
	if want := int64(sources * batches * each); got.Total.Requests != want {
		t.Errorf("%d requests, want %d", got.Total.Requests, want)
	}
	buckets := must(s.HistogramSizes(t.Context()))(t)
	if want := int64(sources * batches * each); buckets != [2]int64{want, want} {
		t.Errorf("the histograms hold %d requests, want %d", buckets, want)
	}
}
