package node

import (
	"context"

	"gpt-load/internal/adminhttp"
	"gpt-load/internal/maintenance"
	"gpt-load/internal/operation"
)

// openOperations makes the long bulk work that every node takes part in.
func (n *node) openOperations() {
	n.operations = operation.NewService(operation.ServiceOptions{
		Store: n.store, Node: string(n.id), Log: n.Log.Named("operations"), RefuseValue: adminhttp.RefuseKey,
		Changed: func() {
			signal(n.staleKeys)
			signal(n.tidings.keys)
		},
		Settle: func(ctx context.Context) error {
			signal(n.tidings.keys)
			return n.feed.CatchUp(ctx)
		},
	})
	n.operations.Handle(operation.Validation, maintenance.ValidationOperation(n.validatedGroups, n.store, n.testKey, n.Log.Named("validation")))
}

// workOnOperations begins when the database has been reached.
func (n *node) workOnOperations(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-n.attached:
	}
	return n.operations.Run(ctx)
}
