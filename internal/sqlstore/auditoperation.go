package sqlstore

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/uptrace/bun"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/operation"
)

// recordOperationChange writes what happened to an operation, if that is an event: its end, or that somebody wants it.
func (s *Store) recordOperationChange(ctx context.Context, tx bun.Tx, before, after *operationRow) error {
	switch ended := operation.State(after.State).Ended(); {
	case ended && !operation.State(before.State).Ended():
		return s.recordOperation(ctx, tx, audit.OperationEnded, after)
	case after.CancelAsked && !before.CancelAsked:
		return s.recordOperation(ctx, tx, audit.OperationCanceled, after)
	}
	return nil
}

// recordOperation writes an event of an operation, in the transaction that changes its row.
func (s *Store) recordOperation(ctx context.Context, tx bun.Tx, kind audit.Kind, row *operationRow) error {
	a := s.begin(ctx, kind).about(row.ID, row.Kind+" in "+row.GroupName).in(row.GroupID)
	a.event.After = audit.Fields{"kind": audit.Raw(row.Kind)}
	switch kind {
	case audit.OperationStarted:
		var options operation.Options
		if json.Unmarshal([]byte(row.Options), &options) == nil {
			a.event.After["options"] = audit.Raw(shownOptions(&options))
		}
	case audit.OperationEnded:
		a.event.After["state"], a.event.After["done"] = audit.Raw(row.State), audit.Raw(row.Done)
		if json.Valid([]byte(row.Counts)) {
			a.event.After["counts"] = json.RawMessage(row.Counts)
		}
		a.event.Reason = row.Error
	}
	return s.record(ctx, tx, a, 1, nil, nil)
}

// shownOptions are those that an operation has, by the names of the admin API.
func shownOptions(o *operation.Options) map[string]any {
	shown := shownEdit(o.Edit)
	options := make(map[string]any, len(shown))
	for name, value := range shown {
		options[name] = value
	}
	from := ""
	if o.From != 0 {
		from = idText(int64(o.From))
	}
	putSet(options, map[string]any{
		"format": o.Format, "disabled": o.Disabled, "state": o.State, "from_group_id": from, "per_second": o.PerSecond, "action": o.Edit.Act, "model": o.Edit.Model,
	})
	if o.Filter != nil {
		filter := make(map[string]any)
		putSet(filter, map[string]any{
			"state": joined(o.Filter.States), "reason": o.Filter.Reason, "notes": o.Filter.Notes, "tag": o.Filter.Tag, "created_from": o.Filter.CreatedFrom,
			"created_to": o.Filter.CreatedTo, "used_from": o.Filter.UsedFrom, "used_to": o.Filter.UsedTo, "never_used": o.Filter.NeverUsed,
		})
		options["filter"] = filter
	}
	return options
}

// putSet adds those of some values that are not zero.
func putSet(to, values map[string]any) {
	for name, value := range values {
		if !reflect.ValueOf(value).IsZero() {
			to[name] = value
		}
	}
}

func joined(states []fleet.KeyState) string {
	words := make([]string, len(states))
	for i, state := range states {
		words[i] = string(state)
	}
	return strings.Join(words, ",")
}
