package adminhttp

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/pkg/adminapi"
)

// AuditRef is the event of a path.
type AuditRef struct {
	ID string `path:"id" doc:"Id of the event."`
}

// AuditFilter is which events a list or an export has.
type AuditFilter struct {
	From    time.Time `query:"from" doc:"At or after this time."`
	To      time.Time `query:"to" doc:"Before this time."`
	Kind    string    `query:"kind" doc:"What happened, such as settings.changed or key.invalidated."`
	Actor   string    `query:"actor" doc:"How who did it was known." enum:"auth_key,session,anonymous,command,system"`
	Noun    string    `query:"noun" doc:"What kind of thing it happened to, such as settings, group, key, operation or session." maxLength:"32"`
	NounID  string    `query:"noun_id" doc:"Id of the thing. Acts on several keys at once are found by their group." maxLength:"64"`
	GroupID string    `query:"group_id" doc:"A group, and the keys in it."`
}

type auditPage struct {
	AuditFilter
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	Cursor string `query:"cursor" doc:"next_cursor of the page before."`
}

func (a *API) mountAudit(api huma.API) {
	tags := []string{"audit"}
	route(api, huma.Operation{
		OperationID: "list-audit", Method: http.MethodGet, Path: "/audit", Tags: tags, Summary: "List what was changed, by whom or why, newest first",
		Description: "Administrators' acts are kept for 400 days, automatic changes and wrong keys for 90 days and at most a million of each.",
	}, func(ctx context.Context, in *auditPage) (*answer[adminapi.AuditPage], error) {
		q, err := in.query()
		if err != nil {
			return nil, err
		}
		q.Limit, q.Cursor = in.Limit, in.Cursor
		events, next, err := a.Store.Audit(ctx, q)
		if err != nil {
			return nil, err
		}
		return &answer[adminapi.AuditPage]{adminapi.AuditPage{Events: mapped(events, wireEvent), NextCursor: next}}, nil
	})
	a.mountAuditExport(api, tags)
	route(api, huma.Operation{OperationID: "get-audit-event", Method: http.MethodGet, Path: "/audit/{id}", Tags: tags, Summary: "Get one event"},
		func(ctx context.Context, in *AuditRef) (*answer[adminapi.AuditEvent], error) {
			id, err := eventID(in.ID)
			if err != nil {
				return nil, err
			}
			e, err := a.Store.AuditEvent(ctx, id)
			if err != nil {
				return nil, err
			}
			return &answer[adminapi.AuditEvent]{wireEvent(e)}, nil
		})
	routeWithin(longTimeout, api, huma.Operation{
		OperationID: "undo-audit-event", Method: http.MethodPost, Path: "/audit/{id}/undo", Tags: tags, Summary: "Undo a change",
		Description: "Puts back what the event changed, and nothing else. What was changed again since is a conflict that names the fields; keys of a bulk act " +
			"that moved on stay as they are, and the others go back. An undo is an event itself, and is not undone.",
	}, a.undoEvent)
}

func eventID(text string) (audit.ID, error) {
	id, ok := audit.ParseID(text)
	if !ok {
		return id, fleet.NewError(fleet.CodeNotFound, "there is no event of this id; ids are UUIDs of 36 characters", nil)
	}
	return id, nil
}

func (f *AuditFilter) query() (audit.Query, error) {
	q := audit.Query{
		From: f.From, To: f.To, Kind: audit.Kind(f.Kind), Actor: audit.ActorKind(f.Actor), Noun: f.Noun, NounID: f.NounID,
	}
	var err error
	if q.Group, err = filterID[fleet.GroupID]("group_id", f.GroupID); err != nil {
		return q, err
	}
	if f.Kind != "" && !slices.Contains(audit.Kinds, q.Kind) {
		return q, invalid("kind", "must be one of "+strings.Join(mapped(audit.Kinds, func(k audit.Kind) string { return string(k) }), ", "))
	}
	if !f.To.IsZero() && !f.From.Before(f.To) {
		return q, invalid("to", "must be later than from")
	}
	return q, nil
}

func wireEvent(e audit.Event) adminapi.AuditEvent {
	w := adminapi.AuditEvent{
		ID: e.ID.String(), At: wireTime(e.At), Kind: string(e.Kind), Node: e.Node,
		Who:  adminapi.AuditActor{Kind: string(e.Who), ClientIP: e.ClientIP, Session: e.Session, RequestID: e.RequestID},
		Noun: e.Kind.Noun(), NounID: e.NounID, Name: e.Name, GroupID: idText(e.Group), Count: e.Count,
		Class: string(e.Class), Reason: e.Reason, Evidence: e.Evidence, Before: wireFields(e.Before), After: wireFields(e.After), Undoable: e.Undoable,
	}
	if !e.UndoOf.IsZero() {
		w.UndoOf = e.UndoOf.String()
	}
	if !e.UndoneBy.IsZero() {
		w.UndoneBy = e.UndoneBy.String()
	}
	return w
}

func wireFields(fields audit.Fields) map[string]json.RawMessage {
	if fields == nil {
		return map[string]json.RawMessage{}
	}
	return fields
}

// auditReveal writes down that secrets are about to be shown in clear. Without that they are not.
func (a *API) auditReveal(ctx context.Context, c huma.Context) error {
	if yes, _ := strconv.ParseBool(c.Query("reveal")); !yes {
		return nil
	}
	e := audit.Event{Kind: audit.ProxyKeysRevealed}
	switch c.Operation().Tags[0] {
	case "settings":
		e.Kind = audit.SettingsRevealed
	case "groups":
		e.Kind = audit.GroupRevealed
		if id, ok := parseID[fleet.GroupID](c.Param("id")); ok {
			e.NounID, e.Group = idText(id), id
		}
	}
	return a.Store.RecordEvent(ctx, e)
}
