package cluster_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gpt-load/internal/cluster"
)

func TestNodeIDsDiffer(t *testing.T) {
	t.Parallel()
	a, b := cluster.NewNodeID(), cluster.NewNodeID()
	if a == b || len(a) < len("x-12345678") || strings.ContainsAny(string(a), " \n") {
		t.Errorf("ids %q and %q", a, b)
	}
}

func TestALocalMemberThatFallsSilentIsGone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &cluster.LocalMembership{}
		for _, silence := range []struct {
			length time.Duration
			left   int
		}{{cluster.MemberTimeout, 1}, {cluster.MemberTimeout + time.Second, 0}} {
			if err := m.Announce(t.Context(), cluster.Member{ID: "a"}); err != nil {
				t.Fatal(err)
			}
			<-time.After(silence.length)
			if members, err := m.Members(t.Context()); err != nil || len(members) != silence.left {
				t.Errorf("after %s: %v, %v", silence.length, members, err)
			}
		}
	})
}
