package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gpt-load/internal/cluster"
	"gpt-load/internal/fleet"
	"gpt-load/internal/rediscluster"
	"gpt-load/internal/sqlstore"
)

// inUse says more of an SQLite file that somebody else has open.
func (m *keyMigration) inUse(err error) error {
	if fleet.CodeOf(err) != fleet.CodeUnavailable || m.online {
		return err
	}
	return &fault{error: fmt.Errorf("the database file is open in another process, such as a running node: %w", err), remedy: nodesRemedy, code: exitFailed}
}

const nodesRemedy = "stop all nodes first; or give each both keys, in ENCRYPTION_KEY and ENCRYPTION_KEY_OLD, and run this with --online while they serve"

// checkNodes refuses to go on while nodes run that the change would cut off. Before the keys are known, change is empty.
func (m *keyMigration) checkNodes(ctx context.Context, change sqlstore.Rekeying) error {
	nodes, err := m.store.NodesInUse(ctx)
	if err != nil {
		return err
	}
	if m.online {
		if change.From == nil {
			return nil
		}
		if err := readBoth(nodes, change); err != nil {
			return err
		}
		return m.checkMembers(ctx, nodes)
	}
	if m.store.Shared() && len(nodes) > 0 { // of an SQLite file only this process is left
		names := make([]string, len(nodes))
		for i, n := range nodes {
			names[i] = fmt.Sprintf("%s (%s)", n.ID, n.Address)
		}
		return failed("nodes use the database: "+strings.Join(names, ", "), fmt.Sprintf("%s. A node that was killed counts for %v", nodesRemedy, sqlstore.NodeUseTimeout))
	}
	return m.checkMembers(ctx, nil)
}

// readBoth refuses nodes that cannot read what the change writes or has still to change.
func readBoth(nodes []sqlstore.NodeUse, change sqlstore.Rekeying) error {
	var names []string
	for _, n := range nodes {
		if !slices.Contains(n.KeyIDs, change.From.KeyID()) || !slices.Contains(n.KeyIDs, change.To.KeyID()) {
			names = append(names, fmt.Sprintf("%s (%s)", n.ID, n.Address))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return failed("these nodes do not have both keys: "+strings.Join(names, ", "),
		"restart them with the new key in ENCRYPTION_KEY and the old one in ENCRYPTION_KEY_OLD (none, where the other is none)")
}

// checkMembers asks Redis for nodes that the database does not know of, such as those of an older version.
func (m *keyMigration) checkMembers(ctx context.Context, known []sqlstore.NodeUse) error {
	if m.cfg.RedisDSN.IsEmpty() {
		return nil
	}
	redis, err := rediscluster.Open(rediscluster.Options{DSN: m.cfg.RedisDSN, Prefix: m.cfg.RedisKeyPrefix, Node: cluster.NewNodeID()})
	if err != nil {
		return err
	}
	defer redis.Close()
	members, err := redis.Membership().Members(ctx)
	if err != nil {
		if fleet.CodeOf(err) == fleet.CodeInvalid {
			return err
		}
		m.note("warning: Redis does not tell which nodes run (%s); only those count that the database knows of", m.redact(err.Error()))
		return nil
	}
	var names []string
	for _, member := range members {
		if !slices.ContainsFunc(known, func(n sqlstore.NodeUse) bool { return n.ID == string(member.ID) }) {
			names = append(names, fmt.Sprintf("%s (%s)", member.ID, member.Address))
		}
	}
	switch {
	case len(names) == 0:
		return nil
	case m.online:
		return failed("these nodes do not say which keys they have: "+strings.Join(names, ", "), "run this version of GPT-Load on all of them")
	}
	return failed("nodes run: "+strings.Join(names, ", "), fmt.Sprintf("%s. A node that was killed counts for %v", nodesRemedy, cluster.MemberTimeout))
}
