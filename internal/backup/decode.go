package backup

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
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
