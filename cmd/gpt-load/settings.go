package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func (a *app) settingsCommand() *cobra.Command {
	return a.withConnection(a.branch("settings", "List and change settings; they hold from the next request on", "",
		a.listSettingsCommand(), a.getSettingCommand(), a.setSettingsCommand(), a.resetSettingsCommand(), a.settingsRevisionCommand()))
}

// scope is where settings are read: the system, or what holds for a group.
type scope struct {
	group  string
	reveal bool
}

func (s *scope) add(c *cobra.Command, a *app) {
	c.Flags().StringVar(&s.group, "group", "", "what holds for this `group`, with its own values")
	c.Flags().BoolVar(&s.reveal, "reveal", false, "show secrets in clear")
	completeWith(c, "group", a.groupNames)
}

func (s *scope) read(ctx context.Context, client *adminclient.Client) ([]adminapi.Setting, error) {
	if s.group == "" {
		list, err := client.Settings(ctx, s.reveal)
		return list.Settings, err
	}
	g, err := findGroup(ctx, client, s.group)
	if err != nil {
		return nil, err
	}
	list, err := client.GroupSettings(ctx, g.ID, s.reveal)
	return list.Settings, err
}

func (a *app) listSettingsCommand() *cobra.Command {
	var from scope
	changed := false
	c := a.leaf("list", "List the settings with their values and where these come from", nil, func(ctx context.Context, _ []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		settings, err := from.read(ctx, client)
		if err != nil {
			return err
		}
		return a.printSettings(settings, changed)
	})
	from.add(c, a)
	c.Flags().BoolVar(&changed, "changed", false, "only those that are not at their default")
	return c
}

func (a *app) printSettings(settings []adminapi.Setting, onlyChanged bool) error {
	list := a.newListing(
		terminal.Column{Title: "NAME"}, terminal.Column{Title: "VALUE", Flexible: true}, terminal.Column{Title: "UNIT"},
		terminal.Column{Title: "FROM"}, terminal.Column{Title: "DEFAULT"},
	)
	for _, s := range settings {
		if onlyChanged && s.Level == adminapi.LevelDefault {
			continue
		}
		level := terminal.Cell{Text: s.Level, Style: terminal.Good}
		if s.Level == adminapi.LevelDefault {
			level.Style = terminal.Faint
		}
		if err := list.add(s, text(s.Name), text(plain(s.Value)), text(s.Unit), level, text(plain(s.Default))); err != nil {
			return err
		}
	}
	return list.end("settings")
}

func (a *app) getSettingCommand() *cobra.Command {
	var from scope
	c := a.leaf("get", "Print the value of one setting", []string{"NAME"}, func(ctx context.Context, args []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		settings, err := from.read(ctx, client)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(settings, func(s adminapi.Setting) bool { return s.Name == args[0] })
		if i < 0 {
			return failed(fmt.Sprintf("there is no setting %q here", args[0]), "`gpt-load settings list` lists them")
		}
		if a.wantsJSON() {
			return a.printJSON(settings[i])
		}
		return a.say("%s", plain(settings[i].Value))
	})
	from.add(c, a)
	c.ValidArgsFunction = firstWord(settingNames("", false), cobra.ShellCompDirectiveNoFileComp)
	return c
}

func (a *app) setSettingsCommand() *cobra.Command {
	revision := int64(0)
	c := a.leaf("set", "Change settings, all or none", []string{"NAME=VALUE", "[NAME=VALUE...]"}, func(ctx context.Context, args []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		values, err := a.settingValues(ctx, client, args)
		if err != nil {
			return err
		}
		return a.changeSettings(ctx, client, values, revision)
	})
	settingsRevision(c, &revision)
	c.Long = "Changes settings, all or none. NAME=@FILE takes the value from a file, and NAME=@- from the standard input; secret\nsettings are taken only this way, since other users of a machine can read its command lines. A group's own values are\nset with `gpt-load groups update --setting`."
	c.Example = "  gpt-load settings set max_retries=5 request_log_retention_days=30\n  gpt-load settings set proxy_keys=@keys.txt"
	c.ValidArgsFunction = settingNames("=", false)
	return c
}

func (a *app) resetSettingsCommand() *cobra.Command {
	revision := int64(0)
	c := a.leaf("reset", "Take settings back to their defaults, all or none", []string{"NAME", "[NAME...]"}, func(ctx context.Context, args []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		values := map[string]any{}
		for _, name := range args {
			values[name] = nil
		}
		return a.changeSettings(ctx, client, values, revision)
	})
	settingsRevision(c, &revision)
	c.ValidArgsFunction = settingNames("", false)
	return c
}

func (a *app) settingsRevisionCommand() *cobra.Command {
	return a.leaf("revision", "Print the revision of the last change of a setting, for --if-revision", nil, func(ctx context.Context, _ []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		list, err := client.Settings(ctx, false)
		if err != nil {
			return err
		}
		if a.wantsJSON() {
			return a.printJSON(struct {
				Revision int64 `json:"settings_revision"`
			}{list.SettingsRevision})
		}
		return a.say("%d", list.SettingsRevision)
	})
}

// settingsRevision adds --if-revision.
func settingsRevision(c *cobra.Command, revision *int64) {
	c.Flags().Int64Var(revision, "if-revision", 0, "change the settings only if this is their `revision`, which `gpt-load settings revision` prints")
}

func (a *app) changeSettings(ctx context.Context, client *adminclient.Client, values map[string]any, ifRevision int64) error {
	list, err := client.ChangeSettingsAt(ctx, values, ifRevision)
	if err != nil {
		return err
	}
	changed := slices.DeleteFunc(list.Settings, func(s adminapi.Setting) bool {
		_, named := values[s.Name]
		return !named
	})
	return a.printSettings(changed, false)
}

// settingValues reads words of the form NAME=VALUE, NAME=@FILE or NAME=@-. Values are texts: the server knows the kinds.
func (a *app) settingValues(ctx context.Context, client *adminclient.Client, words []string) (map[string]any, error) {
	values := map[string]any{}
	var known adminapi.SettingList
	for _, word := range words {
		name, value, found := strings.Cut(word, "=")
		if !found || name == "" {
			// The word is not repeated: it may be a secret without its name.
			return nil, usage(errors.New("a setting must be given as NAME=VALUE or NAME=@FILE"), "")
		}
		if _, twice := values[name]; twice {
			return nil, usage(errors.New(name+" is given twice"), "")
		}
		if path, fromFile := strings.CutPrefix(value, "@"); fromFile {
			content, err := a.readInput(ctx, path)
			if err != nil {
				return nil, err
			}
			values[name] = strings.TrimSpace(content)
			continue
		}
		if known.Settings == nil {
			var err error
			if known, err = client.Settings(ctx, false); err != nil {
				return nil, err
			}
		}
		secret := slices.ContainsFunc(known.Settings, func(s adminapi.Setting) bool { return s.Name == name && s.Secret })
		if secret && value != "" {
			return nil, usage(errors.New(name+" is a secret, and command lines are not"), name+"=@FILE takes it from a file, "+name+"=@- from the standard input")
		}
		values[name] = value
	}
	return values, nil
}
