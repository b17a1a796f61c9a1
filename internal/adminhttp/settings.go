package adminhttp

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/internal/fleet"
	"gpt-load/internal/settings"
	"gpt-load/pkg/adminapi"
)

func (a *API) mountSettings(api huma.API) {
	tags := []string{"settings"}
	route(api, huma.Operation{
		OperationID: "list-settings", Method: http.MethodGet, Path: "/settings", Tags: tags, Summary: "List every setting with its value, bounds and meaning",
	}, a.listSettings)
	change := huma.Operation{
		OperationID: "change-settings", Method: http.MethodPatch, Path: "/settings", Tags: tags, Summary: "Change the settings that are sent; null goes back to the default",
		Description: "All or nothing: with one wrong value none is changed. The next request goes by the new values. With If-Match, settings that somebody changed since are refused with 412.",
	}
	route(api, change, a.changeSettings)
}

type settingsAnswer struct {
	ETag string `header:"ETag" doc:"The revision of the settings, for If-Match."`
	Body adminapi.SettingList
}

func (a *API) listSettings(ctx context.Context, in *struct {
	Reveal bool `query:"reveal" doc:"Show secrets in clear."`
},
) (*settingsAnswer, error) {
	revisions, err := a.Store.Revisions(ctx) // before the settings: never newer than they are
	if err != nil {
		return nil, err
	}
	return a.settingsAt(ctx, revisions, in.Reveal)
}

func (a *API) settingsAt(ctx context.Context, revisions fleet.Revisions, reveal bool) (*settingsAnswer, error) {
	system, err := a.Store.Settings(ctx)
	if err != nil {
		return nil, err
	}
	return &settingsAnswer{ETag: etag(revisions.Settings), Body: wireSettings(system, revisions, reveal)}, nil
}

func (a *API) changeSettings(ctx context.Context, in *struct {
	IfMatch string `header:"If-Match" doc:"Change the settings only if this is still their revision."`
	Body    adminapi.SettingsPatch
},
) (*settingsAnswer, error) {
	only, err := parseRevision(in.IfMatch)
	if err != nil {
		return nil, err
	}
	values, reset, faults := settingChanges(in.Body, false)
	if err := fleet.InvalidFields(faults); err != nil {
		return nil, err
	}
	if len(values)+len(reset) == 0 {
		revisions, err := a.Store.Revisions(ctx)
		if err == nil {
			err = fleet.CheckRevision("the settings", only, revisions.Settings)
		}
		if err != nil {
			return nil, err
		}
		return a.settingsAt(ctx, revisions, false)
	}
	revision, err := a.Store.SaveSettingsAt(ctx, values, reset, only)
	if err != nil {
		return nil, err
	}
	if err := a.serve(ctx, revision); err != nil {
		return nil, err
	}
	return a.settingsAt(ctx, fleet.Revisions{Configuration: revision, Settings: revision}, false)
}

// settingChanges reads a map of new values, where null means reset, by the settings table. The faults come in the
// order of names.
func settingChanges(changes map[string]any, group bool) (values map[string]string, reset []string, faults []fleet.FieldError) {
	names := make([]string, 0, len(changes))
	for name := range changes {
		names = append(names, name)
	}
	slices.Sort(names)
	values = make(map[string]string, len(names))
	for _, name := range names {
		d, known := settings.Find(name)
		value := changes[name]
		if text, ok := value.(string); ok && d.Secret && strings.Contains(text, adminapi.MaskPrefix) {
			faults = append(faults, fleet.FieldError{Field: name, Message: maskedFault(adminapi.MaskPrefix)})
			continue
		}
		if value == nil && known {
			reset = append(reset, name)
			continue
		}
		text, fault := settings.Normalize(clip(name), value, group)
		if fault != nil {
			faults = append(faults, *fault)
			continue
		}
		values[name] = text
	}
	return values, reset, faults
}

func wireSettings(system map[string]string, at fleet.Revisions, reveal bool) adminapi.SettingList {
	list := adminapi.SettingList{Revision: at.Configuration, SettingsRevision: at.Settings}
	for _, d := range settings.Table() {
		list.Settings = append(list.Settings, wireSetting(d, system, nil, reveal))
	}
	return list
}

func wireSetting(d settings.Descriptor, system, group map[string]string, reveal bool) adminapi.Setting {
	text, level := settings.Effective(d, system, group)
	s := adminapi.Setting{
		Name: d.Name, Section: d.Section, Kind: string(d.Kind), Unit: d.Unit, Default: d.Typed(d.Default),
		GroupOverride: d.GroupOverride, Secret: d.Secret, Doc: d.Doc, Value: wireValue(d, text, reveal), Level: string(level),
	}
	if d.Kind == settings.KindInt {
		s.Min, s.Max = &d.Min, &d.Max
	}
	return s
}

// wireValue is a setting's value in its own JSON type, masked when it is a secret.
func wireValue(d settings.Descriptor, text string, reveal bool) any {
	if !d.Secret || reveal || text == "" {
		return d.Typed(text)
	}
	return d.Masked(text)
}
