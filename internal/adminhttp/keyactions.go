package adminhttp

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/errgroup"

	"gpt-load/internal/fleet"
	"gpt-load/internal/settings"
	"gpt-load/pkg/adminapi"
)

// Bounds of one action on keys.
const (
	maxSelected = 10_000
	maxTested   = 100
)

// Reasons that a key shows after an operator's act.
const reasonDisabled = "disabled_by_operator"

type keyAction struct {
	GroupRef
	Body adminapi.KeySelection
}

func (a *API) mountKeyActions(api huma.API) {
	tags := []string{"keys"}
	action := func(name, summary string) huma.Operation {
		return huma.Operation{OperationID: name + "-keys", Method: http.MethodPost, Path: "/groups/{id}/keys/" + name, Tags: tags, Summary: summary}
	}
	routeWithin(longTimeout, api, action("test", "Test up to 100 keys now, by the same path as real traffic"), a.testKeys)
	routeWithin(longTimeout, api, action("restore", "Make invalid keys active again; failures and rests are forgotten, disabled keys are left alone"),
		a.stateAction(fleet.KeyActive, "", fleet.KeyActive, fleet.KeyInvalid))
	routeWithin(longTimeout, api, action("enable", "Make disabled keys active again"),
		a.stateAction(fleet.KeyActive, "", fleet.KeyDisabled))
	routeWithin(longTimeout, api, action("disable", "Take keys out until they are enabled"),
		a.stateAction(fleet.KeyDisabled, reasonDisabled, fleet.KeyActive, fleet.KeyInvalid))
	routeWithin(longTimeout, api, action("delete", "Delete keys for good"), a.deleteKeys)
}

// selection checks which keys of which group are meant.
func (a *API) selection(ctx context.Context, in *keyAction) (fleet.KeySelection, error) {
	if (len(in.Body.IDs) == 0) == (in.Body.State == "") {
		return fleet.KeySelection{}, invalid("ids", "send either ids or state")
	}
	if len(in.Body.IDs) > maxSelected {
		return fleet.KeySelection{}, invalid("ids", "has "+strconv.Itoa(len(in.Body.IDs))+" entries; the limit is "+strconv.Itoa(maxSelected)+", use state for all of a state")
	}
	state, err := parseState(in.Body.State)
	if err != nil {
		return fleet.KeySelection{}, err
	}
	which := fleet.KeySelection{State: state}
	seen := make(map[fleet.KeyID]bool, len(in.Body.IDs))
	for i, text := range in.Body.IDs {
		id, ok := parseID[fleet.KeyID](text)
		if !ok {
			return fleet.KeySelection{}, invalid("ids["+strconv.Itoa(i)+"]", "must be the id of a key, which is a positive number")
		}
		if !seen[id] {
			which.IDs = append(which.IDs, id)
		}
		seen[id] = true
	}
	g, err := a.keyGroup(ctx, in.ID)
	which.Group = g.ID
	return which, err
}

// stateAction makes the selected keys that stand in one of the from states stand in to. Where to is among from, it
// comes first, so that no key counts twice.
func (a *API) stateAction(to fleet.KeyState, reason string, from ...fleet.KeyState) func(context.Context, *keyAction) (*answer[adminapi.KeysChanged], error) {
	return func(ctx context.Context, in *keyAction) (*answer[adminapi.KeysChanged], error) {
		which, err := a.selection(ctx, in)
		if err != nil {
			return nil, err
		}
		if which.State != "" && !slices.Contains(from, which.State) {
			return nil, invalid("state", "keys that are "+string(which.State)+" are not what this action is for")
		}
		asked, changed := which.State, 0
		for _, state := range from {
			if asked != "" && asked != state {
				continue
			}
			which.State = state
			changes, err := a.Store.SetKeyState(ctx, which, to, reason)
			if len(changes) > 0 { // also those of a change that broke off half way
				a.Pools.KeysChanged(ctx, which.Group, nil, changes, nil)
			}
			if err != nil {
				return nil, err
			}
			changed += len(changes)
		}
		return &answer[adminapi.KeysChanged]{adminapi.KeysChanged{Changed: changed}}, nil
	}
}

func (a *API) deleteKeys(ctx context.Context, in *keyAction) (*answer[adminapi.KeysChanged], error) {
	which, err := a.selection(ctx, in)
	if err != nil {
		return nil, err
	}
	removed, err := a.Store.DeleteKeys(ctx, which)
	if len(removed) > 0 { // also those of a deletion that broke off half way
		a.Pools.KeysChanged(ctx, which.Group, nil, nil, removed)
	}
	if err != nil {
		return nil, err
	}
	return &answer[adminapi.KeysChanged]{adminapi.KeysChanged{Changed: len(removed)}}, nil
}

func (a *API) testKeys(ctx context.Context, in *struct {
	GroupRef
	Body struct {
		IDs []string `json:"ids" doc:"At most 100 ids."`
	} `nameHint:"KeyTestInput"`
},
) (*answer[adminapi.KeyTests], error) {
	if len(in.Body.IDs) > maxTested {
		return nil, invalid("ids", "has "+strconv.Itoa(len(in.Body.IDs))+" entries; the limit is "+strconv.Itoa(maxTested))
	}
	which, err := a.selection(ctx, &keyAction{GroupRef: in.GroupRef, Body: adminapi.KeySelection{IDs: in.Body.IDs}})
	if err != nil {
		return nil, err
	}
	g, err := a.Store.Group(ctx, which.Group)
	if err != nil {
		return nil, err
	}
	system, err := a.Store.Settings(ctx)
	if err != nil {
		return nil, err
	}
	values, _ := settings.Resolve(system, g.Settings)

	results := make([]adminapi.KeyTest, len(which.IDs))
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(values.KeyValidationConcurrency)
	for i, id := range which.IDs {
		work.Go(func() error {
			var err error
			results[i], err = a.testKey(ctx, g.ID, id)
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	return &answer[adminapi.KeyTests]{adminapi.KeyTests{Results: results}}, nil
}

func (a *API) testKey(ctx context.Context, group fleet.GroupID, id fleet.KeyID) (adminapi.KeyTest, error) {
	found, err := a.Tester.TestKey(ctx, group, id)
	if fleet.CodeOf(err) == fleet.CodeNotFound { // deleted meanwhile: no reason to keep the other results back
		return adminapi.KeyTest{ID: idText(id), Reason: string(fleet.CodeNotFound), Evidence: err.Error()}, nil
	}
	return adminapi.KeyTest{
		ID: idText(id), OK: found.OK, Status: found.Status, Class: string(found.Class), Reason: found.Reason,
		Evidence: found.Evidence, DurationMS: found.Duration.Milliseconds(), State: a.stateNow(ctx, group, id),
	}, err
}

// stateNow is how a key stands after a test; empty when it was deleted meanwhile.
func (a *API) stateNow(ctx context.Context, group fleet.GroupID, id fleet.KeyID) string {
	key, ok := a.Pools.Live(group, id)
	if !ok {
		var err error
		if key, err = a.Store.Key(ctx, id); err != nil {
			return ""
		}
	}
	return a.wireKey(key).State
}
