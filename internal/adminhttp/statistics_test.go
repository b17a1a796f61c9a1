package adminhttp_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
	"gpt-load/pkg/adminapi"
)

func TestStatistics(t *testing.T) {
	w := newWorld(t)
	records := recorded(t, w)
	all, err := w.client.Statistics(t.Context(), adminapi.StatisticsFilter{})
	if err != nil {
		t.Fatal(err)
	}
	want := adminapi.StatisticsRow{
		Requests: 3, Succeeded: 1, ClientFaults: 1, Failed: 1, Retries: 1, RequestBytes: 110, ResponseBytes: 1020, MeanDurationMS: 403, MeanFirstByteMS: 30,
	}
	if all.Total != want || len(all.Rows) != 0 || all.To.Sub(all.From) != 24*time.Hour {
		t.Errorf("got %+v", all)
	}
	byTime, err := w.client.Statistics(t.Context(), adminapi.StatisticsFilter{From: records[0].StartedAt, GroupID: "1", By: []string{"time", "group", "parent", "model"}, Percentiles: true})
	if err != nil || len(byTime.Rows) != 2 || byTime.Total.Requests != 2 {
		t.Fatalf("got %+v, %v", byTime, err)
	}
	row := byTime.Rows[0]
	if !row.Start.Equal(records[0].StartedAt) || row.GroupID != "1" || row.ParentID != "3" || row.Model != "gpt-4o-mini" || row.Requests != 1 || row.MeanFirstByteMS != 50 {
		t.Errorf("row %+v", row)
	}
	if d, f := row.Duration, row.FirstByte; d == nil || d.P50MS < 192 || d.P50MS > 208 || d.P99MS != d.P50MS || f == nil || f.P95MS < 48 || f.P95MS > 52 {
		t.Errorf("percentiles %+v and %+v of a request of 200 ms with its first byte after 50", d, f)
	}
	if byTime.Rows[1].FirstByte != nil {
		t.Errorf("a first byte that never came has percentiles: %+v", byTime.Rows[1].FirstByte)
	}
	for name, c := range map[string]struct {
		filter adminapi.StatisticsFilter
		want   int64
	}{
		"asked":     {adminapi.StatisticsFilter{ParentID: "3"}, 1},
		"proxy key": {adminapi.StatisticsFilter{ProxyKey: "0123456789ab"}, 1},
		"key":       {adminapi.StatisticsFilter{KeyID: "5"}, 2},
		"days":      {adminapi.StatisticsFilter{Step: adminapi.StepDay, From: records[0].StartedAt}, 3},
		"no hours":  {adminapi.StatisticsFilter{To: records[0].StartedAt}, 0},
	} {
		got, err := w.client.Statistics(t.Context(), c.filter)
		if err != nil || got.Total.Requests != c.want {
			t.Errorf("%s: %+v, %v", name, got.Total, err)
		}
	}
	_, err = w.client.Statistics(t.Context(), adminapi.StatisticsFilter{KeyID: "5", Model: "emb", By: []string{"parent"}})
	if got, want := fieldsOf(refused(t, err, adminapi.CodeInvalid)), []string{"by", "model"}; !slices.Equal(got, want) {
		t.Errorf("faults of %q, want %q", got, want)
	}
}

// busy writes requests of a group and of an aggregate that it is a member of, each minute one, back from now: models, proxy
// keys and keys take turns. Requests take 100 ms; each tenth fails after a second, with a retry.
func busy(t *testing.T, w *world, group, parent fleet.GroupID, keys []fleet.KeyID, requests int) {
	t.Helper()
	batch := requestlog.Batch{Source: "spool", Position: 1}
	for i := range requests {
		r := fleet.RequestRecord{
			StartedAt: w.clock().Add(-time.Duration(i) * time.Minute), Duration: 100 * time.Millisecond, TimeToFirstByte: 10 * time.Millisecond, GroupID: group,
			ModelSent: fmt.Sprint("model-", i%3), ProxyKeyFingerprint: fmt.Sprint("proxy-", i%2), Status: 200, Class: fleet.ClassOK, RequestBytes: 1, ResponseBytes: 2,
			Attempts: []fleet.Attempt{{GroupID: group, KeyID: keys[i%len(keys)], Class: fleet.ClassOK, Duration: 90 * time.Millisecond}},
		}
		if i%2 == 1 {
			r.ParentID = parent
		}
		if i%10 == 9 {
			r.Class, r.Status, r.Duration = fleet.ClassUpstream, 502, time.Second
			r.Attempts = append(r.Attempts, r.Attempts[0])
		}
		r.ID = fleet.NewRecordID(r.StartedAt)
		batch.Records = append(batch.Records, r)
	}
	if err := w.store.WriteRecords(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
}

func TestGroupStatistics(t *testing.T) {
	w := newWorld(t)
	w.now = time.Now().UTC().Truncate(time.Hour).Add(30*time.Minute + 30*time.Second)
	g := w.group(openai("openai"))
	all := w.group(adminapi.GroupInput{Name: "all", Kind: adminapi.KindAggregate, Channel: adminapi.ChannelOpenAI, Members: []adminapi.Member{{GroupID: g.ID, Weight: 1, Tier: 1}}})
	if _, err := w.client.AddKeys(t.Context(), g.ID, adminapi.KeyInput{Text: "sk-canary-aaaaaaaaaaaa0001 sk-canary-aaaaaaaaaaaa0002"}); err != nil {
		t.Fatal(err)
	}
	busy(t, w, 1, 2, []fleet.KeyID{1, 2, 99}, 150)

	hour, err := w.client.GroupStatistics(t.Context(), g.ID, adminapi.PeriodHour, 0)
	if err != nil {
		t.Fatal(err)
	}
	if hour.Total.Requests != 60 || hour.Before.Requests != 60 || len(hour.Series) != 60 || hour.Step != "minute" || hour.To.Sub(hour.From) != time.Hour {
		t.Errorf("of the hour: total %d, before %d, %d points by the %s of %v to %v", hour.Total.Requests, hour.Before.Requests, len(hour.Series), hour.Step, hour.From, hour.To)
	}
	for _, point := range hour.Series {
		if point.Requests != 1 || point.Duration == nil {
			t.Errorf("a point of the series is %+v", point)
		}
	}
	if d := hour.Total.Duration; hour.Total.Failed != 6 || hour.Total.Retries != 6 || d == nil || d.P50MS < 95 || d.P50MS > 105 || d.P95MS < 955 || d.P99MS > 1045 || hour.Before.Duration != nil {
		t.Errorf("total %+v", hour.Total)
	}
	day, err := w.client.GroupStatistics(t.Context(), g.ID, "", 2)
	if err != nil {
		t.Fatal(err)
	}
	if day.Period != adminapi.PeriodDay || day.Total.Requests != 150 || len(day.Series) != 24 || day.Series[0].Requests != 0 || day.Series[23].Requests != 31 || day.Members != nil {
		t.Errorf("of the day: %+v", day)
	}
	if len(day.Models.Rows) != 2 || day.Models.Rows[0].Requests != 50 || day.Models.Rows[0].Duration == nil || day.Models.Others == nil || day.Models.Others.Requests != 50 ||
		len(day.ProxyKeys.Rows) != 2 || day.ProxyKeys.Others != nil {
		t.Errorf("models %+v, proxy keys %+v", day.Models, day.ProxyKeys)
	}
	month, err := w.client.GroupStatistics(t.Context(), g.ID, adminapi.PeriodMonth, 100)
	if err != nil || len(month.Series) != 30 || month.Total.Requests != 150 || len(month.Keys.Rows) != 3 {
		t.Fatalf("of the month: %+v, %v", month, err)
	}
	var keys []string
	for _, r := range month.Keys.Rows {
		keys = append(keys, r.KeyID+r.KeyMasked)
	}
	slices.Sort(keys)
	if want := []string{"1****0001", "2****0002", "99"}; !reflect.DeepEqual(keys, want) {
		t.Errorf("keys %q, want %q", keys, want)
	}
	week, err := w.client.GroupStatistics(t.Context(), all.ID, adminapi.PeriodWeek, 0)
	if err != nil || week.Total.Requests != 75 || len(week.Series) != 7*24 || week.Keys != nil || week.Members == nil || len(week.Members.Rows) != 1 || week.Members.Rows[0].GroupID != g.ID {
		t.Errorf("of the aggregate: %+v, %v", week, err)
	}
	_, err = w.client.GroupStatistics(t.Context(), "77", "", 0)
	refused(t, err, adminapi.CodeNotFound)
	_, err = w.client.GroupStatistics(t.Context(), g.ID, "2h", 101)
	refused(t, err, adminapi.CodeInvalid)
}
