package main

import (
	"context"
	"errors"
	"strings"

	"gpt-load/internal/backup"
	"gpt-load/internal/fleet"
	"gpt-load/internal/gptload1"
	"gpt-load/internal/secret"
	"gpt-load/internal/terminal"
)

// plannedKeys are the keys of one group as JSON.
type plannedKeys struct {
	Group        string `json:"group"`
	Active       int    `json:"active_keys"`
	Invalid      int    `json:"invalid_keys"`
	Duplicates   int    `json:"duplicate_keys"` // among the two before
	LeftOut      int    `json:"left_out_keys"`
	ThereAlready int    `json:"keys_there"` // that the group has here now
}

// plannedNotice is one thing that does not come along as it stands, as JSON.
type plannedNotice struct {
	Effect  gptload1.Effect `json:"effect"`
	Group   string          `json:"source_group,omitempty"` // its name in 1.x
	Field   string          `json:"source_field"`
	Message string          `json:"message"`
}

// show writes the whole plan: the difference, the keys, and what does not come along as it stands.
func (i *gptload1Import) show(changes *backup.Plan, running *backup.Running) error {
	if !i.wantsJSON() {
		if err := i.say("%s", i.plan.Source); err != nil {
			return err
		}
	}
	if err := i.showPlan(changes); err != nil {
		return err
	}
	if err := i.showKeys(running); err != nil {
		return err
	}
	return i.showNotices()
}

func (i *gptload1Import) showKeys(running *backup.Running) error {
	list := i.newListing(
		terminal.Column{Title: "KEYS OF"}, terminal.Column{Title: "ACTIVE", Right: true}, terminal.Column{Title: "INVALID", Right: true},
		terminal.Column{Title: "REPEATED", Right: true}, terminal.Column{Title: "LEFT OUT", Right: true}, terminal.Column{Title: "THERE NOW", Right: true},
	)
	for _, g := range i.plan.Groups {
		if g.Kind != fleet.KindStandard {
			continue
		}
		there, _ := running.Group(g.Name)
		k := plannedKeys{
			Group: g.Name, Active: g.Keys.Active, Invalid: g.Keys.Invalid, Duplicates: g.Keys.Duplicates, LeftOut: g.Keys.LeftOut, ThereAlready: total(there.KeyCounts),
		}
		err := list.add(k, text(g.Name), count(k.Active), styled(k.Invalid, terminal.Bad), styled(k.Duplicates, terminal.Faint), styled(k.LeftOut, terminal.Warning), count(k.ThereAlready))
		if err != nil {
			return err
		}
	}
	return list.flush()
}

func (i *gptload1Import) showNotices() error {
	if i.wantsJSON() {
		for _, n := range i.plan.Notices {
			if err := i.printJSON(plannedNotice{Effect: n.Effect, Group: n.Group, Field: n.Field, Message: n.Message}); err != nil {
				return err
			}
		}
		return nil
	}
	if len(i.plan.Notices) == 0 {
		return nil
	}
	if err := i.say("What does not come along as it stands:"); err != nil {
		return err
	}
	for _, n := range i.plan.Notices {
		of := n.Field
		if n.Group != "" {
			of = n.Group + ", " + n.Field
		}
		if err := i.say("  %s: %s: %s", effectInWords(n.Effect), of, n.Message); err != nil {
			return err
		}
	}
	return nil
}

func effectInWords(e gptload1.Effect) string {
	if e == gptload1.LeftOut {
		return "left out"
	}
	return string(e)
}

// explain gives an error of the 1.x database its exit code. A DSN holds a password, which must not get out with it.
func (i *gptload1Import) explain(ctx context.Context, err error) error {
	var source *fleet.Error
	if err == nil || ctx.Err() != nil || !errors.As(err, &source) {
		return err
	}
	remedy := ""
	if source.Code == fleet.CodeUnavailable && source.Cause != nil {
		remedy = "the cause: " + source.Cause.Error()
	}
	known := []secret.Text{i.key}
	if strings.ContainsAny(i.dsn.Reveal(), "@=") { // otherwise it is the path of a file
		known = append(known, i.dsn)
	}
	redact := func(text string) string { return secret.RedactLine(text, known...) }
	explained := &fault{error: errors.New(redact(source.Error())), remedy: redact(remedy), code: exitFailed}
	if source.Code == fleet.CodeInvalid {
		explained.code = exitUsage
	}
	return explained
}
