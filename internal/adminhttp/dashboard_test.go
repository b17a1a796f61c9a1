package adminhttp_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/adminhttp"
	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
	"gpt-load/internal/secret"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func (w *world) dashboard(period string) adminapi.Dashboard {
	w.t.Helper()
	d, err := w.client.Dashboard(w.t.Context(), period)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func TestDashboard(t *testing.T) {
	w := newWorld(t)
	if d := w.dashboard(""); len(d.Groups) != 0 || d.Day.Requests != (adminapi.Trend{}) || len(d.Chart.Total) != 24 || len(d.Chart.Groups) != 0 {
		t.Errorf("of nothing: %+v", d)
	}
	w.now = time.Now().UTC().Truncate(time.Hour).Add(30*time.Minute + 30*time.Second)
	g := w.group(openai("openai"))
	w.group(adminapi.GroupInput{Name: "all", Kind: adminapi.KindAggregate, Channel: adminapi.ChannelOpenAI, Members: []adminapi.Member{{GroupID: g.ID, Weight: 1, Tier: 1}}})
	added, err := w.client.AddKeys(t.Context(), g.ID, adminapi.KeyInput{Text: "sk-canary-aaaaaaaaaaaa0001 sk-canary-aaaaaaaaaaaa0002"})
	if err != nil || added.Added != 2 {
		t.Fatal(added, err)
	}
	// A request each minute for 150 minutes; twice as many in the minutes 11 to 20; one that no group served; a day before, 100
	// requests without a failure of a group that was deleted.
	busy(t, w, 1, 2, []fleet.KeyID{1, 2}, 150)
	more := requestlog.Batch{Source: "more", Position: 1}
	put := func(group fleet.GroupID, ago time.Duration, times int) {
		for range times {
			at := w.clock().Add(-ago)
			more.Records = append(more.Records, fleet.RequestRecord{ID: fleet.NewRecordID(at), StartedAt: at, GroupID: group, Status: 200, Class: fleet.ClassOK})
		}
	}
	for minute := 11; minute <= 20; minute++ {
		put(1, time.Duration(minute)*time.Minute, 1)
	}
	put(0, 100*time.Minute, 1)
	put(99, 25*time.Hour, 100)
	if err := w.store.WriteRecords(t.Context(), more); err != nil {
		t.Fatal(err)
	}

	d := w.dashboard("")
	if d.Keys != (adminapi.KeyCounts{Active: 2}) || len(d.Groups) != 2 || d.Groups[0].Keys.Active != 2 || d.Groups[1].Keys.Active != 2 {
		t.Errorf("keys %+v, groups %+v", d.Keys, d.Groups)
	}
	if want := (adminapi.Trend{Now: 1, Before: 2, ChangePercent: new(-50.0)}); !reflect.DeepEqual(d.RequestsPerMinute, want) {
		t.Errorf("requests per minute %+v, want %+v", d.RequestsPerMinute, want)
	}
	if day := d.Day; day.Requests.Now != 161 || day.Requests.Before != 100 || *day.Requests.ChangePercent != 61 || day.Failed.Now != 15 ||
		day.FailureRate.Now < 9.3 || day.FailureRate.Now > 9.4 || day.FailureRate.ChangePercent != nil {
		t.Errorf("of the day %+v", day)
	}
	chart := w.dashboard(adminapi.PeriodWeek).Chart
	if chart.Step != adminapi.StepHour || len(chart.Total) != 168 || len(chart.Groups) != 2 || chart.Groups[0].GroupName != "openai" || chart.Groups[1].GroupID != "99" || chart.Groups[1].GroupName != "" {
		t.Fatalf("chart %+v", chart)
	}
	sum := func(points []adminapi.ChartPoint) (n int64) {
		for _, p := range points {
			n += p.Requests
		}
		return n
	}
	if sum(chart.Total) != 261 || sum(chart.Groups[0].Points) != 160 || sum(chart.Groups[1].Points) != 100 || sum(chart.Others) != 1 || len(chart.Others) != 168 {
		t.Errorf("the series hold %d, %d, %d and %d", sum(chart.Total), sum(chart.Groups[0].Points), sum(chart.Groups[1].Points), sum(chart.Others))
	}
	_, err = w.client.Dashboard(t.Context(), "2h")
	refused(t, err, adminapi.CodeInvalid)
}

// sealed says how secrets are sealed.
type sealed struct {
	adminhttp.Store
	how fleet.Encryption
}

func (s sealed) Encryption(context.Context) (fleet.Encryption, error) { return s.how, nil }

func codesOf(findings []adminapi.Finding) []string {
	codes := []string{}
	for _, f := range findings {
		codes = append(codes, f.Severity+" "+f.Code)
	}
	return codes
}

func TestSecurityFindings(t *testing.T) {
	const strong = "c0ffee00deadbeef8badf00d"
	for name, c := range map[string]struct {
		change    func(*adminhttp.Options)
		how       fleet.Encryption
		proxyKeys string
		want      []string
	}{
		"none":        {nil, fleet.Encryption{On: true}, strong, []string{}},
		"first start": {nil, fleet.Encryption{}, authKey, []string{"high proxy_key_is_auth_key", "medium encryption_off"}},
		"weak": {func(o *adminhttp.Options) {
			o.AuthKey, o.Secrets.EncryptionKey, o.Secrets.MetricsToken = secret.New(authKey+"-weak"), secret.New("weak"), secret.New("weak, too")
		}, fleet.Encryption{On: true}, "weak-one-of-clients," + strong, []string{"high auth_key_weak", "medium encryption_key_weak", "medium proxy_keys_weak", "low metrics_token_weak"}},
		"shared": {func(o *adminhttp.Options) {
			o.Secrets.EncryptionKey, o.Secrets.MetricsToken = secret.New(authKey), secret.New(strong)
		}, fleet.Encryption{On: true}, strong, []string{"high secrets_shared"}},
		"changing":   {nil, fleet.Encryption{On: true, Second: true, Other: true, Changing: true}, strong, []string{"medium encryption_change_unfinished"}},
		"old one":    {nil, fleet.Encryption{On: true, Second: true, Other: true}, strong, []string{"medium encryption_key_other"}},
		"second one": {nil, fleet.Encryption{On: true, Second: true}, strong, []string{"low encryption_key_old_left"}},
	} {
		t.Run(name, func(t *testing.T) {
			key := ""
			w := newWorld(t, func(o *adminhttp.Options) {
				if c.change != nil {
					c.change(o)
				}
				o.Store, key = sealed{o.Store, c.how}, o.AuthKey.Reveal()
			})
			if _, err := w.store.SaveSettings(t.Context(), map[string]string{"proxy_keys": c.proxyKeys}, nil); err != nil {
				t.Fatal(err)
			}
			_, _, text := w.raw("GET", "/dashboard", map[string][]string{"Authorization": {"Bearer " + key}}, "")
			for _, s := range []string{key, strong, c.proxyKeys} {
				if strings.Contains(text, s) {
					t.Errorf("a secret is in %s", text)
				}
			}
			w.client = w.newClient(adminclient.WithAuthKey(key))
			found := w.dashboard("").Security
			if got := codesOf(found); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			for _, f := range found {
				if f.Message == "" || f.Remedy == "" || strings.Contains(f.Message, "%") {
					t.Errorf("finding %+v", f)
				}
			}
		})
	}
}
