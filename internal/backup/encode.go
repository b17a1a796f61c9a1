package backup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"gpt-load/internal/fleet"
	"gpt-load/internal/settings"
)

// heading stands above every file.
const heading = `# Configuration of GPT-Load, written by "gpt-load export"; "gpt-load import FILE --plan" shows what it would change.
`

// Write writes the first document of a file. A nil sealer leaves the secrets out.
func Write(w io.Writer, d *Document, sealer *Sealer) error {
	d.sort()
	e := encoder{sealer: sealer}
	root := mapping()
	put(root, "gpt_load_backup", number(Version))
	if sealer != nil {
		seal := mapping()
		put(seal, "salt", text(sealer.saltText()))
		put(seal, "check", e.secret(kindCheck, checkText))
		put(root, "passphrase", seal)
	}
	if len(d.Settings) > 0 {
		put(root, "settings", e.settings(d.Settings))
	}
	if len(d.Groups) > 0 {
		put(root, "groups", list(d.Groups, e.group))
	}
	if _, err := io.WriteString(w, heading); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	return encode(w, root)
}

func encode(w io.Writer, root *yaml.Node) error {
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(root); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return fmt.Errorf("writing the backup: %w", err)
	}
	return nil
}

// encoder makes nodes. masked, where it is set, takes the place of sealing: for what people read.
type encoder struct {
	sealer *Sealer
	masked func(string) string
}

func (e encoder) secret(k kind, value string) *yaml.Node {
	switch {
	case e.masked != nil:
		return text(e.masked(value))
	case e.sealer != nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: sealedTag, Value: e.sealer.seal(k, value)}
	}
	return omitted()
}

func omitted() *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: omittedTag} }

func (e encoder) settings(values map[string]string) *yaml.Node {
	m := mapping()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		d, _ := settings.Find(name)
		switch value := values[name]; {
		case d.Secret && value != "":
			put(m, name, e.secret(kindSetting, value))
		case d.Kind == settings.KindInt || d.Kind == settings.KindBool:
			put(m, name, &yaml.Node{Kind: yaml.ScalarNode, Value: value})
		default:
			put(m, name, text(value))
		}
	}
	return m
}

func (e encoder) group(g Group) *yaml.Node {
	m := mapping()
	put(m, "name", text(g.Name))
	putText(m, "display_name", g.DisplayName)
	putText(m, "description", g.Description)
	put(m, "kind", text(string(g.Kind)))
	put(m, "channel", text(string(g.Channel)))
	if g.Sort != 0 {
		put(m, "sort", number(g.Sort))
	}
	putList(m, "upstreams", g.Upstreams, func(u fleet.Upstream) *yaml.Node {
		n := mapping()
		put(n, "url", text(u.URL))
		put(n, "weight", number(u.Weight))
		return n
	})
	putList(m, "members", g.Members, func(member Member) *yaml.Node {
		n := mapping()
		put(n, "group", text(member.Group))
		put(n, "weight", number(member.Weight))
		put(n, "tier", number(member.Tier))
		return n
	})
	if len(g.ProxyKeys) > 0 {
		if e.sealer == nil && e.masked == nil {
			put(m, "proxy_keys", omitted())
		} else {
			keys := sequence()
			for _, key := range g.ProxyKeys {
				keys.Content = append(keys.Content, e.secret(kindProxyKey, key.Reveal()))
			}
			put(m, "proxy_keys", keys)
		}
	}
	putList(m, "model_redirects", g.ModelRedirects, func(r fleet.ModelRedirect) *yaml.Node {
		n := mapping()
		put(n, "from", text(r.From))
		put(n, "to", text(r.To))
		return n
	})
	if g.ModelRedirectStrict {
		put(m, "model_redirect_strict", boolean(true))
	}
	putList(m, "param_overrides", g.ParamOverrides, override)
	putList(m, "header_rules", g.HeaderRules, e.headerRule)
	if g.Validation != (fleet.Validation{}) {
		put(m, "validation", validation(g.Validation))
	}
	if len(g.Settings) > 0 {
		put(m, "settings", e.settings(g.Settings))
	}
	return m
}

func (e encoder) headerRule(r fleet.HeaderRule) *yaml.Node {
	n := mapping()
	put(n, "name", text(r.Name))
	put(n, "action", text(string(r.Action)))
	switch {
	case r.Action != fleet.HeaderSet:
	case isSecretHeader(r):
		put(n, "value", e.secret(kindHeader, r.Value))
	default:
		put(n, "value", text(r.Value))
	}
	return n
}

func validation(v fleet.Validation) *yaml.Node {
	n := mapping()
	if v.Off {
		put(n, "off", boolean(true))
	}
	putText(n, "model", v.Model)
	putText(n, "path", v.Path)
	putText(n, "payload", v.Payload)
	return n
}

// override writes a value as YAML where that reads back as the same JSON, and as JSON text where it does not, such as
// for repeated members.
func override(o fleet.ParamOverride) *yaml.Node {
	n := mapping()
	put(n, "path", text(o.Path))
	if o.Value == nil {
		put(n, "remove", boolean(true))
		return n
	}
	raw := compact(o.Value)
	if value, err := yamlOf(raw); err == nil {
		if again, fault := jsonOf(value); fault == nil && bytes.Equal(again, raw) {
			put(n, "value", value)
			return n
		}
	}
	put(n, "json", text(string(raw)))
	return n
}

// compact is a JSON value without the spaces that mean nothing.
func compact(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw // validation refuses it
	}
	return b.Bytes()
}

func mapping() *yaml.Node  { return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"} }
func sequence() *yaml.Node { return &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"} }

func put(m *yaml.Node, name string, value *yaml.Node) {
	m.Content = append(m.Content, text(name), value)
}

func putText(m *yaml.Node, name, value string) {
	if value != "" {
		put(m, name, text(value))
	}
}

func list[T any](items []T, node func(T) *yaml.Node) *yaml.Node {
	s := sequence()
	for _, item := range items {
		s.Content = append(s.Content, node(item))
	}
	return s
}

func putList[T any](m *yaml.Node, name string, items []T, node func(T) *yaml.Node) {
	if len(items) > 0 {
		put(m, name, list(items, node))
	}
}

func number(n int) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(n)}
}

func boolean(b bool) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(b)}
}

// text is a string; lines stand as lines only where every character of them survives that.
func text(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	odd := func(r rune) bool { return r != '\n' && r != ' ' && !unicode.IsPrint(r) }
	switch {
	case s == "<<": // the encoder does not know that this would be a merge
		n.Style = yaml.DoubleQuotedStyle
	case strings.ContainsFunc(s, odd), strings.Contains(s, "\n") && (strings.Contains(s, " \n") || strings.TrimSpace(s) != s):
		n.Style = yaml.DoubleQuotedStyle
	case strings.Contains(s, "\n"):
		n.Style = yaml.LiteralStyle
	}
	return n
}
