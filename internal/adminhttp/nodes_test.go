package adminhttp_test

import (
	"errors"
	"testing"
	"time"

	"gpt-load/internal/cluster"
)

func TestNodes(t *testing.T) {
	w := newWorld(t)
	w.self = cluster.Member{ID: "b", Role: cluster.RoleFollower, Revision: 7, KeyRevision: 10, InFlight: 3, ClockOffset: -2 * time.Second, ServingFrom: cluster.ServingFromStore}
	w.members = []cluster.Member{
		{ID: "a", Role: cluster.RoleLeader, Revision: 9, KeyRevision: 10, SpoolWaiting: 4, SpoolDropped: 1, ServingFrom: cluster.ServingFromStore},
		{ID: "b", Role: cluster.RoleFollower, Revision: 6, KeyRevision: 9, ServingFrom: cluster.ServingFromLocalCopy},
	}
	list, err := w.client.Nodes(t.Context())
	if err != nil || !list.Complete || list.Message != "" || len(list.Nodes) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	a, b := list.Nodes[0], list.Nodes[1]
	if a.ID != "a" || a.Self || a.Role != "leader" || a.RevisionLag != 0 || a.RecordsWaiting != 4 || a.RecordsDropped != 1 {
		t.Errorf("%+v", a)
	}
	if b.ID != "b" || !b.Self || b.RevisionLag != 2 || b.KeyRevisionLag != 0 || b.InFlight != 3 || b.ClockOffsetMS != -2000 || b.ServingFrom != "store" {
		t.Errorf("what a node knows of itself is newer than what it announced: %+v", b)
	}

	w.nodesErr = errors.New("dial tcp: refused")
	list, err = w.client.Nodes(t.Context())
	if err != nil || list.Complete || list.Message == "" || len(list.Nodes) != 1 || !list.Nodes[0].Self {
		t.Errorf("while Redis is away: %+v, %v", list, err)
	}
}
