package main

import (
	"bufio"
	"fmt"
	"strings"

	"gpt-load/internal/backup"
	"gpt-load/internal/terminal"
)

// plannedChange is one line of a plan as JSON.
type plannedChange struct {
	Action    backup.Action `json:"action"`
	Setting   string        `json:"setting,omitempty"`
	Group     string        `json:"group,omitempty"`
	Lines     []string      `json:"lines"`
	LosesKeys int           `json:"loses_keys,omitempty"`
}

// showPlan writes what differs, and a sentence that sums it up.
func (a *app) showPlan(plan *backup.Plan) error {
	for _, note := range plan.Notes {
		a.note("note: %s", note)
	}
	if a.wantsJSON() {
		for _, c := range plan.Changes {
			lines := c.Lines
			if lines == nil {
				lines = []string{}
			}
			if err := a.printJSON(plannedChange{Action: c.Action, Setting: c.Setting, Group: c.Group, Lines: lines, LosesKeys: c.LosesKeys}); err != nil {
				return err
			}
		}
		return nil
	}
	out := bufio.NewWriter(a.Out)
	for _, c := range plan.Changes {
		fmt.Fprintln(out, a.coloured(titleOf(c)))
		for _, line := range c.Lines {
			fmt.Fprintln(out, "    "+a.coloured(line))
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return a.say("%s", sumOf(plan))
}

func titleOf(c backup.Change) string {
	switch {
	case c.Setting != "":
		return "~ setting " + c.Setting
	case c.Action == backup.Create:
		return "+ group " + c.Group
	case c.Action == backup.Update:
		return "~ group " + c.Group
	case c.LosesKeys > 0:
		return "- group " + c.Group + " with its " + keysInWords(c.LosesKeys)
	}
	return "- group " + c.Group
}

// coloured shows a line of a difference as people know it.
func (a *app) coloured(line string) string {
	line = terminal.Clean(line)
	if !a.Colours {
		return line
	}
	for sign, code := range map[string]string{"+": "32", "-": "31", "~": "33"} {
		if strings.HasPrefix(line, sign) {
			return "\x1b[" + code + "m" + line + "\x1b[0m"
		}
	}
	return line
}

func sumOf(plan *backup.Plan) string {
	settings, updates := 0, 0
	for _, c := range plan.Changes {
		switch {
		case c.Setting != "":
			settings++
		case c.Action == backup.Update:
			updates++
		}
	}
	stay := plan.Unchanged + plan.Kept
	if plan.Empty() {
		return fmt.Sprintf("no setting and no group differs: %s as wanted, %s not asked about", counted(int64(plan.Unchanged), "group"), counted(int64(plan.Kept), "group"))
	}
	return fmt.Sprintf("%s to make, %d to change, %d to delete, %d as they are; %s to change",
		counted(int64(plan.Count(backup.Create)), "group"), updates, plan.Count(backup.Delete), stay, counted(int64(settings), "setting"))
}
