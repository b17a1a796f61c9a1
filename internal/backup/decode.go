package backup

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/settings"
)

// Reader reads a file: first Document, then NextKeys until io.EOF.
type Reader struct {
	stream     stream
	passphrase secret.Text
	sealer     *Sealer // nil before a sealed file's first document, and for any other file
	remember   bool
}

// NewReader reads from r as it is called. The passphrase may be empty for a file without sealed secrets.
func NewReader(r io.Reader, passphrase secret.Text) *Reader {
	return &Reader{stream: stream{r: bufio.NewReaderSize(r, 64<<10)}, passphrase: passphrase}
}

// Remember makes the reader keep the sealed form of everything that it reads, about 400 bytes for each secret, for a
// file that is written over this one.
func (r *Reader) Remember() { r.remember = true }

// Sealer seals as this file is sealed, and after Remember gives each secret that was read the form that it had. It is nil
// for a file without sealed secrets.
func (r *Reader) Sealer() *Sealer { return r.sealer }

// Document reads the first document. Errors: *FileError, ErrNoPassphrase, ErrWrongPassphrase, or the reader's own.
func (r *Reader) Document() (*Document, error) {
	content, before, err := r.stream.next()
	if errors.Is(err, io.EOF) {
		return nil, fileError(0, "the file is empty")
	}
	if err != nil {
		return nil, err
	}
	root, err := parse(content, before)
	if err != nil {
		return nil, err
	}
	d := &Document{Settings: map[string]string{}, omitted: map[string]bool{}, lines: map[string]int{}}
	w := &walker{reader: r, lines: d.lines}
	w.root(root, d)
	return d, w.end()
}

// walker reads nodes, and keeps everything that is wrong with them.
type walker struct {
	reader *Reader
	lines  map[string]int
	faults []Fault
	fatal  error // of the passphrase
}

func (w *walker) end() error {
	if w.fatal != nil {
		return w.fatal
	}
	if len(w.faults) > 0 {
		return &FileError{Faults: w.faults}
	}
	return nil
}

func (w *walker) fault(n *yaml.Node, place, format string, args ...any) {
	w.faults = append(w.faults, Fault{Line: n.Line, Place: place, Message: fmt.Sprintf(format, args...)})
}

func (w *walker) root(n *yaml.Node, d *Document) {
	version := 0
	// The passphrase comes first, wherever it stands: what follows is sealed with it.
	w.member(n, "passphrase", func(n *yaml.Node) { w.readSealer(n) })
	if w.fatal != nil {
		return
	}
	w.fields(n, "", fields{
		"gpt_load_backup": func(n *yaml.Node, place string) { w.integer(n, place, &version) },
		"passphrase":      func(*yaml.Node, string) {},
		"settings": func(n *yaml.Node, place string) {
			w.settings(n, place, d.Settings, d.omitted, false)
		},
		"groups": func(n *yaml.Node, place string) {
			w.items(n, place, func(n *yaml.Node, place string) {
				g := Group{omitted: omittedSecrets{settings: map[string]bool{}, headers: map[string]bool{}}}
				w.group(n, place, &g)
				d.Groups = append(d.Groups, g)
			})
		},
	})
	if version != Version && len(w.faults) == 0 {
		w.fault(n, "gpt_load_backup", "must stand there with %d, the form of file that this version reads", Version)
	}
}

func (w *walker) readSealer(n *yaml.Node) {
	var salt, check string
	w.fields(n, "passphrase", fields{
		"salt": func(n *yaml.Node, place string) { w.text(n, place, &salt) },
		"check": func(n *yaml.Node, _ string) {
			check = n.Value
		},
	})
	raw, err := base64.StdEncoding.DecodeString(salt)
	if err != nil || len(raw) != saltBytes {
		w.fault(n, "passphrase.salt", "must be %d bytes in base64, as export writes them", saltBytes)
		return
	}
	if w.reader.passphrase.IsEmpty() {
		w.fatal = ErrNoPassphrase
		return
	}
	sealer, err := sealerWith(w.reader.passphrase, raw)
	if err != nil {
		w.fatal = err
		return
	}
	if text, err := sealer.open(kindCheck, check); err != nil || text != checkText {
		w.fatal = ErrWrongPassphrase
		return
	}
	if w.reader.remember {
		sealer.remember(kindCheck, checkText, check)
	}
	w.reader.sealer = sealer
}

func (w *walker) settings(n *yaml.Node, place string, into map[string]string, left map[string]bool, group bool) {
	w.each(n, place, func(name string, n *yaml.Node, place string) {
		if isSecretSetting(name) {
			if n.Tag == omittedTag {
				left[name] = true
				return
			}
		}
		value := ""
		if !w.secretOr(n, place, kindSetting, &value) {
			return
		}
		text, fault := settings.Normalize(clip(name), value, group)
		if fault != nil {
			w.fault(n, place, "%s", fault.Message)
			return
		}
		into[name] = text
	})
}

func (w *walker) group(n *yaml.Node, place string, g *Group) {
	g.Kind = fleet.KindStandard
	w.fields(n, place, fields{
		"name":         func(n *yaml.Node, place string) { w.text(n, place, &g.Name) },
		"display_name": func(n *yaml.Node, place string) { w.text(n, place, &g.DisplayName) },
		"description":  func(n *yaml.Node, place string) { w.text(n, place, &g.Description) },
		"kind":         func(n *yaml.Node, place string) { w.text(n, place, (*string)(&g.Kind)) },
		"channel":      func(n *yaml.Node, place string) { w.text(n, place, (*string)(&g.Channel)) },
		"sort":         func(n *yaml.Node, place string) { w.integer(n, place, &g.Sort) },
		"upstreams": func(n *yaml.Node, place string) {
			w.items(n, place, func(n *yaml.Node, place string) {
				u := fleet.Upstream{Weight: 1}
				w.fields(n, place, fields{
					"url":    func(n *yaml.Node, place string) { w.text(n, place, &u.URL) },
					"weight": func(n *yaml.Node, place string) { w.integer(n, place, &u.Weight) },
				})
				u.URL = strings.TrimRight(strings.TrimSpace(u.URL), "/") // as the admin API does
				g.Upstreams = append(g.Upstreams, u)
			})
		},
		"members": func(n *yaml.Node, place string) {
			w.items(n, place, func(n *yaml.Node, place string) { w.memberOf(n, place, g) })
		},
		"proxy_keys":      func(n *yaml.Node, place string) { w.proxyKeys(n, place, g) },
		"model_redirects": func(n *yaml.Node, place string) { w.redirects(n, place, g) },
		"model_redirect_strict": func(n *yaml.Node, place string) {
			w.boolean(n, place, &g.ModelRedirectStrict)
		},
		"param_overrides": func(n *yaml.Node, place string) {
			w.items(n, place, func(n *yaml.Node, place string) { w.override(n, place, g) })
		},
		"header_rules": func(n *yaml.Node, place string) {
			w.items(n, place, func(n *yaml.Node, place string) { w.headerRule(n, place, g) })
		},
		"validation": func(n *yaml.Node, place string) {
			w.fields(n, place, fields{
				"off":     func(n *yaml.Node, place string) { w.boolean(n, place, &g.Validation.Off) },
				"model":   func(n *yaml.Node, place string) { w.text(n, place, &g.Validation.Model) },
				"path":    func(n *yaml.Node, place string) { w.text(n, place, &g.Validation.Path) },
				"payload": func(n *yaml.Node, place string) { w.text(n, place, &g.Validation.Payload) },
			})
		},
		"settings": func(n *yaml.Node, place string) {
			g.Settings = map[string]string{}
			w.settings(n, place, g.Settings, g.omitted.settings, true)
		},
	})
}

func (w *walker) memberOf(n *yaml.Node, place string, g *Group) {
	m := Member{Weight: 1, Tier: 1}
	w.fields(n, place, fields{
		"group":  func(n *yaml.Node, place string) { w.text(n, place, &m.Group) },
		"weight": func(n *yaml.Node, place string) { w.integer(n, place, &m.Weight) },
		"tier":   func(n *yaml.Node, place string) { w.integer(n, place, &m.Tier) },
	})
	g.Members = append(g.Members, m)
}

func (w *walker) proxyKeys(n *yaml.Node, place string, g *Group) {
	if n.Tag == omittedTag {
		g.omitted.proxyKeys = true
		return
	}
	w.items(n, place, func(n *yaml.Node, place string) {
		key := ""
		if w.secretOr(n, place, kindProxyKey, &key) {
			g.ProxyKeys = append(g.ProxyKeys, secret.New(key))
		}
	})
}

func (w *walker) redirects(n *yaml.Node, place string, g *Group) {
	w.items(n, place, func(n *yaml.Node, place string) {
		var r fleet.ModelRedirect
		w.fields(n, place, fields{
			"from": func(n *yaml.Node, place string) { w.text(n, place, &r.From) },
			"to":   func(n *yaml.Node, place string) { w.text(n, place, &r.To) },
		})
		g.ModelRedirects = append(g.ModelRedirects, r)
	})
}

func (w *walker) override(n *yaml.Node, place string, g *Group) {
	var o fleet.ParamOverride
	ways, remove := 0, false
	w.fields(n, place, fields{
		"path": func(n *yaml.Node, place string) { w.text(n, place, &o.Path) },
		"value": func(n *yaml.Node, place string) {
			ways++
			raw, fault := jsonOf(n)
			if fault != nil {
				w.faults = append(w.faults, Fault{Line: fault.line, Place: place, Message: fault.message})
				return
			}
			o.Value = raw
		},
		"json": func(n *yaml.Node, place string) {
			ways++
			raw := ""
			w.text(n, place, &raw)
			o.Value = compact([]byte(raw))
		},
		"remove": func(n *yaml.Node, place string) { w.boolean(n, place, &remove) },
	})
	if remove {
		ways++
	}
	if ways != 1 {
		w.fault(n, place, "needs one of value, json and remove: true")
	}
	g.ParamOverrides = append(g.ParamOverrides, o)
}

func (w *walker) headerRule(n *yaml.Node, place string, g *Group) {
	var r fleet.HeaderRule
	left := false
	w.fields(n, place, fields{
		"name":   func(n *yaml.Node, place string) { w.text(n, place, &r.Name) },
		"action": func(n *yaml.Node, place string) { w.text(n, place, (*string)(&r.Action)) },
		"value": func(n *yaml.Node, place string) {
			if left = n.Tag == omittedTag; !left {
				w.secretOr(n, place, kindHeader, &r.Value)
			}
		},
	})
	if left {
		g.omitted.headers[strings.ToLower(r.Name)] = true
	}
	g.HeaderRules = append(g.HeaderRules, r)
}

// secretOr reads a secret, sealed or plain, and reports whether there is one.
func (w *walker) secretOr(n *yaml.Node, place string, k kind, into *string) bool {
	if n.Tag != sealedTag {
		return w.text(n, place, into)
	}
	if w.reader.sealer == nil {
		w.fault(n, place, "is sealed, and the file has no passphrase member, without which nothing can open it")
		return false
	}
	text, err := w.reader.sealer.open(k, n.Value)
	if errors.Is(err, ErrWrongPassphrase) {
		err = errors.New("is sealed for another file; copy the value in clear, or seal the whole file with one passphrase")
	}
	if err != nil {
		w.fault(n, place, "%v", err)
		return false
	}
	if w.reader.remember {
		w.reader.sealer.remember(k, text, n.Value)
	}
	*into = text
	return true
}

// fields are the members that a mapping may have.
type fields map[string]func(n *yaml.Node, place string)

// fields reads a mapping and refuses members that nobody knows.
func (w *walker) fields(n *yaml.Node, place string, known fields) {
	w.each(n, place, func(name string, n *yaml.Node, place string) {
		read, ok := known[name]
		if !ok {
			w.fault(n, place, "is not known; there are %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
			return
		}
		read(n, place)
	})
}

// each reads a mapping, and refuses members that stand there twice.
func (w *walker) each(n *yaml.Node, place string, read func(name string, n *yaml.Node, place string)) {
	w.lines[place] = n.Line
	if n.Kind != yaml.MappingNode {
		w.fault(n, place, "must be a list of members with their names, not %s", whatIs(n))
		return
	}
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i]
		if name.Kind != yaml.ScalarNode || name.ShortTag() != "!!str" {
			w.fault(name, place, "has a member whose name is no text")
			continue
		}
		at := strings.TrimPrefix(place+"."+clip(name.Value), ".")
		if seen[name.Value] {
			w.fault(name, at, "stands there twice")
			continue
		}
		seen[name.Value] = true
		value := n.Content[i+1]
		w.lines[at] = value.Line
		read(name.Value, value, at)
	}
}

// member finds one member of a mapping, and leaves everything else to fields.
func (w *walker) member(n *yaml.Node, name string, read func(*yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			read(n.Content[i+1])
			return
		}
	}
}

func (w *walker) items(n *yaml.Node, place string, read func(n *yaml.Node, place string)) {
	if n.Kind != yaml.SequenceNode {
		w.fault(n, place, "must be a list, not %s", whatIs(n))
		return
	}
	for i, item := range n.Content {
		at := place + "[" + strconv.Itoa(i) + "]"
		w.lines[at] = item.Line
		read(item, at)
	}
}

// textTags are what the parser finds in values without a tag: any of them is a text where one is wanted.
var textTags = []string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}

func (w *walker) text(n *yaml.Node, place string, into *string) bool {
	w.lines[place] = n.Line
	switch tag := n.ShortTag(); {
	case n.Kind != yaml.ScalarNode || tag == "!!null":
		w.fault(n, place, "must be a text, not %s", whatIs(n))
		return false
	case tag == sealedTag || tag == omittedTag:
		w.fault(n, place, "is no secret, and must stand there as it is")
		return false
	case !slices.Contains(textTags, tag):
		w.fault(n, place, "has the tag %s; there are only %s and %s", clip(tag), sealedTag, omittedTag)
		return false
	}
	*into = n.Value
	return true
}

func (w *walker) integer(n *yaml.Node, place string, into *int) {
	number, err := strconv.ParseInt(n.Value, 10, 32)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil {
		w.fault(n, place, "must be a whole number, not %s", whatIs(n))
		return
	}
	*into = int(number)
}

func (w *walker) boolean(n *yaml.Node, place string, into *bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		w.fault(n, place, "must be true or false, not %s", whatIs(n))
		return
	}
	*into = strings.EqualFold(n.Value, "true")
}

// whatIs names a kind of node for people.
func whatIs(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a list of members"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias; write the value out"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!int":
		return "this number"
	case "!!float":
		return "a number with a fraction"
	case "!!bool":
		return "true or false"
	}
	return "this text"
}

// clip keeps a message about a huge name readable.
func clip(s string) string {
	const longest = 80
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "..."
	}
	return s
}
