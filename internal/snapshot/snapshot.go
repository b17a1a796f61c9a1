package snapshot

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"sync/atomic"

	"gpt-load/internal/fleet"
	"gpt-load/internal/jsonbody"
	"gpt-load/internal/secret"
	"gpt-load/internal/settings"
	"gpt-load/internal/upstream"
)

// Snapshot is one complete configuration. Nothing in it changes after Compile.
type Snapshot struct {
	Revision int64
	System   settings.Values
	// SystemText is the stored text of the system settings, for those who show where a value comes from.
	SystemText map[string]string

	systemKeys digests
	byName     map[string]*Group
	byID       map[fleet.GroupID]*Group
	groups     []*Group
}

// Group is a group ready to serve.
type Group struct {
	fleet.Group
	Settings  settings.Values
	Transport upstream.TransportConfig
	Overrides []jsonbody.Edit
	Rules     []HeaderRule

	redirects map[string]string
	keys      digests
}

// digests maps the SHA-256 of a proxy key to the fingerprint that records show. Looking a digest up leaks nothing
// useful by its timing: an attacker cannot steer the digest of what he sends.
type digests map[[sha256.Size]byte]string

func (d digests) add(keys []secret.Text, fingerprint func(secret.Text) string) {
	for _, key := range keys {
		d[sha256.Sum256([]byte(key.Reveal()))] = fingerprint(key)
	}
}

// Compile builds a snapshot. fingerprint gives what records show of a proxy key. What is wrong with single
// values or groups comes back as faults beside a snapshot that serves everything else.
func Compile(revision int64, system map[string]string, groups []fleet.Group, fingerprint func(secret.Text) string) (*Snapshot, []fleet.FieldError) {
	values, faults := settings.Resolve(system, nil)
	s := &Snapshot{
		Revision: revision, System: values, SystemText: system,
		systemKeys: make(digests),
		byName:     make(map[string]*Group, len(groups)),
		byID:       make(map[fleet.GroupID]*Group, len(groups)),
	}
	s.systemKeys.add(values.ProxyKeys, fingerprint)
	for _, g := range groups {
		compiled, groupFaults := compileGroup(g, system, fingerprint)
		for _, f := range groupFaults {
			faults = append(faults, fleet.FieldError{Field: "group " + g.Name + ": " + f.Field, Message: f.Message})
		}
		if compiled == nil {
			continue
		}
		s.groups = append(s.groups, compiled)
		s.byName[g.Name] = compiled
		s.byID[g.ID] = compiled
	}
	return s, faults
}

func compileGroup(g fleet.Group, system map[string]string, fingerprint func(secret.Text) string) (*Group, []fleet.FieldError) {
	values, faults := settings.Resolve(system, g.Settings)
	c := &Group{
		Group: g, Settings: values,
		Transport: upstream.TransportConfig{
			ConnectTimeout: values.ConnectTimeout, IdleConnTimeout: values.IdleConnTimeout,
			ResponseHeaderTimeout: values.ResponseHeaderTimeout,
			MaxIdleConns:          values.MaxIdleConns, MaxIdleConnsPerHost: values.MaxIdleConnsPerHost,
			ProxyURL: values.ProxyURL, Protocol: upstream.Protocol(values.UpstreamProtocol),
		},
		Rules: compileRules(g.HeaderRules),
		keys:  make(digests),
	}
	c.keys.add(g.ProxyKeys, fingerprint)
	for i, o := range g.ParamOverrides {
		path, err := jsonbody.ParsePath(o.Path)
		if err != nil {
			// Serving without an override that the operator relies on could cost money or leak; the group stays out.
			return nil, append(faults, fleet.FieldError{Field: fmt.Sprintf("param_overrides[%d]", i), Message: err.Error()})
		}
		c.Overrides = append(c.Overrides, jsonbody.Edit{Path: path, Value: o.Value})
	}
	if len(g.ModelRedirects) > 0 {
		c.redirects = make(map[string]string, len(g.ModelRedirects))
		for _, r := range g.ModelRedirects {
			c.redirects[r.From] = r.To
		}
	}
	return c, faults
}

// Group finds a group by the name in a path. Names are stored in lower case and compared without regard to it.
func (s *Snapshot) Group(name string) (*Group, bool) {
	g, ok := s.byName[name]
	if !ok {
		g, ok = s.byName[strings.ToLower(name)]
	}
	return g, ok
}

// ByID finds a group by its id.
func (s *Snapshot) ByID(id fleet.GroupID) (*Group, bool) {
	g, ok := s.byID[id]
	return g, ok
}

// Groups lists the groups in their order of display. The slice must not be changed.
func (s *Snapshot) Groups() []*Group { return s.groups }

// Admits reports whether a proxy key opens the group (nil asks for the system's keys alone), and the key's fingerprint.
func (s *Snapshot) Admits(g *Group, key string) (fingerprint string, ok bool) {
	if key == "" {
		return "", false
	}
	digest := sha256.Sum256([]byte(key))
	if fingerprint, ok = s.systemKeys[digest]; ok || g == nil {
		return fingerprint, ok
	}
	fingerprint, ok = g.keys[digest]
	return fingerprint, ok
}

// Redirect returns the model to send for the model asked, and false when strict mode refuses it.
func (g *Group) Redirect(asked string) (send string, allowed bool) {
	if to, ok := g.redirects[asked]; ok {
		return to, true
	}
	return asked, !g.ModelRedirectStrict
}

// ReadsModels reports whether the group must know the model of a request for certain: it redirects or refuses by it.
func (g *Group) ReadsModels() bool { return g.ModelRedirectStrict || len(g.redirects) > 0 }

// Holder gives every request the current snapshot.
type Holder struct{ current atomic.Pointer[Snapshot] }

// Load returns the current snapshot, nil before the first one.
func (h *Holder) Load() *Snapshot { return h.current.Load() }

// Store puts a snapshot in place. Only the Loader and tests call it.
func (h *Holder) Store(s *Snapshot) { h.current.Store(s) }
