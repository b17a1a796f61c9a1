package node

import (
	"context"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/maintenance"
)

// openJobs makes the work that a leading node does in the background. A single node leads itself.
func (n *node) openJobs() {
	validation := maintenance.NewKeyValidation(n.validatedGroups, n.store, n.testKey, n.Log.Named("validation"))
	retention := maintenance.NewRetention(n.store, func() time.Duration { return n.snapshots.Load().System.RequestLogRetention }, n.Log.Named("retention"))
	n.jobs = maintenance.NewRunner(n.Log.Named("jobs"), validation.Job(), retention.Job())
}

func (n *node) validatedGroups() []maintenance.ValidatedGroup {
	var groups []maintenance.ValidatedGroup
	for _, g := range n.snapshots.Load().Groups() {
		groups = append(groups, maintenance.ValidatedGroup{Group: g.Group, Settings: g.Settings})
	}
	return groups
}

func (n *node) testKey(ctx context.Context, group fleet.GroupID, key fleet.KeyID) (maintenance.KeyTest, error) {
	result, err := n.proxy.TestKey(ctx, group, key)
	return maintenance.KeyTest{Class: result.Class, Restored: result.Restored}, err
}
