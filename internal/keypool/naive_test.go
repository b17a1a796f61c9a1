package keypool_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
)

// naive is the same pool written for clarity alone: maps, full scans, no cursor.
type naive struct {
	keys   map[fleet.KeyID]*naiveKey
	served map[string]map[fleet.KeyID]time.Time
}

type naiveKey struct {
	state       fleet.KeyState
	failures    int
	lastFailure time.Time
	rests       map[string]*naiveRest // "" is every model
}

type naiveRest struct {
	until  time.Time
	guess  time.Duration // 0 when hinted
	proven bool
}

func (k *naiveKey) freeAt(model string) time.Time {
	var free time.Time
	for _, m := range []string{"", model} {
		if r := k.rests[m]; r != nil && r.until.After(free) {
			free = r.until
		}
	}
	return free
}

func (n *naive) usable(model string, tried map[fleet.KeyID]bool, now time.Time) map[fleet.KeyID]bool {
	set := map[fleet.KeyID]bool{}
	for id, k := range n.keys {
		if k.state == fleet.KeyActive && !k.freeAt(model).After(now) && !tried[id] {
			set[id] = true
		}
	}
	return set
}

func (n *naive) soonest(model string, tried map[fleet.KeyID]bool, now time.Time) (best time.Time, found bool) {
	for id, k := range n.keys {
		if k.state != fleet.KeyActive || tried[id] {
			continue
		}
		free := k.freeAt(model)
		if free.Before(now) {
			free = now
		}
		if !found || free.Before(best) {
			best, found = free, true
		}
	}
	return best, found
}

func (n *naive) counts(now time.Time) (c fleet.KeyCounts) {
	for _, k := range n.keys {
		switch {
		case k.state == fleet.KeyInvalid:
			c.Invalid++
		case k.state == fleet.KeyDisabled:
			c.Disabled++
		case k.freeAt("").After(now):
			c.Cooling++
		default:
			c.Active++
		}
	}
	return c
}

func (n *naive) put(id fleet.KeyID, state fleet.KeyState, cooldowns []fleet.Cooldown) {
	k := n.keys[id]
	if k == nil {
		k = &naiveKey{}
		n.keys[id] = k
	}
	if state != fleet.KeyActive || k.state != fleet.KeyActive {
		k.failures = 0
	}
	n.enter(k, state)
	for _, c := range cooldowns {
		if state == fleet.KeyActive {
			k.cool(c.Model, c.Until, 0)
		}
	}
}

func (n *naive) enter(k *naiveKey, state fleet.KeyState) {
	k.state = state
	if state != fleet.KeyActive || k.rests == nil {
		k.rests = map[string]*naiveRest{}
	}
}

func (k *naiveKey) cool(model string, until time.Time, guess time.Duration) (moved time.Duration) {
	r := k.rests[model]
	if r == nil {
		k.rests[model] = &naiveRest{until: until, guess: guess}
		return 1 << 62
	}
	if !until.After(r.until) {
		return 0
	}
	moved = until.Sub(r.until)
	*r = naiveRest{until: until, guess: guess}
	return moved
}

func (n *naive) success(id fleet.KeyID, model string, pickedAt, now time.Time) {
	if model != "" {
		if n.served[model] == nil {
			n.served[model] = map[fleet.KeyID]time.Time{}
		}
		n.served[model][id] = now
	}
	k := n.keys[id]
	if k == nil || k.state != fleet.KeyActive {
		return
	}
	k.failures = 0
	for _, m := range []string{"", model} {
		if r := k.rests[m]; r != nil && !pickedAt.Before(r.until) && !now.Before(r.until) {
			r.proven = true
		}
	}
}

// fault returns whether the change is worth telling.
func (n *naive) fault(id fleet.KeyID, model string, pickedAt time.Time, f keypool.Fault, o keypool.Options, now time.Time) bool {
	k := n.keys[id]
	if k == nil || k.state != fleet.KeyActive {
		return false
	}
	tooMany := func() bool {
		if k.failures == 0 || !pickedAt.Before(k.lastFailure) {
			k.failures++
			k.lastFailure = now
			return o.BlacklistThreshold > 0 && k.failures >= o.BlacklistThreshold
		}
		return false
	}
	worth := func(moved time.Duration, until time.Time) bool {
		return moved >= time.Second && until.Sub(now) >= time.Second
	}
	switch f.Class {
	case fleet.ClassKeyDead:
		k.failures++
		n.enter(k, fleet.KeyInvalid)
		return true
	case fleet.ClassKeySuspect, fleet.ClassKeyExhausted:
		if tooMany() {
			n.enter(k, fleet.KeyInvalid)
			return true
		}
		if f.Class == fleet.ClassKeySuspect {
			return false
		}
		until := now.Add(o.CooldownCap)
		return worth(k.coolFresh("", until, 0, now), until)
	case fleet.ClassModelDenied:
		for other, at := range n.served[model] {
			if other != id && now.Sub(at) <= time.Hour {
				until := now.Add(o.CooldownCap)
				return worth(k.coolFresh(model, until, 0, now), until)
			}
		}
		return false
	case fleet.ClassLimited:
		if f.AllModels {
			model = ""
		}
		until := f.Until
		if until.After(now) {
			if latest := now.Add(o.CooldownCap); until.After(latest) {
				until = latest
			}
			return worth(k.coolFresh(model, until, 0, now), until)
		}
		last := k.rests[model]
		if last != nil && last.until.After(now) {
			return false
		}
		length := naiveGuess(last, pickedAt, o, now)
		until = now.Add(length)
		return worth(k.coolFresh(model, until, length, now), until)
	}
	return false
}

// coolFresh treats a rest that is over as none.
func (k *naiveKey) coolFresh(model string, until time.Time, guess time.Duration, now time.Time) time.Duration {
	if r := k.rests[model]; r != nil && !r.until.After(now) {
		delete(k.rests, model)
	}
	return k.cool(model, until, guess)
}

func naiveGuess(last *naiveRest, pickedAt time.Time, o keypool.Options, now time.Time) time.Duration {
	first := min(o.RateLimitCooldown, o.CooldownCap)
	if last == nil || last.guess == 0 {
		return first
	}
	since := now.Sub(last.until)
	if since >= max(last.guess, 10*time.Minute) {
		return first
	}
	if pickedAt.Before(last.until) {
		return last.guess
	}
	if last.proven {
		if since >= first {
			return first
		}
		return last.guess
	}
	return min(2*last.guess, o.CooldownCap)
}

// pair drives a pool and its naive twin through the same operations.
type pair struct {
	t     *testing.T
	rng   *rand.Rand
	pool  *keypool.Pool
	naive *naive
	now   time.Time
	log   []string
	// picks are under way; pickedAt is when each was made.
	picks []flight
}

type flight struct {
	pick  keypool.Pick
	model string
	at    time.Time
}

var propertyModels = []string{"", "alpha", "beta", "gamma"}

func (p *pair) failf(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("%s\nlast operations:\n%s", fmt.Sprintf(format, args...), strings.Join(p.log[max(0, len(p.log)-25):], "\n"))
}

func (p *pair) note(format string, args ...any) {
	p.log = append(p.log, p.now.Sub(start).String()+" "+fmt.Sprintf(format, args...))
}

func (p *pair) model() string      { return propertyModels[p.rng.IntN(len(propertyModels))] }
func (p *pair) keyID() fleet.KeyID { return fleet.KeyID(1 + p.rng.IntN(12)) }
func (p *pair) duration() time.Duration {
	return []time.Duration{
		0, time.Millisecond, 3 * time.Second, 10 * time.Second, 15 * time.Second, 25 * time.Second, time.Minute, 11 * time.Minute, 2 * time.Hour,
	}[p.rng.IntN(9)]
}

func (p *pair) choose() {
	model := p.model()
	var tried keypool.Tried
	triedIDs := map[fleet.KeyID]bool{}
	for p.rng.IntN(3) == 0 {
		if pick, ok := p.pool.Lookup(p.keyID(), p.now); ok {
			tried.Add(pick)
			triedIDs[pick.KeyID] = true
		}
	}
	want := p.naive.usable(model, triedIDs, p.now)
	wantAt, wantFound := p.naive.soonest(model, triedIDs, p.now)
	gotAt, gotFound := p.pool.Soonest(model, &tried, p.now)
	if gotFound != wantFound || gotFound && !gotAt.Equal(wantAt) {
		p.failf("Soonest(%q, %v) = %v %v, want %v %v", model, triedIDs, gotAt, gotFound, wantAt, wantFound)
	}
	if got := p.pool.Usable(model, &tried, p.now); got != (len(want) > 0) {
		p.failf("Usable(%q) = %v, want %v", model, got, want)
	}
	pick, ok := p.pool.Choose(model, &tried, p.now)
	p.note("choose %q tried %v: %d %v", model, triedIDs, pick.KeyID, ok)
	if ok != (len(want) > 0) || ok && !want[pick.KeyID] {
		p.failf("Choose(%q) = %d %v, want one of %v", model, pick.KeyID, ok, want)
	}
	if ok {
		p.picks = append(p.picks, flight{pick, model, p.now})
	}
}

func (p *pair) land() (flight, bool) {
	if len(p.picks) == 0 {
		return flight{}, false
	}
	i := p.rng.IntN(len(p.picks))
	f := p.picks[i]
	p.picks = slices.Delete(p.picks, i, i+1)
	return f, true
}

func (p *pair) succeed() {
	f, ok := p.land()
	if !ok {
		return
	}
	p.note("success of %d for %q picked %v", f.pick.KeyID, f.model, f.at.Sub(start))
	p.pool.Success(f.pick, f.model, p.now)
	p.naive.success(f.pick.KeyID, f.model, f.at, p.now)
}

func (p *pair) fault() {
	f, ok := p.land()
	if !ok {
		return
	}
	classes := []fleet.Class{
		fleet.ClassLimited, fleet.ClassLimited, fleet.ClassLimited, fleet.ClassLimited, fleet.ClassKeyDead, fleet.ClassKeyExhausted,
		fleet.ClassKeySuspect, fleet.ClassModelDenied, fleet.ClassUpstream, fleet.ClassClient, fleet.ClassCanceled, fleet.ClassGateway,
	}
	fault := keypool.Fault{
		Class: classes[p.rng.IntN(len(classes))], AllModels: p.rng.IntN(5) == 0, Reason: "some_reason", Evidence: "said so",
	}
	if p.rng.IntN(2) == 0 {
		fault.Until = p.now.Add(p.duration())
	}
	p.note("fault %s of %d for %q picked %v hint %v all %v", fault.Class, f.pick.KeyID, f.model, f.at.Sub(start), fault.Until.Sub(p.now), fault.AllModels)
	want := p.naive.fault(f.pick.KeyID, f.model, f.at, fault, options, p.now)
	change, got := p.pool.Fault(f.pick, f.model, fault, options, p.now)
	if got != want {
		p.failf("Fault: changed = %v, want %v", got, want)
	}
	if got {
		p.checkChange(change, f.pick.KeyID)
	}
}

func (p *pair) checkChange(c fleet.KeyChange, id fleet.KeyID) {
	k := p.naive.keys[id]
	if c.KeyID != id || c.GroupID != group || c.State != k.state || c.Failures != k.failures {
		p.failf("change %+v, want state %s and %d failures of %d", c, k.state, k.failures, id)
	}
	for _, cool := range c.Cooldowns {
		if !cool.Until.After(p.now) {
			p.failf("a rest that is over is told: %v", cool.Until.Sub(p.now))
		}
	}
	kept, lasts := keypool.Lasting(c)
	for _, cool := range kept.Cooldowns {
		if cool.Until.Sub(c.At) < 30*time.Second {
			p.failf("a rest of %v is not worth keeping", cool.Until.Sub(c.At))
		}
	}
	if lasts != (c.State == fleet.KeyInvalid || len(kept.Cooldowns) > 0) {
		p.failf("Lasting = %v of %+v", lasts, c)
	}
}

func (p *pair) operate() {
	id := p.keyID()
	state := []fleet.KeyState{fleet.KeyActive, fleet.KeyActive, fleet.KeyInvalid, fleet.KeyDisabled}[p.rng.IntN(4)]
	var cooldowns []fleet.Cooldown
	if p.rng.IntN(2) == 0 {
		cooldowns = append(cooldowns, fleet.Cooldown{Model: p.model(), Until: p.now.Add(p.duration())})
	}
	p.note("operate on %d: %s %v", id, state, cooldowns)
	switch p.rng.IntN(5) {
	case 0:
		k := key(int(id))
		k.State, k.Cooldowns = state, cooldowns
		p.pool.Put(k)
		p.naive.put(id, state, cooldowns)
	case 1:
		p.pool.Remove(id)
		delete(p.naive.keys, id)
	case 2:
		p.apply(fleet.KeyChange{KeyID: id, GroupID: group, State: state, Cooldowns: cooldowns})
	case 3:
		_, got := p.pool.Restore(id, p.now)
		k := p.naive.keys[id]
		if want := k != nil && k.state == fleet.KeyInvalid; got != want {
			p.failf("Restore(%d) = %v, want %v", id, got, want)
		}
		if got {
			k.failures = 0
			p.naive.enter(k, fleet.KeyActive)
		}
	case 4:
		p.replace()
	}
}

func (p *pair) apply(c fleet.KeyChange) {
	p.pool.Apply(c)
	k := p.naive.keys[c.KeyID]
	switch {
	case k == nil || c.State == fleet.KeyInvalid && k.state == fleet.KeyDisabled:
	case c.State == fleet.KeyActive && len(c.Cooldowns) > 0:
		if k.state == fleet.KeyActive {
			for _, cool := range c.Cooldowns {
				k.cool(cool.Model, cool.Until, 0)
			}
		}
	default:
		k.failures, k.rests = 0, nil
		p.naive.enter(k, c.State)
	}
}

// replace loads the keys with a random one left out and a random one changed while the load is under way.
func (p *pair) replace() {
	ids := slices.Sorted(maps.Keys(p.naive.keys))
	gone, changed := p.keyID(), p.keyID()
	p.note("replace without %d, %d disabled meanwhile", gone, changed)
	err := p.pool.Replace(func(put func([]fleet.Key) error) error {
		if p.naive.keys[changed] != nil {
			p.apply(fleet.KeyChange{KeyID: changed, GroupID: group, State: fleet.KeyDisabled})
		}
		var keys []fleet.Key
		for _, id := range ids {
			if id == gone {
				continue
			}
			k := key(int(id))
			k.State = fleet.KeyActive
			keys = append(keys, k)
			if id != changed {
				p.naive.put(id, fleet.KeyActive, nil)
			}
		}
		return put(keys)
	})
	if err != nil {
		p.failf("Replace: %v", err)
	}
	if gone != changed {
		delete(p.naive.keys, gone)
	}
}

func (p *pair) check() {
	if got, want := p.pool.Counts(p.now), p.naive.counts(p.now); got != want {
		p.failf("Counts = %+v, want %+v", got, want)
	}
	if p.pool.Len() != len(p.naive.keys) {
		p.failf("Len = %d, want %d", p.pool.Len(), len(p.naive.keys))
	}
	for id, want := range p.naive.keys {
		got, ok := p.pool.Get(id, p.now)
		if !ok || got.State != want.state || got.Failures != want.failures {
			p.failf("Get(%d) = %+v %v, want %+v", id, got, ok, want)
		}
		running := map[string]time.Time{}
		for _, c := range got.Cooldowns {
			running[c.Model] = c.Until
		}
		for model, r := range want.rests {
			if r.until.After(p.now) != !running[model].IsZero() || r.until.After(p.now) && !running[model].Equal(r.until) {
				p.failf("key %d rests for %q until %v, want %v", id, model, running[model], r.until)
			}
			delete(running, model)
		}
		if len(running) > 0 {
			p.failf("key %d rests %v too many", id, running)
		}
	}
}

func TestPoolBehavesLikeANaiveOne(t *testing.T) {
	t.Parallel()
	const sequences, operations = 400, 400
	for seed := range uint64(sequences) {
		p := &pair{
			t: t, rng: rand.New(rand.NewPCG(seed, 1)), pool: keypool.NewPool(group), now: start,
			naive: &naive{keys: map[fleet.KeyID]*naiveKey{}, served: map[string]map[fleet.KeyID]time.Time{}},
		}
		p.log = append(p.log, fmt.Sprintf("seed %d", seed))
		for id := range 6 {
			p.pool.Put(key(id + 1))
			p.naive.put(fleet.KeyID(id+1), fleet.KeyActive, nil)
		}
		for range operations {
			switch n := p.rng.IntN(20); {
			case n < 7:
				p.choose()
			case n < 10:
				p.succeed()
			case n < 15:
				p.fault()
			case n < 18:
				p.now = p.now.Add(p.duration())
				p.note("clock")
			default:
				p.operate()
			}
			p.check()
		}
	}
}
