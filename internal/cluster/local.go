package cluster

import (
	"context"
	"sync/atomic"
	"time"
)

// leadAgain is the pause after a lead that returned by itself.
const leadAgain = time.Second

// LocalLease is the lease of a node that is alone: it leads as long as it runs.
type LocalLease struct{ leading atomic.Bool }

// Run implements Lease.
func (l *LocalLease) Run(ctx context.Context, lead func(context.Context)) error {
	for ctx.Err() == nil {
		l.leading.Store(true)
		lead(ctx)
		l.leading.Store(false)
		select {
		case <-ctx.Done():
		case <-time.After(leadAgain):
		}
	}
	return nil
}

// Leading implements Lease.
func (l *LocalLease) Leading() bool { return l.leading.Load() }

// LocalBus is the bus of a node that is alone: there is nobody to tell and nothing to hear.
type LocalBus struct{}

// Publish implements Bus.
func (LocalBus) Publish(context.Context, string, []byte) error { return nil }

// Run implements Bus.
func (LocalBus) Run(ctx context.Context, _ func(Message), subscribed func()) error {
	subscribed()
	<-ctx.Done()
	return nil
}

// LocalMembership knows the one node that there is.
type LocalMembership struct{ self atomic.Pointer[Member] }

// Announce implements Membership.
func (l *LocalMembership) Announce(_ context.Context, m Member) error {
	m.SeenAt = time.Now()
	l.self.Store(&m)
	return nil
}

// Members implements Membership.
func (l *LocalMembership) Members(context.Context) ([]Member, error) {
	self := l.self.Load()
	if self == nil || time.Since(self.SeenAt) > MemberTimeout {
		return nil, nil
	}
	return []Member{*self}, nil
}

// Leave implements Membership.
func (l *LocalMembership) Leave(_ context.Context, id NodeID) error {
	if self := l.self.Load(); self != nil && self.ID == id {
		l.self.Store(nil)
	}
	return nil
}
