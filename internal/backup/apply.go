package backup

import (
	"context"
	"maps"
	"slices"

	"gpt-load/internal/fleet"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// ApplyError says what was being done when a change failed. What was done before it stays; a new plan shows the rest.
type ApplyError struct {
	Doing string
	Err   error
}

// Error implements error.
func (e *ApplyError) Error() string { return e.Doing + ": " + e.Err.Error() }

// Unwrap gives the error itself.
func (e *ApplyError) Unwrap() error { return e.Err }

// Apply makes the changes of the plan, and tells each that is made. Groups go in the order that the API's rules ask for:
// members before their aggregates, and out of them before they go. It returns the ids of all groups by name.
func (p *Plan) Apply(ctx context.Context, client *adminclient.Client, made func(Change)) (ids map[string]string, err error) {
	a := application{client: client, made: made, ids: make(map[string]string), revisions: make(map[string]int64)}
	for name, g := range p.running.byName {
		a.ids[name], a.revisions[name] = g.ID, g.Revision
	}
	standard := func(c Change) bool { return c.kind() == fleet.KindStandard }
	steps := []struct {
		of func(Change) bool
		do func(context.Context, Change) error
	}{
		{func(c Change) bool { return c.Action == Update && !standard(c) && p.mustDetach(c) }, a.detach},
		{func(c Change) bool { return c.Action == Delete && !standard(c) }, a.delete},
		{func(c Change) bool { return c.Action != Delete && standard(c) }, a.write},
		{func(c Change) bool { return c.Action != Delete && !standard(c) }, a.write},
		{func(c Change) bool { return c.Action == Delete && standard(c) }, a.delete},
	}
	if err := a.settings(ctx, p.Changes, p.running.settingsRevision); err != nil {
		return a.ids, err
	}
	for _, step := range steps {
		for _, c := range p.Changes {
			if c.Setting != "" || !step.of(c) {
				continue
			}
			if err := step.do(ctx, c); err != nil {
				return a.ids, err
			}
		}
	}
	return a.ids, nil
}

func (c Change) kind() fleet.GroupKind {
	if c.to != nil {
		return c.to.Kind
	}
	if c.from != nil {
		return c.from.Kind
	}
	return ""
}

// mustDetach reports whether an aggregate has a member whose channel changes, which the API refuses for a member.
func (p *Plan) mustDetach(aggregate Change) bool {
	return slices.ContainsFunc(aggregate.from.Members, func(m Member) bool {
		return slices.ContainsFunc(p.Changes, func(c Change) bool {
			return c.Group == m.Group && c.Action == Update && c.from.Channel != c.to.Channel
		})
	})
}

type application struct {
	client    *adminclient.Client
	made      func(Change)
	ids       map[string]string
	revisions map[string]int64
}

// settings changes all of them at once: they are valid together or not at all.
func (a *application) settings(ctx context.Context, changes []Change, ifRevision int64) error {
	patch := adminapi.SettingsPatch{}
	for _, c := range changes {
		switch {
		case c.Setting == "":
		case c.toText == nil:
			patch[c.Setting] = nil
		default:
			patch[c.Setting] = *c.toText
		}
	}
	if len(patch) == 0 {
		return nil
	}
	if _, err := a.client.ChangeSettingsAt(ctx, patch, ifRevision); err != nil {
		return &ApplyError{Doing: "changing the settings", Err: err}
	}
	for _, c := range changes {
		if c.Setting != "" {
			a.made(c)
		}
	}
	return nil
}

func (a *application) detach(ctx context.Context, c Change) error {
	g, err := a.client.ChangeGroup(ctx, a.ids[c.Group], adminapi.GroupPatch{Members: &[]adminapi.Member{}}, a.revisions[c.Group])
	if err != nil {
		return &ApplyError{Doing: "taking the members out of the aggregate " + c.Group + ", because a channel changes", Err: err}
	}
	a.revisions[c.Group] = g.Revision
	return nil
}

func (a *application) write(ctx context.Context, c Change) error {
	in := inputOf(*c.to, a.ids)
	if c.Action == Create {
		g, err := a.client.CreateGroup(ctx, in)
		if err != nil {
			return &ApplyError{Doing: "making the group " + c.Group, Err: err}
		}
		a.ids[c.Group] = g.ID
		a.made(c)
		return nil
	}
	var dropped []string
	for name := range maps.Keys(c.from.Settings) {
		if _, kept := c.to.Settings[name]; !kept {
			dropped = append(dropped, name)
		}
	}
	if _, err := a.client.ChangeGroup(ctx, a.ids[c.Group], patchOf(in, dropped), a.revisions[c.Group]); err != nil {
		return &ApplyError{Doing: "changing the group " + c.Group, Err: err}
	}
	a.made(c)
	return nil
}

func (a *application) delete(ctx context.Context, c Change) error {
	if _, err := a.client.DeleteGroup(ctx, a.ids[c.Group], a.revisions[c.Group]); err != nil {
		return &ApplyError{Doing: "deleting the group " + c.Group, Err: err}
	}
	delete(a.ids, c.Group)
	a.made(c)
	return nil
}
