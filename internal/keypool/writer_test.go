package keypool_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keypool"
)

// fakeStore keeps the newest change of each key.
type fakeStore struct {
	mu     sync.Mutex
	stored map[fleet.KeyID]fleet.KeyChange
	calls  []int // changes in each call
	refuse func([]fleet.KeyChange) error
}

func newFakeStore() *fakeStore { return &fakeStore{stored: map[fleet.KeyID]fleet.KeyChange{}} }

func (s *fakeStore) ApplyKeyChanges(ctx context.Context, changes []fleet.KeyChange) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, len(changes))
	if s.refuse != nil {
		if err := s.refuse(changes); err != nil {
			return err
		}
	}
	for _, c := range changes {
		s.stored[c.KeyID] = c
	}
	return ctx.Err()
}

func (s *fakeStore) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.stored)
}

func (s *fakeStore) setRefusal(f func([]fleet.KeyChange) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = f
}

func change(id int, at time.Time) fleet.KeyChange {
	return fleet.KeyChange{KeyID: fleet.KeyID(id), GroupID: group, State: fleet.KeyInvalid, At: at}
}

// run starts a writer and returns what stops it and gives Run's error.
func run(w *keypool.Writer) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

func TestChangesAreStoredWithin200ms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		w := keypool.NewWriter(store, zap.NewNop())
		stop := run(w)
		for id := range 5 {
			w.Add(change(id+1, start))
		}
		<-time.After(200*time.Millisecond + 1)
		synctest.Wait()
		if store.count() != 5 || len(store.calls) != 1 {
			t.Errorf("%d changes in %d calls", store.count(), len(store.calls))
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestOnlyTheNewestChangeOfAKeyIsKept(t *testing.T) {
	t.Parallel()
	store := newFakeStore()
	w := keypool.NewWriter(store, zap.NewNop())
	for i := range 10_000 {
		c := change(1+i%10, start.Add(time.Duration(i)))
		c.Failures = i
		w.Add(c)
	}
	late := change(1, start.Add(-time.Second)) // overtaken on its way
	late.Failures = -1
	w.Add(late)
	if w.Pending() != 10 {
		t.Errorf("%d changes are held for 10 keys", w.Pending())
	}
	if err := w.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	for id, c := range store.stored {
		if want := 9_990 + int(id) - 1; c.Failures != want {
			t.Errorf("key %d: stored change %d, want %d", id, c.Failures, want)
		}
	}
	if w.Pending() != 0 {
		t.Errorf("%d changes are still pending", w.Pending())
	}
}

func TestBatchesAreBounded(t *testing.T) {
	t.Parallel()
	store := newFakeStore()
	w := keypool.NewWriter(store, zap.NewNop())
	for id := range 2500 {
		w.Add(change(id+1, start))
	}
	if err := w.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, n := range store.calls {
		if n > 1000 {
			t.Errorf("a batch of %d", n)
		}
	}
	if store.count() != 2500 {
		t.Errorf("%d changes are stored", store.count())
	}
}

func TestAStoreThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		store := newFakeStore()
		store.refuse = func([]fleet.KeyChange) error { return errors.New("connection refused") }
		w := keypool.NewWriter(store, zap.New(core))
		stop := run(w)
		for id := range 3000 {
			w.Add(change(id+1, start))
		}
		<-time.After(10 * time.Minute)
		synctest.Wait()
		if n := len(store.calls); n > 200 {
			t.Errorf("%d tries in ten minutes", n)
		}
		newer := change(1, start.Add(time.Second))
		newer.State = fleet.KeyActive
		w.Add(newer)
		store.setRefusal(nil)
		<-time.After(6 * time.Second)
		synctest.Wait()
		if store.count() != 3000 || store.stored[1].State != fleet.KeyActive {
			t.Errorf("%d changes are stored, key 1 is %s", store.count(), store.stored[1].State)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		if logs.Len() != 2 {
			t.Errorf("%d log lines for going and coming back, want 2", logs.Len())
		}
	})
}

// One change that the store refuses for its own sake must not keep the others waiting.
func TestAPoisonedChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		store.refuse = func(changes []fleet.KeyChange) error {
			for _, c := range changes {
				if c.KeyID == 13 {
					return errors.New("value out of range")
				}
			}
			return nil
		}
		w := keypool.NewWriter(store, zap.NewNop())
		stop := run(w)
		for id := range 3000 {
			w.Add(change(id+1, start))
		}
		<-time.After(5 * time.Minute)
		synctest.Wait()
		if store.count() != 2999 || w.Pending() != 1 {
			t.Errorf("%d changes are stored, %d are pending", store.count(), w.Pending())
		}
		err := stop()
		if err == nil || !strings.Contains(err.Error(), "1 are lost") {
			t.Errorf("the loss is reported as %v", err)
		}
	})
}

func TestABlockedStoreBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := blockedStore{entered: make(chan struct{}, 100)}
		w := keypool.NewWriter(store, zap.NewNop())
		stop := run(w)
		w.Add(change(1, start))
		<-store.entered
		for id := range 1000 {
			w.Add(change(id+1, start.Add(time.Second)))
		}
		if w.Pending() != 1000 {
			t.Errorf("%d changes are pending", w.Pending())
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		if err := w.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a flush with a deadline gave %v", err)
		}
		began := time.Now()
		if err := stop(); err == nil || !strings.Contains(err.Error(), "1000 are lost") {
			t.Errorf("stopping gave %v", err)
		}
		if took := time.Since(began); took > 6*time.Second {
			t.Errorf("stopping took %v", took)
		}
	})
}

// blockedStore answers nothing until the context ends.
type blockedStore struct{ entered chan struct{} }

func (s blockedStore) ApplyKeyChanges(ctx context.Context, _ []fleet.KeyChange) error {
	s.entered <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

func TestTheEndWritesWhatIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newFakeStore()
		w := keypool.NewWriter(store, zap.NewNop())
		stop := run(w)
		w.Add(change(1, start))
		if err := stop(); err != nil || store.count() != 1 {
			t.Errorf("%v, %d changes are stored", err, store.count())
		}
	})
}
