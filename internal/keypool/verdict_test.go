package keypool_test

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
)

func TestWhatEachVerdictDoesToTheKey(t *testing.T) {
	t.Parallel()
	const asked, other = "asked-model", "other-model"
	hint := start.Add(5 * time.Minute)
	for _, c := range []struct {
		name        string
		fault       keypool.Fault
		state       fleet.KeyState
		failures    int
		restAsked   time.Duration // of the model asked
		restOther   time.Duration // of any other model
		told        bool
		nobodyElse  bool // no other key served the model
		withoutName bool // the request named no model
	}{
		{name: "dead", fault: keypool.Fault{Class: fleet.ClassKeyDead}, state: fleet.KeyInvalid, failures: 1, told: true},
		{
			name: "exhausted", fault: keypool.Fault{Class: fleet.ClassKeyExhausted},
			state: fleet.KeyActive, failures: 1, restAsked: time.Hour, restOther: time.Hour, told: true,
		},
		{
			name: "exhausted rests long whatever the hint", fault: keypool.Fault{Class: fleet.ClassKeyExhausted, Until: start.Add(time.Second)},
			state: fleet.KeyActive, failures: 1, restAsked: time.Hour, restOther: time.Hour, told: true,
		},
		{name: "suspect", fault: keypool.Fault{Class: fleet.ClassKeySuspect}, state: fleet.KeyActive, failures: 1},
		{name: "limited with a hint", fault: limited(hint), state: fleet.KeyActive, restAsked: 5 * time.Minute, told: true},
		{name: "limited with a short hint", fault: limited(start.Add(50 * time.Millisecond)), state: fleet.KeyActive, restAsked: 50 * time.Millisecond},
		{name: "limited with a hint beyond the cap", fault: limited(start.Add(48 * time.Hour)), state: fleet.KeyActive, restAsked: time.Hour, told: true},
		{
			name: "limited with an absurd hint", fault: limited(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)), state: fleet.KeyActive,
			restAsked: time.Hour, told: true,
		},
		{name: "limited with a hint that is over", fault: limited(start), state: fleet.KeyActive, restAsked: 10 * time.Second, told: true},
		{
			name: "limited with a hint from before time", fault: limited(time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC)), state: fleet.KeyActive,
			restAsked: 10 * time.Second, told: true,
		},
		{name: "limited without a hint", fault: limited(time.Time{}), state: fleet.KeyActive, restAsked: 10 * time.Second, told: true},
		{
			name: "limited for all models", fault: keypool.Fault{Class: fleet.ClassLimited, Until: hint, AllModels: true}, state: fleet.KeyActive,
			restAsked: 5 * time.Minute, restOther: 5 * time.Minute, told: true,
		},
		{
			name: "limited without a model", fault: limited(hint), withoutName: true, state: fleet.KeyActive,
			restAsked: 5 * time.Minute, restOther: 5 * time.Minute, told: true,
		},
		{name: "model denied", fault: keypool.Fault{Class: fleet.ClassModelDenied}, state: fleet.KeyActive, restAsked: time.Hour, told: true},
		{name: "model denied to all", fault: keypool.Fault{Class: fleet.ClassModelDenied}, nobodyElse: true, state: fleet.KeyActive},
		{name: "model denied without a model", fault: keypool.Fault{Class: fleet.ClassModelDenied}, withoutName: true, state: fleet.KeyActive},
		{name: "upstream", fault: keypool.Fault{Class: fleet.ClassUpstream, Until: hint}, state: fleet.KeyActive},
		{name: "client", fault: keypool.Fault{Class: fleet.ClassClient, Until: hint}, state: fleet.KeyActive},
		{name: "canceled", fault: keypool.Fault{Class: fleet.ClassCanceled, Until: hint}, state: fleet.KeyActive},
		{name: "gateway", fault: keypool.Fault{Class: fleet.ClassGateway, Until: hint}, state: fleet.KeyActive},
		{name: "ok", fault: keypool.Fault{Class: fleet.ClassOK, Until: hint}, state: fleet.KeyActive},
		{name: "a class of the future", fault: keypool.Fault{Class: "odd", Until: hint}, state: fleet.KeyActive},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := poolOf(2)
			if !c.nobodyElse {
				p.Success(mustLookup(t, p, 2, start), asked, start)
			}
			c.fault.Reason, c.fault.Evidence = "the_reason", "the evidence"
			model := asked
			if c.withoutName {
				model = ""
			}
			change, told := p.Fault(mustLookup(t, p, 1, start), model, c.fault, options, start)
			if told != c.told {
				t.Errorf("told = %v, want %v", told, c.told)
			}
			k := mustGet(t, p, 1, start)
			if k.State != c.state || k.Failures != c.failures {
				t.Errorf("state %s with %d failures, want %s with %d", k.State, k.Failures, c.state, c.failures)
			}
			if c.state == fleet.KeyInvalid && (k.Reason != "the_reason" || k.Evidence != "the evidence") {
				t.Errorf("invalid because of %q, %q", k.Reason, k.Evidence)
			}
			if told {
				checkTold(t, change, k)
			}
			if c.state == fleet.KeyActive {
				checkBack(t, p, map[string]time.Duration{asked: c.restAsked, other: c.restOther})
			}
		})
	}
}

// checkTold compares a change with the live key.
func checkTold(t *testing.T, c fleet.KeyChange, k fleet.Key) {
	t.Helper()
	if c.KeyID != k.ID || c.GroupID != group || c.State != k.State || c.Reason != k.Reason || c.Evidence != k.Evidence ||
		c.Failures != k.Failures || !c.At.Equal(k.UpdatedAt) || len(c.Cooldowns) != len(k.Cooldowns) {
		t.Errorf("told %+v, but the key is %+v", c, k)
	}
	if k.State == fleet.KeyActive && (len(c.Cooldowns) != 1 || c.Cooldowns[0].Reason != "the_reason") {
		t.Errorf("told the rests %+v", c.Cooldowns)
	}
}

// checkBack demands that key 1 cannot be chosen for each model until a time after start, and then can.
func checkBack(t *testing.T, p *keypool.Pool, rests map[string]time.Duration) {
	t.Helper()
	var tried keypool.Tried
	tried.Add(mustLookup(t, p, 2, start))
	for model, after := range rests {
		if at, ok := p.Soonest(model, &tried, start); !ok || !at.Equal(start.Add(after)) {
			t.Errorf("%s: soonest after %v %v, want %v", model, at.Sub(start), ok, after)
		}
	}
	models := slices.SortedFunc(maps.Keys(rests), func(a, b string) int { return cmp.Compare(rests[a], rests[b]) })
	for _, model := range models { // the clock does not go back
		after := rests[model]
		if after > 0 {
			if pick, ok := p.Choose(model, &tried, start.Add(after-1)); ok {
				t.Errorf("%s: key %d came back before %v", model, pick.KeyID, after)
			}
		}
	}
	for _, model := range models {
		if pick, ok := p.Choose(model, &tried, start.Add(rests[models[1]])); !ok || pick.KeyID != 1 {
			t.Errorf("%s: key 1 did not come back after %v", model, rests[model])
		}
	}
}

func TestCountedFailuresMakeAKeyInvalid(t *testing.T) {
	t.Parallel()
	suspect := keypool.Fault{Class: fleet.ClassKeySuspect, Reason: "forbidden"}
	for _, c := range []struct {
		threshold, faults int
		want              fleet.KeyState
	}{
		{threshold: 0, faults: 1000, want: fleet.KeyActive},
		{threshold: 1, faults: 1, want: fleet.KeyInvalid},
		{threshold: 3, faults: 2, want: fleet.KeyActive},
		{threshold: 3, faults: 3, want: fleet.KeyInvalid},
	} {
		p := poolOf(1)
		o := options
		o.BlacklistThreshold = c.threshold
		now := start
		for range c.faults {
			p.Fault(mustChoose(t, p, "m", nil, now), "m", suspect, o, now)
			now = now.Add(time.Second)
		}
		if got := mustGet(t, p, 1, now); got.State != c.want || got.Failures != c.faults {
			t.Errorf("threshold %d, %d faults: %s with %d failures, want %s", c.threshold, c.faults, got.State, got.Failures, c.want)
		}
	}
}

func TestASuccessStartsTheCountOver(t *testing.T) {
	t.Parallel()
	p := poolOf(1)
	suspect := keypool.Fault{Class: fleet.ClassKeySuspect}
	for i := range 10 {
		now := start.Add(time.Duration(i) * time.Second)
		pick := mustChoose(t, p, "m", nil, now)
		if i%3 == 2 {
			p.Success(pick, "m", now)
		} else {
			p.Fault(pick, "m", suspect, options, now)
		}
	}
	if k := mustGet(t, p, 1, start); k.State != fleet.KeyActive || k.Failures != 1 {
		t.Errorf("%s with %d failures, want active with 1", k.State, k.Failures)
	}
}

func TestExhaustedKeysComeBackTwiceAndThenNoMore(t *testing.T) {
	t.Parallel()
	p := poolOf(1)
	exhausted := keypool.Fault{Class: fleet.ClassKeyExhausted, Reason: "insufficient_quota"}
	now := start
	for i := range 3 {
		p.Fault(mustChoose(t, p, "m", nil, now), "m", exhausted, options, now)
		if i < 2 {
			if c := p.Counts(now); c.Cooling != 1 {
				t.Fatalf("after %d faults: %+v", i+1, c)
			}
		}
		now = now.Add(time.Hour)
	}
	if k := mustGet(t, p, 1, now); k.State != fleet.KeyInvalid || k.Reason != "insufficient_quota" {
		t.Errorf("%s because of %q", k.State, k.Reason)
	}
}

func TestAttemptsUnderWayCountAsOneFailure(t *testing.T) {
	t.Parallel()
	for _, class := range []fleet.Class{fleet.ClassKeySuspect, fleet.ClassKeyExhausted} {
		p := poolOf(1)
		picks := make([]keypool.Pick, 1000)
		for i := range picks {
			picks[i] = mustChoose(t, p, "m", nil, start.Add(time.Duration(i)))
		}
		for i, pick := range picks {
			p.Fault(pick, "m", keypool.Fault{Class: class}, options, start.Add(time.Second+time.Duration(i)))
		}
		if k := mustGet(t, p, 1, start); k.State != fleet.KeyActive || k.Failures != 1 {
			t.Errorf("%s: %s with %d failures after one burst, want active with 1", class, k.State, k.Failures)
		}
	}
}

func TestABurstOf429sIsOneWindow(t *testing.T) {
	t.Parallel()
	p := poolOf(1)
	picks := make([]keypool.Pick, 1000)
	for i := range picks {
		picks[i] = mustChoose(t, p, "m", nil, start)
	}
	told := 0
	for i, pick := range picks {
		if _, ok := p.Fault(pick, "m", limited(time.Time{}), options, start.Add(time.Duration(i)*time.Millisecond)); ok {
			told++
		}
	}
	if at, ok := p.Soonest("m", nil, start.Add(time.Second)); !ok || at.Sub(start) != 10*time.Second {
		t.Errorf("rests for %v, want 10s", at.Sub(start))
	}
	if told != 1 {
		t.Errorf("told %d times of a rest of 10 s, want once", told)
	}
}

func TestABurstOfHintsIsToldOnce(t *testing.T) {
	t.Parallel()
	p := poolOf(1)
	pick := mustChoose(t, p, "m", nil, start)
	told := 0
	for i := range 1000 {
		now := start.Add(time.Duration(i) * 100 * time.Microsecond)
		if _, ok := p.Fault(pick, "m", limited(now.Add(time.Minute)), options, now); ok {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times, want once", told)
	}
}

// guessStep is one 429 without a hint; the key was chosen just before, unless late.
type guessStep struct {
	after  time.Duration // since the last rest ended
	served bool          // the key served the model in between
	late   bool          // chosen before the last rest ended
	want   time.Duration // length of the rest
}

func TestGuessedRestsDoubleOnlyAcrossWindows(t *testing.T) {
	t.Parallel()
	for name, steps := range map[string][]guessStep{
		"nothing served": {
			{want: 10 * time.Second},
			{want: 20 * time.Second},
			{after: time.Minute, want: 40 * time.Second},
			{want: 80 * time.Second},
			{want: 160 * time.Second},
			{want: 320 * time.Second},
			{want: 640 * time.Second},
			{want: 1280 * time.Second},
			{want: 2560 * time.Second},
			{want: time.Hour},
			{want: time.Hour},
		},
		"served a little":        {{want: 10 * time.Second}, {want: 20 * time.Second}, {after: 9 * time.Second, served: true, want: 20 * time.Second}},
		"served a while":         {{want: 10 * time.Second}, {want: 20 * time.Second}, {after: 10 * time.Second, served: true, want: 10 * time.Second}},
		"late news":              {{want: 10 * time.Second}, {want: 20 * time.Second}, {after: time.Second, late: true, want: 20 * time.Second}},
		"remembered ten minutes": {{want: 10 * time.Second}, {after: 10*time.Minute - 1, want: 20 * time.Second}},
		"forgotten after that":   {{want: 10 * time.Second}, {after: 10 * time.Minute, want: 10 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := poolOf(1)
			ended := start
			late := mustLookup(t, p, 1, start)
			for i, step := range steps {
				now := ended.Add(step.after)
				if step.served {
					p.Success(mustChoose(t, p, "m", nil, ended), "m", ended)
				}
				pick := late
				if !step.late {
					pick = mustChoose(t, p, "m", nil, now)
				}
				p.Fault(pick, "m", limited(time.Time{}), options, now)
				late = mustLookup(t, p, 1, now)
				until, ok := p.Soonest("m", nil, now)
				if got := until.Sub(now); !ok || got != step.want {
					t.Fatalf("step %d: rests %v, want %v", i, got, step.want)
				}
				ended = until
			}
		})
	}
}

func TestAHintEndsTheGuessing(t *testing.T) {
	t.Parallel()
	p := poolOf(1)
	now := start
	for _, c := range []struct{ hint, want time.Duration }{{0, 10 * time.Second}, {0, 20 * time.Second}, {time.Second, time.Second}, {0, 10 * time.Second}} {
		var hint time.Time
		if c.hint > 0 {
			hint = now.Add(c.hint)
		}
		p.Fault(mustChoose(t, p, "m", nil, now), "m", limited(hint), options, now)
		until, _ := p.Soonest("m", nil, now)
		if got := until.Sub(now); got != c.want {
			t.Fatalf("rests %v, want %v", got, c.want)
		}
		now = until
	}
}

func TestARestIsNeverShortened(t *testing.T) {
	t.Parallel()
	p := poolOf(1)
	pick := mustChoose(t, p, "m", nil, start)
	until := start.Add(10 * time.Minute)
	p.Fault(pick, "m", limited(until), options, start)
	shorter := options
	shorter.CooldownCap = time.Minute
	p.Fault(pick, "m", limited(start.Add(time.Minute)), options, start)
	p.Fault(pick, "m", limited(time.Time{}), options, start)
	p.Fault(pick, "m", limited(start.Add(time.Hour)), shorter, start)
	p.Put(key(1))
	p.Apply(fleet.KeyChange{
		KeyID: 1, GroupID: group, State: fleet.KeyActive,
		Cooldowns: []fleet.Cooldown{{Model: "m", Until: start.Add(time.Minute)}},
	})
	if at, ok := p.Soonest("m", nil, start); !ok || !at.Equal(until) {
		t.Errorf("rests until %v, want %v", at, until)
	}
}

func TestDisabledAndRemovedKeysTakeNoVerdict(t *testing.T) {
	t.Parallel()
	p := poolOf(2)
	picks := []keypool.Pick{mustLookup(t, p, 1, start), mustLookup(t, p, 2, start)}
	p.Apply(fleet.KeyChange{KeyID: 1, GroupID: group, State: fleet.KeyDisabled, Reason: "by_operator"})
	p.Remove(2)
	p.Put(key(3)) // takes the slot of 2
	for _, pick := range picks {
		for _, class := range []fleet.Class{fleet.ClassKeyDead, fleet.ClassKeyExhausted, fleet.ClassLimited, fleet.ClassKeySuspect} {
			if c, told := p.Fault(pick, "m", keypool.Fault{Class: class}, options, start); told {
				t.Errorf("%s of key %d told %+v", class, pick.KeyID, c)
			}
		}
		p.Success(pick, "m", start)
	}
	if k := mustGet(t, p, 1, start); k.State != fleet.KeyDisabled || k.Reason != "by_operator" || k.Failures != 0 {
		t.Errorf("the disabled key became %+v", k)
	}
	if k := mustGet(t, p, 3, start); k.State != fleet.KeyActive || k.Failures != 0 || len(k.Cooldowns) != 0 {
		t.Errorf("the key in the reused slot became %+v", k)
	}
}

func TestStampsOfAKeyRise(t *testing.T) {
	t.Parallel()
	p := poolOf(1)
	var last time.Time
	for i := range 5 {
		// Clocks of concurrent requests reach the pool in any order.
		now := start.Add(-time.Duration(i) * time.Millisecond)
		c, told := p.Fault(mustLookup(t, p, 1, now), "m", limited(start.Add(time.Duration(i+1)*time.Minute)), options, now)
		if !told || !c.At.After(last) {
			t.Fatalf("change %d: told %v at %v, the one before at %v", i, told, c.At, last)
		}
		last = c.At
	}
}

func TestEvidenceIsBounded(t *testing.T) {
	t.Parallel()
	p := poolOf(1)
	fault := keypool.Fault{Class: fleet.ClassKeyDead, Evidence: strings.Repeat("é", 1000)}
	c, _ := p.Fault(mustLookup(t, p, 1, start), "m", fault, options, start)
	if len(c.Evidence) > 300 || len(c.Evidence) < 290 || !utf8.ValidString(c.Evidence) {
		t.Errorf("evidence of %d bytes, valid %v", len(c.Evidence), utf8.ValidString(c.Evidence))
	}
}

func TestServedLately(t *testing.T) {
	t.Parallel()
	p := poolOf(3)
	serve := func(id fleet.KeyID, now time.Time) { p.Success(mustLookup(t, p, id, now), "m", now) }
	check := func(want bool, except fleet.KeyID, now time.Time) {
		t.Helper()
		if got := p.ServedLately("m", except, now); got != want {
			t.Errorf("ServedLately(except %d, after %v) = %v, want %v", except, now.Sub(start), got, want)
		}
	}
	check(false, 1, start)
	serve(1, start)
	check(false, 1, start)
	check(true, 2, start)
	serve(2, start.Add(time.Second))
	check(true, 1, start.Add(time.Hour))
	check(true, 2, start.Add(time.Hour))
	check(false, 2, start.Add(time.Hour+time.Second))
	for i := range 200 { // a key that serves all the time hides no other
		serve(3, start.Add(time.Duration(i)*time.Minute))
	}
	check(true, 1, start.Add(200*time.Minute))
	check(false, 3, start.Add(200*time.Minute))
	if p.ServedLately("another", 1, start) || p.ServedLately("", 1, start) {
		t.Error("a model that nobody asked for was served")
	}
}

func TestServedModelsAreBounded(t *testing.T) {
	t.Parallel()
	p := poolOf(2)
	pick := mustLookup(t, p, 1, start)
	for i := range 5000 {
		p.Success(pick, "model-"+strings.Repeat("x", i%7)+time.Duration(i).String(), start)
	}
	p.Success(pick, strings.Repeat("long", 1000), start)
	p.Success(pick, "wanted", start.Add(time.Second))
	if !p.ServedLately("wanted", 2, start.Add(time.Second)) {
		t.Error("the newest model found no room")
	}
}
