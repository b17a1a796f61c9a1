package adminhttp

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

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
	a.mountImport(api, tags)
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
		if err := i.take(ctx, scannedKey{line: n + 1, value: value, fault: keyFault(value)}); err != nil {
			return i.finish(ctx, err)
		}
	}
	return i.finish(ctx, i.read(ctx, strings.NewReader(in.Body.Text)))
}

// importInput has no Body, so that huma leaves the body to us: it is read as it comes, not held.
type importInput struct {
	GroupRef
	Disabled bool `query:"disabled" doc:"Add them switched off."`

	contentType string
	body        io.Reader
}

// Resolve implements huma.Resolver to get hold of the body.
func (in *importInput) Resolve(c huma.Context) []error {
	in.contentType = c.Header("Content-Type")
	in.body = &boundedReader{r: c.BodyReader(), left: maxImportBytes, call: callOf(c.Context())}
	return nil
}

var _ huma.Resolver = (*importInput)(nil)

func (a *API) mountImport(api huma.API, tags []string) {
	text := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Description: "Keys with newlines, spaces, tabs, commas or semicolons between them, or a JSON list of strings."}}
	op := huma.Operation{
		OperationID: "import-keys", Method: http.MethodPost, Path: "/groups/{id}/keys/import", Tags: tags, Summary: "Import keys from a text file",
		Description: "At most 64 MiB, read as it comes. What was added before an error stays; the error says how much.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"text/plain": text}},
	}
	routeWithin(longTimeout, api, op, a.importKeys)
	// Added after the registration: seeing a form, huma would read the body itself.
	op.RequestBody.Content["multipart/form-data"] = &huma.MediaType{Schema: &huma.Schema{
		Type: huma.TypeObject, Properties: map[string]*huma.Schema{"file": {Type: huma.TypeString, Format: "binary"}},
	}}
}

func (a *API) importKeys(ctx context.Context, in *importInput) (*answer[adminapi.KeyImport], error) {
	g, err := a.keyGroup(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	kind, parameters, err := mime.ParseMediaType(in.contentType)
	if err != nil && in.contentType != "" {
		return nil, invalid("Content-Type", "must be text/plain or multipart/form-data")
	}
	i := a.newImport(g.ID, in.Disabled)
	switch kind {
	case "multipart/form-data":
		return i.finish(ctx, i.readForm(ctx, multipart.NewReader(in.body, parameters["boundary"])))
	case "", "text/plain", "text/csv", "application/json", "application/octet-stream":
		return i.finish(ctx, i.read(ctx, in.body))
	}
	return nil, invalid("Content-Type", "must be text/plain or multipart/form-data, not "+clip(kind))
}

// readForm imports every file of a form.
func (i *keyImport) readForm(ctx context.Context, form *multipart.Reader) error {
	for files := 0; ; {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			if files == 0 {
				return invalid("file", "the form holds no file; send it as the field \"file\"")
			}
			return nil
		}
		if err != nil {
			return formFault(err)
		}
		if part.FileName() == "" && part.FormName() != "file" {
			continue
		}
		files++
		if err := i.read(ctx, part); err != nil {
			return formFault(err)
		}
	}
}

// formFault leaves our own errors alone and says of any other that the form is at fault.
func formFault(err error) error {
	if fleet.CodeOf(err) != fleet.CodeInternal {
		return err
	}
	return fleet.NewError(fleet.CodeInvalid, "the body is not a whole multipart/form-data form", err)
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
