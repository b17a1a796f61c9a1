package sqlstore

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/settings"
)

type groupRow struct {
	bun.BaseModel `bun:"table:proxy_groups"`
	ID            int64  `bun:"id,pk,autoincrement"`
	Name          string `bun:"name"`
	FoldedName    string `bun:"folded_name"`
	DisplayName   string `bun:"display_name"`
	Description   string `bun:"description"`
	Kind          string `bun:"kind"`
	Channel       string `bun:"channel"`
	Sort          int    `bun:"sort"`
	Config        string `bun:"config"`
	Secrets       string `bun:"secrets"`
	Revision      int64  `bun:"revision"`
	CreatedAt     int64  `bun:"created_at"`
	UpdatedAt     int64  `bun:"updated_at"`
}

type memberRow struct {
	bun.BaseModel `bun:"table:group_members"`
	GroupID       int64 `bun:"group_id,pk"`
	MemberID      int64 `bun:"member_id,pk"`
	Place         int   `bun:"place"`
	Weight        int   `bun:"weight"`
	Tier          int   `bun:"tier"`
}

// groupConfig is the JSON of proxy_groups.config.
type groupConfig struct {
	Upstreams  []upstreamJSON    `json:"upstreams,omitempty"`
	Redirects  []redirectJSON    `json:"model_redirects,omitempty"`
	Strict     bool              `json:"model_redirect_strict,omitempty"`
	Validation *validationJSON   `json:"validation,omitempty"`
	Settings   map[string]string `json:"settings,omitempty"`
}

// groupSecrets is the JSON that is sealed in proxy_groups.secrets: what holds secrets, or may hold one, as a header
// or a body member that carries a second credential does.
type groupSecrets struct {
	ProxyKeys      []string          `json:"proxy_keys,omitempty"`
	HeaderRules    []headerRuleJSON  `json:"header_rules,omitempty"`
	ParamOverrides []overrideJSON    `json:"param_overrides,omitempty"`
	Settings       map[string]string `json:"settings,omitempty"`
}

type upstreamJSON struct {
	URL    string `json:"url"`
	Weight int    `json:"weight"`
}

type redirectJSON struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type validationJSON struct {
	Off     bool   `json:"off,omitempty"`
	Model   string `json:"model,omitempty"`
	Path    string `json:"path,omitempty"`
	Payload string `json:"payload,omitempty"`
}

type headerRuleJSON struct {
	Name   string `json:"name"`
	Action string `json:"action"`
	Value  string `json:"value,omitempty"`
}

// overrideJSON keeps the value as a string, because JSON inside JSON would come back compacted and re-escaped. A nil
// value removes.
type overrideJSON struct {
	Path  string  `json:"path"`
	Value *string `json:"value"`
}

func groupPlace(id int64) string { return fmt.Sprintf("proxy_groups/%d/secrets", id) }

// rowOfGroup leaves Secrets empty: sealing them needs the id.
func rowOfGroup(g fleet.Group) (groupRow, error) {
	config := groupConfig{Strict: g.ModelRedirectStrict}
	for _, u := range g.Upstreams {
		config.Upstreams = append(config.Upstreams, upstreamJSON(u))
	}
	for _, r := range g.ModelRedirects {
		config.Redirects = append(config.Redirects, redirectJSON(r))
	}
	if g.Validation != (fleet.Validation{}) {
		v := validationJSON(g.Validation)
		config.Validation = &v
	}
	config.Settings, _ = splitSettings(g.Settings)
	text, err := json.Marshal(config)
	if err != nil {
		return groupRow{}, err
	}
	return groupRow{
		ID: int64(g.ID), Name: g.Name, FoldedName: strings.ToLower(g.Name), DisplayName: g.DisplayName, Description: g.Description,
		Kind: string(g.Kind), Channel: string(g.Channel), Sort: g.Sort, Config: string(text),
	}, nil
}

// sealGroup returns the text of proxy_groups.secrets, empty when the group has none.
func sealGroup(box *secret.Box, id int64, g fleet.Group) (string, error) {
	var held groupSecrets
	for _, k := range g.ProxyKeys {
		held.ProxyKeys = append(held.ProxyKeys, k.Reveal())
	}
	for _, r := range g.HeaderRules {
		held.HeaderRules = append(held.HeaderRules, headerRuleJSON{Name: r.Name, Action: string(r.Action), Value: r.Value})
	}
	for _, o := range g.ParamOverrides {
		stored := overrideJSON{Path: o.Path}
		if o.Value != nil {
			value := string(o.Value)
			stored.Value = &value
		}
		held.ParamOverrides = append(held.ParamOverrides, stored)
	}
	_, held.Settings = splitSettings(g.Settings)
	if len(held.ProxyKeys)+len(held.HeaderRules)+len(held.ParamOverrides)+len(held.Settings) == 0 {
		return "", nil
	}
	text, err := json.Marshal(held)
	if err != nil {
		return "", err
	}
	return box.Seal(secret.New(string(text)), groupPlace(id)), nil
}

// splitSettings tells plain overrides from secret ones, such as proxy_url.
func splitSettings(all map[string]string) (plain, secrets map[string]string) {
	for name, value := range all {
		into := &plain
		if d, ok := settings.Find(name); ok && d.Secret {
			into = &secrets
		}
		if *into == nil {
			*into = make(map[string]string)
		}
		(*into)[name] = value
	}
	return plain, secrets
}

// group builds the domain type. Its errors name the group, never what stands in it.
func (r groupRow) group(box func() (*secret.Box, error), members []memberRow) (fleet.Group, error) {
	var config groupConfig
	if err := json.Unmarshal([]byte(r.Config), &config); err != nil {
		return fleet.Group{}, fleet.NewError(fleet.CodeInternal, fmt.Sprintf("the stored configuration of group %s is damaged", r.Name), err)
	}
	g := fleet.Group{
		ID: fleet.GroupID(r.ID), Name: r.Name, DisplayName: r.DisplayName, Description: r.Description,
		Kind: fleet.GroupKind(r.Kind), Channel: fleet.Channel(r.Channel), Sort: r.Sort,
		ModelRedirectStrict: config.Strict, Settings: config.Settings,
		Revision: r.Revision, CreatedAt: timeOf(r.CreatedAt), UpdatedAt: timeOf(r.UpdatedAt),
	}
	for _, u := range config.Upstreams {
		g.Upstreams = append(g.Upstreams, fleet.Upstream(u))
	}
	for _, m := range config.Redirects {
		g.ModelRedirects = append(g.ModelRedirects, fleet.ModelRedirect(m))
	}
	if config.Validation != nil {
		g.Validation = fleet.Validation(*config.Validation)
	}
	for _, m := range members {
		g.Members = append(g.Members, fleet.Member{GroupID: fleet.GroupID(m.MemberID), Weight: m.Weight, Tier: m.Tier})
	}
	if r.Secrets == "" {
		return g, nil
	}
	opener, err := box()
	if err != nil {
		return fleet.Group{}, err
	}
	return g, r.openSecrets(opener, &g)
}

func (r groupRow) openSecrets(box *secret.Box, g *fleet.Group) error {
	text, err := box.Open(r.Secrets, groupPlace(r.ID))
	var held groupSecrets
	if err == nil {
		err = json.Unmarshal([]byte(text.Reveal()), &held)
	}
	if err != nil {
		return fleet.NewError(fleet.CodeInternal, fmt.Sprintf(
			"the stored proxy keys, header rules and overrides of group %s cannot be opened; restore a backup, or delete the group and make it again", r.Name), err)
	}
	for _, k := range held.ProxyKeys {
		g.ProxyKeys = append(g.ProxyKeys, secret.New(k))
	}
	for _, h := range held.HeaderRules {
		g.HeaderRules = append(g.HeaderRules, fleet.HeaderRule{Name: h.Name, Action: fleet.HeaderAction(h.Action), Value: h.Value})
	}
	for _, o := range held.ParamOverrides {
		override := fleet.ParamOverride{Path: o.Path}
		if o.Value != nil {
			override.Value = json.RawMessage(*o.Value)
		}
		g.ParamOverrides = append(g.ParamOverrides, override)
	}
	for name, value := range held.Settings {
		if g.Settings == nil {
			g.Settings = make(map[string]string)
		}
		g.Settings[name] = value
	}
	return nil
}
