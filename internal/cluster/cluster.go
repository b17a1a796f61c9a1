package cluster

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"time"
)

// NodeID names a process of a fleet: its host and a random part, new at each start.
type NodeID string

// NewNodeID makes the id of this process.
func NewNodeID() NodeID {
	const random, longestHost = 8, 64
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "node"
	}
	return NodeID(host[:min(len(host), longestHost)] + "-" + strings.ToLower(rand.Text()[:random]))
}

// Lease decides which of several candidates leads.
type Lease interface {
	// Run competes until ctx ends. While this node leads, lead runs, in a context that ends when leadership can no
	// longer be trusted. lead must return soon then; the next term begins after it has. When ctx ends Run waits for lead
	// and gives the lease back, so that another candidate leads at once. A lead that returns by itself gives the lease back
	// too, and is not called again for a moment. A node that stopped without that, or that lost its network, is followed by
	// another within 10 seconds. For a moment two nodes may both believe that they lead: what a leader does must be
	// harmless twice. Run returns nil, after lead has returned.
	Run(ctx context.Context, lead func(ctx context.Context)) error
	// Leading reports whether this node leads now.
	Leading() bool
}

// Message is what a node hears of another one.
type Message struct {
	Kind   string
	From   NodeID
	SentAt time.Time // by the sender's clock
	Body   []byte
}

// Bus carries messages to all other nodes that listen at the time.
type Bus interface {
	// Publish sends a message within a few seconds or returns an error; the caller goes on without.
	Publish(ctx context.Context, kind string, body []byte) error
	// Run hands messages of other nodes to receive, one after the other, until ctx ends. subscribed is called
	// each time that listening begins: whatever was sent before is not heard.
	Run(ctx context.Context, receive func(Message), subscribed func()) error
}

// Role is what a node does beside serving.
type Role string

// The roles.
const (
	RoleSingle    Role = "single"    // there is no fleet
	RoleLeader    Role = "leader"    // does the background work
	RoleCandidate Role = "candidate" // would lead
	RoleFollower  Role = "follower"  // never leads
)

// What Member.ServingFrom says.
const (
	ServingFromStore     = "store"
	ServingFromLocalCopy = "local copy" // the database was away when the node started
)

// Member is what a node tells of itself.
type Member struct {
	ID          NodeID
	Role        Role
	Version     string
	Address     string // host:port where it listens
	Ready       bool
	ServingFrom string // the configuration it serves from: ServingFromStore or ServingFromLocalCopy

	Revision    int64 // of settings and groups in use
	KeyRevision int64 // of keys in use

	InFlight     int64 // proxied requests
	SpoolWaiting int64 // request records on their way to the database
	SpoolDropped int64 // request records dropped since the start, at the bounds of memory and disk

	// ClockOffset is how far its clock is ahead of the database's.
	ClockOffset time.Duration
	// StartedAt and SeenAt, when it was last heard of, are by the clock of whoever reads them.
	StartedAt time.Time
	SeenAt    time.Time
}

// MemberTimeout is how long a node stays a member without announcing itself.
const MemberTimeout = 15 * time.Second

// Membership knows which nodes there are.
type Membership interface {
	// Announce says that a node is there, for MemberTimeout.
	Announce(ctx context.Context, m Member) error
	// Members lists the nodes by id.
	Members(ctx context.Context) ([]Member, error)
	// Leave says that a node is gone.
	Leave(ctx context.Context, id NodeID) error
}
