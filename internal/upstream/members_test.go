package upstream_test

import (
	"maps"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/upstream"
)

func all(fleet.GroupID) bool { return true }

func except(ids ...fleet.GroupID) func(fleet.GroupID) bool {
	return func(id fleet.GroupID) bool {
		for _, other := range ids {
			if id == other {
				return false
			}
		}
		return true
	}
}

// Groups 1 and 2 are the first tier, 3 the second, 4 is off.
func twoTiers() *upstream.Members {
	return upstream.NewMembers([]fleet.Member{
		{GroupID: 3, Weight: 1, Tier: 2}, {GroupID: 1, Weight: 2, Tier: 1}, {GroupID: 2, Weight: 1, Tier: 1}, {GroupID: 4, Weight: 0, Tier: 1},
	})
}

func mustMember(t *testing.T, m *upstream.Members, tried []fleet.GroupID, usable func(fleet.GroupID) bool, now time.Time) upstream.MemberChoice {
	t.Helper()
	choice, ok := m.Choose(tried, usable, now)
	if !ok {
		t.Fatal("no member")
	}
	return choice
}

func TestTiersAndWeights(t *testing.T) {
	t.Parallel()
	m := twoTiers()
	for _, test := range []struct {
		name   string
		tried  []fleet.GroupID
		usable func(fleet.GroupID) bool
		want   map[fleet.GroupID]int // of 30
	}{
		{"all well", nil, all, map[fleet.GroupID]int{1: 20, 2: 10}},
		{"one has no keys", nil, except(1), map[fleet.GroupID]int{2: 30}},
		{"one failed in this request", []fleet.GroupID{2}, all, map[fleet.GroupID]int{1: 30}},
		{"the first tier cannot serve", nil, except(1, 2), map[fleet.GroupID]int{3: 30}},
		{"the first tier failed in this request", []fleet.GroupID{1, 2}, all, map[fleet.GroupID]int{3: 30}},
	} {
		counts := map[fleet.GroupID]int{}
		for range 30 {
			choice := mustMember(t, m, test.tried, test.usable, start)
			counts[choice.GroupID]++
			choice.Success(start)
		}
		if !maps.Equal(counts, test.want) {
			t.Errorf("%s: %v, want %v", test.name, counts, test.want)
		}
	}
	if choice, ok := m.Choose([]fleet.GroupID{1, 2}, except(3), start); ok {
		t.Errorf("nobody is left, but %d is chosen", choice.GroupID)
	}
	if _, ok := upstream.NewMembers(nil).Choose(nil, all, start); ok {
		t.Error("an aggregate without members serves")
	}
}

// outage plays requests every 50 ms against an aggregate of group 1 before group 2, while group 1 is down for a
// time. A request whose member fails goes on to the next one, as the proxy does.
type outage struct {
	members    *upstream.Members
	down, back time.Duration

	failed      int           // attempts at group 1 while it was down
	failedTwice int           // requests that met it twice
	early, late int           // requests that group 2 served before the outage, and after the return
	returned    time.Duration // when group 1 served again, since start
	unserved    int
}

func (o *outage) play(until time.Duration) {
	for at := time.Duration(0); at < until; at += 50 * time.Millisecond {
		o.request(at)
	}
}

func (o *outage) request(at time.Duration) {
	now := start.Add(at)
	var tried []fleet.GroupID
	for {
		choice, ok := o.members.Choose(tried, all, now)
		switch {
		case !ok:
			o.unserved++
			return
		case choice.GroupID == 1 && at >= o.down && at < o.back:
			choice.Fault(now)
			if len(tried) > 0 {
				o.failedTwice++
			}
			o.failed++
			tried = append(tried, choice.GroupID)
			continue
		case choice.GroupID == 1 && at >= o.back && o.returned == 0:
			o.returned = at
		case choice.GroupID == 2 && at < o.down:
			o.early++
		case choice.GroupID == 2 && o.returned > 0:
			o.late++
		}
		choice.Success(now)
		return
	}
}

func TestAnOutageOfTheFirstTier(t *testing.T) {
	t.Parallel()
	for _, length := range []time.Duration{10 * time.Millisecond, 500 * time.Millisecond, 10 * time.Second, 5 * time.Minute} {
		o := outage{
			members: upstream.NewMembers([]fleet.Member{{GroupID: 1, Weight: 1, Tier: 1}, {GroupID: 2, Weight: 1, Tier: 2}}),
			down:    10 * time.Second, back: 10*time.Second + length,
		}
		o.play(o.back + time.Minute)
		if o.early > 0 || o.late > 0 {
			t.Errorf("outage of %v: tier 2 served %d requests before and %d after it", length, o.early, o.late)
		}
		if o.unserved > 0 || o.failedTwice > 0 {
			t.Errorf("outage of %v: %d requests were not served, %d met the failing member twice", length, o.unserved, o.failedTwice)
		}
		// Three to notice, then probes after 1, 2, 4, 8, 16, 30, 30, ... seconds.
		if most := 3 + 5 + int(length/(30*time.Second)) + 1; o.failed > most {
			t.Errorf("outage of %v: %d attempts at the failing member, want at most %d", length, o.failed, most)
		}
		if delay := o.returned - o.back; o.returned == 0 || delay > 30*time.Second {
			t.Errorf("outage of %v: tier 1 took over again after %v", length, delay)
		}
	}
}

func TestOneMemberOfATierFails(t *testing.T) {
	t.Parallel()
	m := twoTiers()
	for range 3 {
		for {
			choice := mustMember(t, m, nil, all, start)
			if choice.GroupID == 1 {
				choice.Fault(start)
				break
			}
			choice.Release()
		}
	}
	for range 10 {
		if choice := mustMember(t, m, nil, all, start); choice.GroupID != 2 {
			t.Fatalf("%d is chosen while 2 of the same tier serves", choice.GroupID)
		}
	}
	// The probe is for somebody whom it can serve.
	due := start.Add(time.Second)
	if choice := mustMember(t, m, []fleet.GroupID{1}, all, due); choice.GroupID == 1 {
		t.Error("a request that failed there is its probe")
	}
	if choice := mustMember(t, m, nil, except(1), due); choice.GroupID == 1 {
		t.Error("a member without keys is probed")
	}
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		probes []upstream.MemberChoice
	)
	for range 8 {
		wg.Go(func() {
			for range 200 {
				if choice, ok := m.Choose(nil, all, due); ok && choice.GroupID == 1 {
					mu.Lock()
					probes = append(probes, choice)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if len(probes) != 1 {
		t.Fatalf("%d probes", len(probes))
	}
	probes[0].Release()
	probe := mustMember(t, m, nil, all, due)
	if probe.GroupID != 1 {
		t.Error("after a probe that told nothing comes another")
	}
	probe.Success(due)
	if s := m.Status(due); s[0].Resting || s[0].GroupID != 1 {
		t.Errorf("status %+v", s)
	}
}

func TestAllMembersRest(t *testing.T) {
	t.Parallel()
	m := twoTiers()
	now := start
	for range 9 { // three each
		var tried []fleet.GroupID
		for range 3 {
			choice := mustMember(t, m, tried, all, now)
			choice.Fault(now)
			tried = append(tried, choice.GroupID)
		}
	}
	resting := 0
	for _, s := range m.Status(now) {
		if s.Resting {
			resting++
		}
	}
	if resting != 3 {
		t.Fatalf("%d members rest", resting)
	}
	mustMember(t, m, nil, all, now)
	if choice := mustMember(t, m, nil, except(1, 2), now); choice.GroupID != 3 {
		t.Errorf("%d was chosen, only 3 is usable", choice.GroupID)
	}
}

func TestUpdateKeepsTheHealthOfMembers(t *testing.T) {
	t.Parallel()
	m := upstream.NewMembers([]fleet.Member{{GroupID: 1, Weight: 1, Tier: 1}, {GroupID: 2, Weight: 1, Tier: 2}})
	for range 3 {
		mustMember(t, m, nil, all, start).Fault(start)
	}
	m.Update([]fleet.Member{{GroupID: 1, Weight: 5, Tier: 2}, {GroupID: 2, Weight: 1, Tier: 2}, {GroupID: 3, Weight: 1, Tier: 3}})
	for range 5 {
		if choice := mustMember(t, m, nil, all, start); choice.GroupID != 2 {
			t.Errorf("%d is chosen, 1 rests and 3 is of a later tier", choice.GroupID)
		}
	}
}
