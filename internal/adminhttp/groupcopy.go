package adminhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/internal/fleet"
	"gpt-load/internal/operation"
	"gpt-load/pkg/adminapi"
)

func (a *API) mountGroupCopy(api huma.API) {
	tags := []string{"groups"}
	route(api, huma.Operation{
		OperationID: "copy-group", Method: http.MethodPost, Path: "/groups/{id}/copy", Tags: tags, Summary: "Make a group like another one", DefaultStatus: http.StatusCreated,
		Description: "Everything that is configured is copied at once: upstreams, redirects, overrides, header rules, proxy keys, settings, validation, and the members of an aggregate. " +
			"Keys follow in an operation, which is the way for any number of them; a copy operation begun again adds only what is missing.",
	}, a.copyGroup)
	route(api, huma.Operation{
		OperationID: "order-groups", Method: http.MethodPut, Path: "/groups/order", Tags: tags, Summary: "Put all groups into an order",
		Description: "All or nothing: a list that misses a group, or names one that is gone, is a conflict that says which.",
	}, a.orderGroups)
}

func (a *API) copyGroup(ctx context.Context, in *struct {
	GroupRef
	Body adminapi.GroupCopyInput
},
) (*answer[adminapi.GroupCopied], error) {
	from, err := a.group(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	withKeys := in.Body.Keys == adminapi.CopyValidKeys || in.Body.Keys == adminapi.CopyAllKeys
	if withKeys && from.Kind == fleet.KindAggregate {
		return nil, invalid("keys", "must be none: an aggregate holds no keys itself, and the copy shares its members")
	}
	change := groupChange{group: from}
	change.group.ID = 0
	change.apply(adminapi.GroupPatch{Name: &in.Body.Name, DisplayName: in.Body.DisplayName})
	rules, err := a.rulesNow(ctx)
	if err != nil {
		return nil, err
	}
	if err := change.check(rules); err != nil {
		return nil, err
	}
	made, err := a.Store.CopyGroup(ctx, fleet.GroupCopy{
		From: from.ID, Name: change.group.Name, DisplayName: change.group.DisplayName, Join: in.Body.JoinAggregates,
	})
	if err != nil {
		return nil, err
	}
	copied := adminapi.GroupCopied{Group: a.wireGroup(made, false)}
	if withKeys {
		o, err := a.copyKeys(ctx, from.ID, made.ID, in.Body.Keys)
		if err != nil {
			return nil, errors.Join(err, a.serve(ctx, made.Revision))
		}
		w := a.wireOperation(o)
		copied.Operation = &w
	}
	if err := a.serve(ctx, made.Revision); err != nil {
		return nil, err
	}
	return &answer[adminapi.GroupCopied]{copied}, nil
}

// copyKeys begins to copy the keys of one group to another that was just made of it.
func (a *API) copyKeys(ctx context.Context, from, to fleet.GroupID, which string) (operation.Operation, error) {
	options := operation.Options{From: from}
	if which == adminapi.CopyValidKeys {
		options.State = fleet.KeyActive
	}
	o, err := a.Operations.Start(ctx, operation.Operation{Kind: operation.Copy, GroupID: to, Options: options})
	var known *fleet.Error
	if errors.As(err, &known) {
		told := *known
		told.Message = fmt.Sprintf("the group is copied and has the id %d, but its keys are not: %s; do not repeat the copy, begin that of the keys with POST /groups/%d/operations, kind copy, from_group_id %d",
			to, known.Message, to, from)
		err = &told
	}
	return o, err
}

func (a *API) orderGroups(ctx context.Context, in *struct{ Body adminapi.GroupOrder }) (*answer[adminapi.GroupOrdered], error) {
	ids := make([]fleet.GroupID, len(in.Body.GroupIDs))
	var faults []fleet.FieldError
	for i, text := range in.Body.GroupIDs {
		id, ok := parseID[fleet.GroupID](text)
		if !ok {
			faults = append(faults, fleet.FieldError{Field: fmt.Sprintf("group_ids[%d]", i), Message: "must be the id of a group, which is a positive number"})
		}
		ids[i] = id
	}
	if err := fleet.InvalidFields(faults); err != nil {
		return nil, err
	}
	revision, err := a.Store.OrderGroups(ctx, ids)
	if err != nil {
		return nil, err
	}
	if err := a.serve(ctx, revision); err != nil {
		return nil, err
	}
	return &answer[adminapi.GroupOrdered]{adminapi.GroupOrdered{GroupIDs: mapped(ids, idText), Revision: revision}}, nil
}
