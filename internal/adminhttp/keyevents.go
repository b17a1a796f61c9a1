package adminhttp

import (
	"slices"
	"sync"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/pkg/adminapi"
)

const (
	keysTold     = 100  // keys of one event
	groupsTold   = 1000 // groups of one event
	restsTold    = 20   // cool-downs of one key
	keyEventWait = 200 * time.Millisecond
)

// keyEvents collects what becomes of keys until it is told. Its memory is bounded by what one event holds; adding is a matter of
// a map, because the data plane does it.
type keyEvents struct {
	mu      sync.Mutex
	changes map[fleet.KeyID]fleet.KeyChange
	groups  map[fleet.GroupID]struct{}
	omitted int
	wake    chan struct{} // capacity 1
}

func newKeyEvents() *keyEvents {
	return &keyEvents{changes: make(map[fleet.KeyID]fleet.KeyChange), groups: make(map[fleet.GroupID]struct{}), wake: make(chan struct{}, 1)}
}

// add takes changes of a group. Without any, only the group is told: keys came or went.
func (k *keyEvents) add(group fleet.GroupID, changes ...fleet.KeyChange) {
	k.mu.Lock()
	if len(k.groups) < groupsTold {
		k.groups[group] = struct{}{}
	}
	for _, c := range changes {
		held, known := k.changes[c.KeyID]
		switch {
		case !known && len(k.changes) >= keysTold:
			k.omitted++
		case !known || !c.At.Before(held.At):
			k.changes[c.KeyID] = c
		}
	}
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// take empties the collection.
func (k *keyEvents) take(now time.Time) adminapi.KeysEvent {
	k.mu.Lock()
	changes, groups := k.changes, k.groups
	event := adminapi.KeysEvent{Omitted: k.omitted, Changes: []adminapi.KeyEvent{}, Groups: []string{}}
	k.changes, k.groups, k.omitted = make(map[fleet.KeyID]fleet.KeyChange), make(map[fleet.GroupID]struct{}), 0
	k.mu.Unlock()
	for _, c := range changes {
		event.Changes = append(event.Changes, wireKeyEvent(c, now))
	}
	for id := range groups {
		event.Groups = append(event.Groups, idText(id))
	}
	slices.SortFunc(event.Changes, func(x, y adminapi.KeyEvent) int { return x.At.Compare(y.At) })
	slices.Sort(event.Groups)
	return event
}

func wireKeyEvent(c fleet.KeyChange, now time.Time) adminapi.KeyEvent {
	e := adminapi.KeyEvent{
		GroupID: idText(c.GroupID), KeyID: idText(c.KeyID), State: string(c.State), Reason: c.Reason,
		Cooldowns: []adminapi.Cooldown{}, At: wireTime(c.At),
	}
	for _, rest := range c.Cooldowns {
		if !rest.Until.After(now) {
			continue
		}
		if len(e.Cooldowns) < restsTold {
			e.Cooldowns = append(e.Cooldowns, adminapi.Cooldown{Model: rest.Model, Until: wireTime(rest.Until), Reason: rest.Reason})
		}
		if rest.Model == "" && c.State == fleet.KeyActive {
			e.State, e.Reason = string(fleet.KeyCooling), rest.Reason
		}
	}
	return e
}
