package keypool

import (
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gpt-load/internal/fleet"
)

// served remembers which keys served a model last: two different ones for each model are enough to answer
// whether any key but a given one did. Reading takes no lock, and a note is written at most once a minute.
type served struct {
	byModel atomic.Pointer[map[string]*servedBy]
	mu      sync.Mutex // held to add a model
}

type servedBy struct{ last atomic.Pointer[servings] }

// servings are never changed, only replaced.
type servings struct {
	keys [2]fleet.KeyID // the later first; 0 for none
	at   [2]int64
}

const (
	// servedMemory is how long "lately" reaches back.
	servedMemory = time.Hour
	servedStep   = time.Minute
	// maxServedModels bounds the memory where an upstream serves whatever name it is asked for.
	maxServedModels = 512
)

func (m *served) find(model string) *servedBy {
	if models := m.byModel.Load(); models != nil {
		return (*models)[model]
	}
	return nil
}

func (m *served) note(model string, id fleet.KeyID, at int64) {
	if model == "" || len(model) > maxModelName {
		return
	}
	by := m.find(model)
	if by == nil {
		if by = m.open(model, at); by == nil {
			return
		}
	}
	for {
		old := by.last.Load()
		next, changed := old.with(id, at)
		if !changed || by.last.CompareAndSwap(old, next) {
			return
		}
	}
}

// with adds a serving, unless that would say little that is new.
func (s *servings) with(id fleet.KeyID, at int64) (*servings, bool) {
	if s == nil {
		return &servings{keys: [2]fleet.KeyID{id}, at: [2]int64{at}}, true
	}
	fresh := func(i int) bool { return at-s.at[i] < int64(servedStep) }
	switch id {
	case s.keys[0]:
		if fresh(0) {
			return nil, false
		}
		return &servings{keys: s.keys, at: [2]int64{at, s.at[1]}}, true
	case s.keys[1]:
		if fresh(1) {
			return nil, false
		}
	default:
		if fresh(0) && fresh(1) && s.keys[1] != 0 {
			return nil, false
		}
	}
	return &servings{keys: [2]fleet.KeyID{id, s.keys[0]}, at: [2]int64{at, s.at[0]}}, true
}

// open makes the entry of a model. When there are too many it forgets those that nobody asked for lately, and
// failing that any.
func (m *served) open(model string, at int64) *servedBy {
	m.mu.Lock()
	defer m.mu.Unlock()
	if by := m.find(model); by != nil {
		return by
	}
	next := make(map[string]*servedBy)
	if models := m.byModel.Load(); models != nil {
		next = maps.Clone(*models)
	}
	if len(next) >= maxServedModels {
		maps.DeleteFunc(next, func(_ string, by *servedBy) bool {
			last := by.last.Load()
			return last == nil || at-last.at[0] > int64(servedMemory)
		})
	}
	for name := range next {
		if len(next) < maxServedModels {
			break
		}
		delete(next, name)
	}
	by := &servedBy{}
	next[strings.Clone(model)] = by // the name may be cut out of a request body
	m.byModel.Store(&next)
	return by
}

// ServedLately reports whether any key but one served the model within the last hour, to a minute. The memory
// is bounded: of more than 512 models some are forgotten, and names of more than 256 bytes are not noted.
func (p *Pool) ServedLately(model string, except fleet.KeyID, now time.Time) bool {
	by := p.served.find(model)
	if by == nil {
		return false
	}
	last := by.last.Load()
	if last == nil {
		return false
	}
	for i, id := range last.keys {
		if id != 0 && id != except && now.UnixNano()-last.at[i] <= int64(servedMemory) {
			return true
		}
	}
	return false
}
