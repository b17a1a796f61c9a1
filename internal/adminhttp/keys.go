package adminhttp

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/pkg/adminapi"
)

// KeyRef is the key of a path.
type KeyRef struct {
	ID string `path:"id" doc:"Id of the key."`
}

func (a *API) mountKeys(api huma.API) {
	tags := []string{"keys"}
	routeWithin(longTimeout, api, huma.Operation{
		OperationID: "add-keys", Method: http.MethodPost, Path: "/groups/{id}/keys", Tags: tags, Summary: "Add keys to a standard group",
		MaxBodyBytes: 16 << 20, BodyReadTimeout: 5 * time.Minute,
	}, a.addKeys)
	route(api, huma.Operation{
		OperationID: "list-keys", Method: http.MethodGet, Path: "/groups/{id}/keys", Tags: tags, Summary: "List the keys of a group, oldest first",
	}, a.listKeys)
	route(api, huma.Operation{
		OperationID: "search-keys", Method: http.MethodPost, Path: "/keys/search", Tags: tags, Summary: "Find one exact key",
	}, a.searchKeys)
	route(api, huma.Operation{OperationID: "get-key", Method: http.MethodGet, Path: "/keys/{id}", Tags: tags, Summary: "Get a key, masked"},
		func(ctx context.Context, in *KeyRef) (*answer[adminapi.Key], error) {
			k, err := a.key(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			return &answer[adminapi.Key]{a.wireKey(k)}, nil
		})
	route(api, huma.Operation{OperationID: "reveal-key", Method: http.MethodGet, Path: "/keys/{id}/value", Tags: tags, Summary: "Get a key in clear"},
		func(ctx context.Context, in *KeyRef) (*answer[adminapi.KeyValue], error) {
			k, err := a.key(ctx, in.ID)
			if err != nil {
				return nil, err
			}
			err = a.Store.RecordEvent(ctx, audit.Event{Kind: audit.KeyRevealed, NounID: idText(k.ID), Name: mask(k.Value), Group: k.GroupID})
			if err != nil {
				return nil, err
			}
			return &answer[adminapi.KeyValue]{adminapi.KeyValue{ID: idText(k.ID), Value: k.Value.Reveal()}}, nil
		})
}

func (a *API) key(ctx context.Context, text string) (fleet.Key, error) {
	id, err := pathID[fleet.KeyID]("key", text)
	if err != nil {
		return fleet.Key{}, err
	}
	return a.Store.Key(ctx, id)
}

// wireKey shows a key as the pool of this node sees it now; the store, which hears of changes in batches, only
// knows keys that the pool does not hold.
func (a *API) wireKey(stored fleet.Key) adminapi.Key {
	k := stored
	if live, ok := a.Pools.Live(stored.GroupID, stored.ID); ok {
		k.State, k.Reason, k.Evidence, k.Failures, k.Cooldowns = live.State, live.Reason, live.Evidence, live.Failures, live.Cooldowns
	}
	now := a.Clock()
	w := adminapi.Key{
		ID: idText(stored.ID), GroupID: idText(stored.GroupID), Masked: mask(stored.Value),
		State: string(k.State), Reason: k.Reason, Evidence: k.Evidence, Failures: k.Failures,
		Cooldowns: []adminapi.Cooldown{}, CreatedAt: wireTime(k.CreatedAt), UpdatedAt: wireTime(k.UpdatedAt),
	}
	for _, c := range k.Cooldowns {
		if !c.Until.After(now) {
			continue
		}
		w.Cooldowns = append(w.Cooldowns, adminapi.Cooldown{Model: c.Model, Until: wireTime(c.Until), Reason: c.Reason})
		if c.Model == "" && (k.State == fleet.KeyActive || k.State == fleet.KeyCooling) {
			w.State, w.Reason = string(fleet.KeyCooling), c.Reason
		}
	}
	return w
}

// keyGroup is the standard group of a path.
func (a *API) keyGroup(ctx context.Context, text string) (fleet.Group, error) {
	g, err := a.group(ctx, text)
	if err == nil && g.Kind == fleet.KindAggregate {
		err = fleet.NewError(fleet.CodeInvalid, "an aggregate holds no keys itself; use one of its members", nil)
	}
	return g, err
}

func (a *API) addKeys(ctx context.Context, in *struct {
	GroupRef
	Body adminapi.KeyInput
},
) (*answer[adminapi.KeyImport], error) {
	if len(in.Body.Keys) == 0 && strings.TrimSpace(in.Body.Text) == "" {
		return nil, invalid("keys", "send keys, a list of strings, or text with separators between the keys")
	}
	g, err := a.keyGroup(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	i := a.newImport(g.ID, in.Body.Disabled)
	for n, value := range in.Body.Keys {
		value = strings.TrimSpace(value)
		if err := i.take(ctx, n+1, secret.New(value), keyFault(value)); err != nil {
			return i.finish(ctx, err)
		}
	}
	return i.finish(ctx, i.read(ctx, in.Body.Text))
}

// storedStates are the states that a store can filter by.
var storedStates = []fleet.KeyState{fleet.KeyActive, fleet.KeyInvalid, fleet.KeyDisabled}

func parseState(text string) (fleet.KeyState, error) {
	state := fleet.KeyState(text)
	if text != "" && !slices.Contains(storedStates, state) {
		return "", invalid("state", "must be active, invalid or disabled; keys that rest count as active")
	}
	return state, nil
}

func (a *API) listKeys(ctx context.Context, in *struct {
	GroupRef
	State  string `query:"state" doc:"Only keys that are active (resting or not), invalid or disabled."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	Cursor string `query:"cursor" doc:"next_cursor of the page before."`
},
) (*answer[adminapi.KeyPage], error) {
	state, err := parseState(in.State)
	if err != nil {
		return nil, err
	}
	g, err := a.keyGroup(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return a.keyPage(ctx, fleet.KeyQuery{Group: g.ID, State: state, Limit: in.Limit, Cursor: in.Cursor})
}

func (a *API) searchKeys(ctx context.Context, in *struct{ Body adminapi.KeySearch }) (*answer[adminapi.KeyPage], error) {
	group, err := filterID[fleet.GroupID]("group_id", in.Body.GroupID)
	if err != nil {
		return nil, err
	}
	value := strings.TrimSpace(in.Body.Value)
	if fault := keyFault(value); fault != "" {
		return nil, invalid("value", fault)
	}
	return a.keyPage(ctx, fleet.KeyQuery{Group: group, Value: secret.New(value), Limit: fleet.MaxPage})
}

func (a *API) keyPage(ctx context.Context, q fleet.KeyQuery) (*answer[adminapi.KeyPage], error) {
	keys, next, err := a.Store.Keys(ctx, q)
	if err != nil {
		return nil, err
	}
	return &answer[adminapi.KeyPage]{adminapi.KeyPage{Keys: mapped(keys, a.wireKey), NextCursor: next}}, nil
}
