package adminhttp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/settings"
	"gpt-load/pkg/adminapi"
)

// undoEvent does the opposite of an event by the same ways that people do it, so that every check holds and every node hears of it.
// The context says that it is an undo: the store claims the event in the transaction of the first change.
func (a *API) undoEvent(ctx context.Context, in *AuditRef) (*answer[adminapi.AuditUndone], error) {
	id, err := eventID(in.ID)
	if err != nil {
		return nil, err
	}
	e, undo, err := a.Store.AuditUndo(ctx, id)
	if err != nil {
		return nil, err
	}
	ctx = audit.WithUndo(ctx, id)
	done := adminapi.AuditUndone{Changed: 1}
	switch {
	case undo.Settings != nil:
		done.Changed = len(undo.Settings.Before)
		done.Revision, err = a.undoSettings(ctx, undo.Settings)
	case undo.Group != nil:
		done.Revision, err = a.undoGroup(ctx, e.Group, undo.Group)
	case undo.Order != nil:
		done.Revision, err = a.undoOrder(ctx, undo.Order)
	case undo.Values != nil:
		done.Changed, done.Kept, err = a.undoValues(ctx, e.Group, undo.Values)
	default:
		done.Changed, done.Kept, err = a.undoKeys(ctx, e.Group, undo.Keys)
	}
	if err != nil {
		return nil, err
	}
	if done.Revision > 0 {
		if err := a.serve(ctx, done.Revision); err != nil {
			return nil, err
		}
	}
	if e, err = a.Store.AuditEvent(ctx, id); err != nil {
		return nil, err
	}
	done.Event = wireEvent(e)
	return &answer[adminapi.AuditUndone]{done}, nil
}

// again runs a change that is made on top of what is stored, and anew when somebody else changed that in between.
func again(change func() (revision int64, err error)) (revision int64, err error) {
	for try := 1; ; try++ {
		revision, err = change()
		if fleet.CodeOf(err) != fleet.CodePreconditionFailed || try == changeTries {
			return revision, err
		}
	}
}

func (a *API) undoSettings(ctx context.Context, change *audit.Change) (int64, error) {
	return again(func() (int64, error) {
		revisions, err := a.Store.Revisions(ctx) // before the settings: never newer than they are
		if err != nil {
			return 0, err
		}
		now, err := a.Store.Settings(ctx)
		if err != nil {
			return 0, err
		}
		back, err := change.Back(audit.SettingsFields(now))
		if err != nil {
			return 0, err
		}
		set, reset, err := settingsOf(back)
		if err != nil {
			return 0, err
		}
		return a.Store.SaveSettingsAt(ctx, set, reset, revisions.Settings)
	})
}

// settingsOf reads fields as settings, and checks that this version takes them.
func settingsOf(fields audit.Fields) (set map[string]string, reset []string, err error) {
	set = make(map[string]string, len(fields))
	var faults []fleet.FieldError
	for name, raw := range fields {
		var text *string
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, nil, fmt.Errorf("setting %s of a stored change: %w", name, err)
		}
		if text == nil {
			reset = append(reset, name)
			continue
		}
		canonical, fault := settings.Normalize(name, *text, false)
		if fault != nil {
			faults = append(faults, *fault)
		}
		set[name] = canonical
	}
	return set, reset, fleet.InvalidFields(faults)
}

func (a *API) undoGroup(ctx context.Context, id fleet.GroupID, change *audit.Change) (int64, error) {
	return again(func() (int64, error) {
		g, err := a.Store.Group(ctx, id)
		if fleet.CodeOf(err) == fleet.CodeNotFound {
			return 0, fleet.NewError(fleet.CodeConflict, "nothing was undone: the group was deleted since", nil)
		}
		if err != nil {
			return 0, err
		}
		back, err := change.Back(audit.GroupFields(&g))
		if err != nil {
			return 0, err
		}
		restored := groupChange{group: g}
		if err := audit.SetGroupFields(&restored.group, back); err != nil {
			return 0, err
		}
		rules, err := a.rulesNow(ctx)
		if err != nil {
			return 0, err
		}
		if err := restored.check(rules); err != nil {
			return 0, err
		}
		g, err = a.Store.UpdateGroup(ctx, restored.group, g.Revision)
		return g.Revision, err
	})
}

func (a *API) undoOrder(ctx context.Context, order *audit.Order) (int64, error) {
	groups, err := a.Store.Groups(ctx)
	if err != nil {
		return 0, err
	}
	now := mapped(groups, func(g fleet.Group) fleet.GroupID { return g.ID })
	if !slices.Equal(now, order.After) {
		return 0, fleet.NewError(fleet.CodeConflict, "nothing was undone: the groups were put into another order since, or there are others", nil)
	}
	return a.Store.OrderGroups(ctx, order.Before)
}

// undoKeys puts back the keys that stand as the event left them.
func (a *API) undoKeys(ctx context.Context, group fleet.GroupID, steps []audit.KeyStep) (changed, kept int, err error) {
	for _, step := range steps {
		changes, err := a.Store.ReturnKeys(ctx, group, step)
		if len(changes) > 0 { // also those of a change that broke off half way
			a.Pools.KeysChanged(ctx, group, nil, changes, nil)
		}
		if err != nil {
			return changed, kept, err
		}
		changed += len(changes)
		kept += len(step.IDs) - len(changes)
	}
	return changed, kept, anyWentBack(changed)
}

// undoValues gives keys their weights, notes and tags back that are as the event left them.
func (a *API) undoValues(ctx context.Context, group fleet.GroupID, steps []audit.ValueStep) (changed, kept int, err error) {
	returned, err := a.Store.ReturnKeyValues(ctx, group, steps)
	if len(returned) > 0 { // also those of a change that broke off half way
		err = errors.Join(err, a.settleValues(ctx))
	}
	if err != nil {
		return len(returned), 0, err
	}
	for _, step := range steps {
		kept += len(step.IDs)
	}
	return len(returned), kept - len(returned), anyWentBack(len(returned))
}

func anyWentBack(changed int) error {
	if changed == 0 {
		return fleet.NewError(fleet.CodeConflict, "nothing was undone: no key stands any more as the event left it", nil)
	}
	return nil
}
