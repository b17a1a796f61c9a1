package adminhttp

import (
	"context"
	"net/http"
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
		OperationID: "list-keys", Method: http.MethodGet, Path: "/groups/{id}/keys", Tags: tags, Summary: "List the keys of a group",
		Description: "Where no index serves the filter, a page ends after a tenth of a second with what was found so far, maybe nothing: only a page without next_cursor is the last.",
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
			keys, err := a.wireKeys(ctx, []fleet.Key{k})
			if err != nil {
				return nil, err
			}
			return &answer[adminapi.Key]{keys[0]}, nil
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
		Weight: k.Weight, Notes: k.Notes, Tags: append([]string{}, k.Tags...),
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
	list, err := a.wireKeys(ctx, keys)
	if err != nil {
		return nil, err
	}
	return &answer[adminapi.KeyPage]{adminapi.KeyPage{Keys: list, NextCursor: next}}, nil
}

// wireKeys shows keys with how often they were used.
func (a *API) wireKeys(ctx context.Context, keys []fleet.Key) ([]adminapi.Key, error) {
	usage, err := a.Store.KeyUsage(ctx, mapped(keys, func(k fleet.Key) fleet.KeyID { return k.ID }))
	if err != nil {
		return nil, err
	}
	list := mapped(keys, a.wireKey)
	for i := range list {
		used := usage[keys[i].ID]
		list[i].Requests, list[i].FailedRequests = used.Requests, used.Failures
		if !used.LastUsedAt.IsZero() {
			at := wireTime(used.LastUsedAt)
			list[i].LastUsedAt = &at
		}
	}
	return list, nil
}
