package audit

import (
	"encoding/json"
	"fmt"
	"strings"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/settings"
)

// groupField is one thing that an operator sets of a group.
type groupField struct {
	name string
	get  func(*fleet.Group) any
	set  func(*fleet.Group, json.RawMessage) error
	// masked is get with secrets masked; nil where there are none.
	masked func(*fleet.Group) any
}

// plain is a field that is stored as it is.
func plain[T any](name string, at func(*fleet.Group) *T) groupField {
	return groupField{
		name: name,
		get:  func(g *fleet.Group) any { return *at(g) },
		set:  func(g *fleet.Group, raw json.RawMessage) error { return json.Unmarshal(raw, at(g)) },
	}
}

// list is a field of several things, each with a form of its own on paper.
func list[Domain, Paper any](name string, at func(*fleet.Group) *[]Domain, write func(Domain) Paper, read func(Paper) Domain, mask func(Domain) Paper) groupField {
	f := groupField{
		name: name,
		get:  func(g *fleet.Group) any { return each(*at(g), write) },
		set: func(g *fleet.Group, raw json.RawMessage) error {
			var all []Paper
			if err := json.Unmarshal(raw, &all); err != nil {
				return err
			}
			*at(g) = each(all, read)
			return nil
		},
	}
	if mask != nil {
		f.masked = func(g *fleet.Group) any { return each(*at(g), mask) }
	}
	return f
}

func each[From, To any](from []From, convert func(From) To) []To {
	to := make([]To, len(from))
	for i, f := range from {
		to[i] = convert(f)
	}
	return to
}

// The forms on paper are those of the admin API.
type (
	upstream struct {
		URL    string `json:"url"`
		Weight int    `json:"weight"`
	}
	headerRule struct {
		Name   string             `json:"name"`
		Action fleet.HeaderAction `json:"action"`
		Value  string             `json:"value,omitempty"`
	}
	redirect struct {
		From string `json:"from"`
		To   string `json:"to"`
	}
	validation struct {
		Off     bool   `json:"off"`
		Model   string `json:"model"`
		Path    string `json:"path"`
		Payload string `json:"payload"`
	}
	member struct {
		GroupID fleet.GroupID `json:"group_id,string"`
		Weight  int           `json:"weight"`
		Tier    int           `json:"tier"`
	}
	// The value is a text, because JSON inside JSON would come back compacted.
	override struct {
		Path   string  `json:"path"`
		Value  *string `json:"value,omitempty"`
		Remove bool    `json:"remove,omitempty"`
	}
)

// groupFields lists everything that an operator sets of a group but the settings, each of which is a field of its own.
// Kind never changes.
var groupFields = []groupField{
	plain("name", func(g *fleet.Group) *string { return &g.Name }),
	plain("display_name", func(g *fleet.Group) *string { return &g.DisplayName }),
	plain("description", func(g *fleet.Group) *string { return &g.Description }),
	plain("channel", func(g *fleet.Group) *fleet.Channel { return &g.Channel }),
	plain("sort", func(g *fleet.Group) *int { return &g.Sort }),
	list("upstreams", func(g *fleet.Group) *[]fleet.Upstream { return &g.Upstreams },
		func(u fleet.Upstream) upstream { return upstream(u) }, func(u upstream) fleet.Upstream { return fleet.Upstream(u) }, nil),
	list("proxy_keys", func(g *fleet.Group) *[]secret.Text { return &g.ProxyKeys }, secret.Text.Reveal, secret.New, settings.Mask),
	list("param_overrides", func(g *fleet.Group) *[]fleet.ParamOverride { return &g.ParamOverrides }, writeOverride, readOverride, maskOverride),
	list("header_rules", func(g *fleet.Group) *[]fleet.HeaderRule { return &g.HeaderRules },
		func(r fleet.HeaderRule) headerRule { return headerRule(r) }, func(r headerRule) fleet.HeaderRule { return fleet.HeaderRule(r) }, maskHeaderRule),
	list("model_redirects", func(g *fleet.Group) *[]fleet.ModelRedirect { return &g.ModelRedirects },
		func(r fleet.ModelRedirect) redirect { return redirect(r) }, func(r redirect) fleet.ModelRedirect { return fleet.ModelRedirect(r) }, nil),
	plain("model_redirect_strict", func(g *fleet.Group) *bool { return &g.ModelRedirectStrict }),
	{
		name: "validation",
		get:  func(g *fleet.Group) any { return validation(g.Validation) },
		set: func(g *fleet.Group, raw json.RawMessage) error {
			var v validation
			err := json.Unmarshal(raw, &v)
			g.Validation = fleet.Validation(v)
			return err
		},
	},
	list("members", func(g *fleet.Group) *[]fleet.Member { return &g.Members },
		func(m fleet.Member) member { return member(m) }, func(m member) fleet.Member { return fleet.Member(m) }, nil),
}

func writeOverride(o fleet.ParamOverride) override {
	w := override{Path: o.Path, Remove: o.Value == nil}
	if o.Value != nil {
		w.Value = new(string(o.Value))
	}
	return w
}

func readOverride(w override) fleet.ParamOverride {
	o := fleet.ParamOverride{Path: w.Path}
	if w.Value != nil {
		o.Value = json.RawMessage(*w.Value)
	}
	return o
}

// maskOverride shows values that hold no text: those are numbers and switches.
func maskOverride(o fleet.ParamOverride) override {
	w := writeOverride(o)
	if w.Value != nil && strings.Contains(*w.Value, `"`) {
		w.Value = new(settings.MaskPrefix)
	}
	return w
}

// maskHeaderRule shows values that are made of variables only.
func maskHeaderRule(r fleet.HeaderRule) headerRule {
	w := headerRule(r)
	rest := w.Value
	for _, name := range fleet.HeaderVariables {
		rest = strings.ReplaceAll(rest, "${"+name+"}", "")
	}
	if strings.TrimSpace(rest) != "" {
		w.Value = settings.MaskPrefix
	}
	return w
}

// settingPrefix begins the fields of a group's settings.
const settingPrefix = "settings."

// GroupFields are everything that an operator sets of a group, in clear.
func GroupFields(g *fleet.Group) Fields { return fieldsOf(g, false) }

// MaskedGroupFields are GroupFields with secrets masked.
func MaskedGroupFields(g *fleet.Group) Fields { return fieldsOf(g, true) }

func fieldsOf(g *fleet.Group, masked bool) Fields {
	fields := make(Fields, len(groupFields)+len(g.Settings))
	for _, f := range groupFields {
		value := f.get
		if masked && f.masked != nil {
			value = f.masked
		}
		fields[f.name] = Raw(value(g))
	}
	for name, text := range g.Settings {
		if masked {
			text = maskSetting(name, text)
		}
		fields[settingPrefix+name] = Raw(text)
	}
	return fields
}

// ChangeOfGroup is what differs between two states of a group, in clear and masked.
func ChangeOfGroup(before, after *fleet.Group) (clear, masked Change) {
	clear = Diff(GroupFields(before), GroupFields(after))
	return clear, clear.maskedBy(MaskedGroupFields(before), MaskedGroupFields(after))
}

// maskedBy shows the same fields, also those whose masked forms are alike.
func (c Change) maskedBy(before, after Fields) Change {
	masked := Change{Before: make(Fields, len(c.Before)), After: make(Fields, len(c.After))}
	for name := range c.Before {
		masked.Before[name], masked.After[name] = orNull(before[name]), orNull(after[name])
	}
	return masked
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return null
	}
	return raw
}

// SetGroupFields puts fields that GroupFields wrote into a group, and leaves its other fields alone.
func SetGroupFields(g *fleet.Group, fields Fields) error {
	overrides := make(map[string]string, len(g.Settings))
	for name, text := range g.Settings {
		overrides[name] = text
	}
	g.Settings = overrides
	for name, raw := range fields {
		if err := setGroupField(g, name, raw); err != nil {
			return fmt.Errorf("field %s of a stored change: %w", name, err)
		}
	}
	return nil
}

func setGroupField(g *fleet.Group, name string, raw json.RawMessage) error {
	if setting, ok := strings.CutPrefix(name, settingPrefix); ok {
		var text *string
		if err := json.Unmarshal(raw, &text); err != nil {
			return err
		}
		delete(g.Settings, setting)
		if text != nil {
			g.Settings[setting] = *text
		}
		return nil
	}
	for _, f := range groupFields {
		if f.name == name {
			return f.set(g, raw)
		}
	}
	return nil // an older release knew it
}

// ChangeOfSettings is what differs between two states of settings by name, canonical texts, in clear and masked.
func ChangeOfSettings(before, after map[string]string) (clear, masked Change) {
	clear = Diff(SettingsFields(before), SettingsFields(after))
	return clear, clear.maskedBy(maskedSettings(before), maskedSettings(after))
}

// SettingsFields are settings as fields, in clear.
func SettingsFields(values map[string]string) Fields {
	fields := make(Fields, len(values))
	for name, text := range values {
		fields[name] = Raw(text)
	}
	return fields
}

func maskedSettings(values map[string]string) Fields {
	fields := make(Fields, len(values))
	for name, text := range values {
		fields[name] = Raw(maskSetting(name, text))
	}
	return fields
}

// maskSetting hides what a name that no setting has stands for.
func maskSetting(name, text string) string {
	d, ok := settings.Find(name)
	if !ok {
		return settings.MaskPrefix
	}
	return d.Masked(text)
}

// Raw is a value as JSON; null for one that has none, which none of ours is.
func Raw(value any) json.RawMessage {
	raw, err := json.Marshal(value)
	if err != nil {
		return null
	}
	return raw
}
