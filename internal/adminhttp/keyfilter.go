package adminhttp

import (
	"context"
	"slices"
	"strings"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/pkg/adminapi"
)

// KeyListQuery is adminapi.KeyFilter in the address, which ends up in logs: so there is no exact key.
type KeyListQuery struct {
	State       string    `query:"state" doc:"active (and not resting for every model), cooling (active, and resting for every model for 30 seconds or more), invalid or disabled; several with commas between."`
	Reason      string    `query:"reason" maxLength:"64" doc:"Exactly this reason, of the state or of a rest."`
	Notes       string    `query:"notes" maxLength:"500" doc:"Part of the notes, without regard to case."`
	Tag         string    `query:"tag" maxLength:"40" doc:"One of the tags, exactly."`
	CreatedFrom time.Time `query:"created_from" doc:"Added then or later."`
	CreatedTo   time.Time `query:"created_to" doc:"Added before."`
	UsedFrom    time.Time `query:"used_from" doc:"Last used then or later."`
	UsedTo      time.Time `query:"used_to" doc:"Last used before; keys that were never used do not fit."`
	NeverUsed   bool      `query:"never_used" doc:"Only keys that no record names."`
	Sort        string    `query:"sort" enum:"oldest,newest,last_used,failures,weight" default:"oldest" doc:"What comes first: the oldest, the newest, the last used, that with the most counted failures or with the greatest weight."`
	Limit       int       `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	Cursor      string    `query:"cursor" doc:"next_cursor of the page before, which had the same filter and order."`
}

func (q *KeyListQuery) filter() adminapi.KeyFilter {
	return adminapi.KeyFilter{
		State: q.State, Reason: q.Reason, Notes: q.Notes, Tag: q.Tag, CreatedFrom: q.CreatedFrom, CreatedTo: q.CreatedTo, UsedFrom: q.UsedFrom, UsedTo: q.UsedTo, NeverUsed: q.NeverUsed,
	}
}

func (a *API) listKeys(ctx context.Context, in *struct {
	GroupRef
	KeyListQuery
},
) (*answer[adminapi.KeyPage], error) {
	filter, err := parseKeyFilter("", in.filter())
	if err != nil {
		return nil, err
	}
	g, err := a.keyGroup(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return a.keyPage(ctx, fleet.KeyQuery{Group: g.ID, Filter: filter, Sort: fleet.KeySort(in.Sort), Limit: in.Limit, Cursor: in.Cursor})
}

// shownStates are the states that a filter knows.
var shownStates = []fleet.KeyState{fleet.KeyActive, fleet.KeyCooling, fleet.KeyInvalid, fleet.KeyDisabled}

// parseKeyFilter checks a filter whose fields are below prefix.
func parseKeyFilter(prefix string, in adminapi.KeyFilter) (fleet.KeyFilter, error) {
	var faults []fleet.FieldError
	fault := func(field, message string) {
		faults = append(faults, fleet.FieldError{Field: prefix + field, Message: message})
	}
	f := fleet.KeyFilter{
		Reason: in.Reason, Notes: in.Notes, Tag: in.Tag, CreatedFrom: in.CreatedFrom, CreatedTo: in.CreatedTo, UsedFrom: in.UsedFrom, UsedTo: in.UsedTo, NeverUsed: in.NeverUsed,
	}
	if in.State != "" {
		for word := range strings.SplitSeq(in.State, ",") {
			state := fleet.KeyState(strings.TrimSpace(word))
			if !slices.Contains(shownStates, state) {
				fault("state", "must be active, cooling, invalid or disabled, or several of them with commas between")
				break
			}
			if !slices.Contains(f.States, state) {
				f.States = append(f.States, state)
			}
		}
	}
	if !f.CreatedTo.IsZero() && !f.CreatedFrom.Before(f.CreatedTo) {
		fault("created_to", "must be later than created_from")
	}
	if !f.UsedTo.IsZero() && !f.UsedFrom.Before(f.UsedTo) {
		fault("used_to", "must be later than used_from")
	}
	if f.NeverUsed && !(f.UsedFrom.IsZero() && f.UsedTo.IsZero()) {
		fault("never_used", "leaves out all keys that used_from and used_to ask for; send one of them")
	}
	return f, fleet.InvalidFields(faults)
}
