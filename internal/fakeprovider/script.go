package fakeprovider

import (
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

// script holds the rules in force and what each has counted.
type script struct {
	mu    sync.Mutex
	rules []*scripted
	gates map[string]chan struct{}
}

type scripted struct {
	Rule
	since  time.Time
	counts map[string]int // by scope
	draw   *rand.Rand
}

func (s *script) set(rules []Rule, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
	s.openAll()
	s.add(rules, now)
}

func (s *script) append(rules []Rule, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(rules, now)
}

func (s *script) add(rules []Rule, now time.Time) {
	for _, r := range rules {
		number := len(s.rules) + 1
		if r.Name == "" {
			r.Name = "rule " + strconv.Itoa(number)
		}
		seed := max(r.When.Seed, 1)
		s.rules = append(s.rules, &scripted{
			Rule:   r,
			since:  now,
			counts: map[string]int{},
			draw:   rand.New(rand.NewPCG(seed, 0)), //nolint:gosec // a repeatable draw is the point
		})
	}
}

func (s *script) list() []Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	rules := make([]Rule, len(s.rules))
	for i, r := range s.rules {
		rules[i] = r.Rule
	}
	return rules
}

// decide counts the call with every rule that matches it and returns the first rule that fires.
func (s *script) decide(c *Call, now time.Time) (Rule, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var chosen *scripted
	for _, r := range s.rules {
		if !r.Match.accepts(c) {
			continue
		}
		if r.fires(c, now) && chosen == nil {
			chosen = r
		}
	}
	if chosen == nil {
		return Rule{}, false
	}
	return chosen.Rule, true
}

// fires counts one matching call and says whether the rule wants it.
func (r *scripted) fires(c *Call, now time.Time) bool {
	scope := ""
	switch r.When.Per {
	case PerRule:
	case PerKey:
		scope = c.Key
	case PerModel:
		scope = c.Model
	case PerKeyModel:
		scope = c.Key + "\x00" + c.Model
	}
	r.counts[scope]++
	n, w := r.counts[scope], r.When
	lucky := w.Probability == 0 || r.draw.Float64() < w.Probability // drawn for every call, so that a run repeats
	age := now.Sub(r.since)
	return lucky &&
		(w.Nth == 0 || n == w.Nth) &&
		(w.Every == 0 || n%w.Every == 0) &&
		(w.First == 0 || n <= w.First) &&
		n > w.After &&
		age >= w.From &&
		(w.For == 0 || age < w.From+w.For)
}

// gate returns the channel that is closed when name is released.
func (s *script) gate(name string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gateLocked(name)
}

func (s *script) gateLocked(name string) chan struct{} {
	if s.gates == nil {
		s.gates = map[string]chan struct{}{}
	}
	gate, ok := s.gates[name]
	if !ok {
		gate = make(chan struct{})
		s.gates[name] = gate
	}
	return gate
}

func (s *script) release(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gate := s.gateLocked(name)
	select {
	case <-gate:
	default:
		close(gate)
	}
}

// openAll lets go whatever is held, and forgets the gates.
func (s *script) openAll() {
	for _, gate := range s.gates {
		select {
		case <-gate:
		default:
			close(gate)
		}
	}
	s.gates = nil
}
