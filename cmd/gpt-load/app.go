package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gpt-load/internal/terminal"
)

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // wrong command line or configuration
)

// app is one call of the program.
type app struct {
	*terminal.Streams

	configFile string
	output     string // of --output
	connection connection

	began bool // the command line was understood and the command began
}

func newApp(streams *terminal.Streams) *app { return &app{Streams: streams} }

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(oneDash(args))
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	command, err := root.ExecuteContextC(ctx)
	if err != nil && !a.began {
		err = usage(err, "`"+command.CommandPath()+" --help` shows the usage")
	}
	return a.exit(ctx, err)
}

// oneDash lets -config and -help stand for --config and --help, as they do for every Go program without short flags.
func oneDash(args []string) []string {
	if len(args) > 0 && (args[0] == "-config" || args[0] == "-help" || strings.HasPrefix(args[0], "-config=")) {
		return append([]string{"-" + args[0]}, args[1:]...)
	}
	return args
}

func (a *app) root() *cobra.Command {
	serve := a.serveCommand()
	root := &cobra.Command{
		Use:           "gpt-load",
		Short:         "A transparent proxy for AI APIs: clients change only their base URL and key",
		Long:          "GPT-Load stands between AI clients and AI providers. Without a command it runs a node, as `gpt-load serve` does.",
		Args:          isNoCommand,
		RunE:          serve.RunE,
		Version:       version(),
		SilenceErrors: true, // told by exit, once
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("{{.Name}} {{.Version}}\n")
	root.PersistentFlags().StringVar(&a.configFile, "config", "", "YAML `file` with settings of the node; GPT_LOAD_CONFIG names one too")
	root.AddGroup(&cobra.Group{ID: groupNode, Title: "The node of this machine:"}, &cobra.Group{ID: groupAdmin, Title: "A running node or fleet:"})
	root.SetHelpCommandGroupID(groupNode)
	root.SetCompletionCommandGroupID(groupNode)
	for _, c := range []*cobra.Command{serve, a.migrateKeysCommand(), a.healthCommand(), a.configCommand(), a.versionCommand()} {
		c.GroupID = groupNode
		root.AddCommand(c)
	}
	for _, c := range []*cobra.Command{
		a.dashboardCommand(), a.groupsCommand(), a.keysCommand(), a.proxyKeysCommand(), a.nodesCommand(), a.operationsCommand(), a.settingsCommand(), a.recordsCommand(), a.statisticsCommand(),
		a.exportCommand(), a.importCommand(), a.auditCommand(), a.sessionsCommand(),
	} {
		c.GroupID = groupAdmin
		root.AddCommand(c)
	}
	return root
}

// The headings of the help.
const (
	groupNode  = "node"
	groupAdmin = "admin"
)

func isNoCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	message := strconv.Quote(args[0]) + " is not a command"
	if like := root.SuggestionsFor(args[0]); len(like) > 0 {
		message += "; did you mean " + strings.Join(like, " or ") + "?"
	}
	return errors.New(message)
}

// leaf makes a command that does something. args are the words it takes: NAME is needed, [NAME] may be left out, and
// [NAME...] takes any number.
func (a *app) leaf(name, short string, args []string, do func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use:   strings.Join(append([]string{name}, args...), " "),
		Short: short,
		Args:  func(_ *cobra.Command, given []string) error { return checkArgs(args, given) },
		RunE: func(c *cobra.Command, given []string) error {
			a.began = true
			return do(c.Context(), given)
		},
		DisableFlagsInUseLine: true,
		ValidArgsFunction:     cobra.NoFileCompletions,
	}
}

func checkArgs(args, given []string) error {
	for i, word := range args {
		if strings.HasSuffix(word, "...]") {
			return nil
		}
		if i >= len(given) && !strings.HasPrefix(word, "[") {
			return fmt.Errorf("%s is missing", word)
		}
	}
	if len(given) > len(args) {
		return fmt.Errorf("unexpected word %q", given[len(args)])
	}
	return nil
}

// branch makes a command that only holds others.
func (a *app) branch(name, short, long string, commands ...*cobra.Command) *cobra.Command {
	branch := &cobra.Command{Use: name, Short: short, Long: long, ValidArgsFunction: cobra.NoFileCompletions}
	branch.AddCommand(commands...)
	names := make([]string, len(commands))
	for i, c := range commands {
		names[i] = c.Name()
	}
	branch.RunE = func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s needs one of %s", name, strings.Join(names, ", "))
		}
		return fmt.Errorf("%q is no command of %s, which has %s", args[0], name, strings.Join(names, ", "))
	}
	branch.Args = cobra.ArbitraryArgs // told by RunE
	return branch
}

// withOutput gives a command and those below it the flag --output.
func (a *app) withOutput(c *cobra.Command) *cobra.Command {
	c.PersistentFlags().VarP(&choice{value: &a.output, of: []string{outputTable, outputJSON}}, "output", "o", "`form` of the output: table for people, json for programs, one line for each item of a list")
	a.output = outputTable
	complete(c, "output", outputTable, outputJSON)
	return c
}

// choice is a flag that takes one of a few words.
type choice struct {
	value *string
	of    []string
}

// String implements pflag.Value.
func (c *choice) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

// Set implements pflag.Value.
func (c *choice) Set(word string) error {
	for _, known := range c.of {
		if word == known {
			*c.value = word
			return nil
		}
	}
	return fmt.Errorf("must be %s", strings.Join(c.of, " or "))
}

// Type implements pflag.Value.
func (c *choice) Type() string { return "word" }
