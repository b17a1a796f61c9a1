// Command fakeprovider is a scriptable AI provider for demonstrations, drills and load tests. It speaks the native
// formats of OpenAI, Anthropic and Gemini and does every fault on demand: GET /_help says how to ask for them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"gpt-load/internal/fakeprovider"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "fakeprovider:", err)
		os.Exit(1) //nolint:gocritic // the deferred stop has nothing left to do
	}
}

// run serves until ctx ends. The first line on out says where it listens, for scripts that asked for port 0.
func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	flags := flag.NewFlagSet("fakeprovider", flag.ContinueOnError)
	flags.SetOutput(errOut)
	address := flags.String("addr", "127.0.0.1:4010", "`host:port` to listen on; port 0 takes a free one")
	scriptFile := flags.String("script", "", "JSON `file` of rules, as for POST /_script")
	keys := flags.String("keys", "", "valid `keys`, comma-separated; empty accepts any")
	models := flags.String("models", "", "`models` that exist, comma-separated; empty accepts any name")
	keep := flags.Int("keep-calls", 10_000, "recent calls kept for GET /_calls; -1 keeps none, for benchmarks")
	strict := flags.Bool("strict", false, "answer 501 to calls that no rule speaks for")
	quiet := flags.Bool("quiet", false, "do not print a line for every call")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q: there are only flags, see -help", flags.Arg(0))
	}
	options := fakeprovider.Options{Keys: list(*keys), Models: list(*models), KeepCalls: *keep, Strict: *strict}
	if !*quiet {
		options.Log = printer(out)
	}
	provider := fakeprovider.New(options)
	defer provider.Close()
	if *scriptFile != "" {
		if err := script(provider, *scriptFile); err != nil {
			return err
		}
	}
	base, err := provider.Listen(*address)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "fakeprovider listening on %s\n  try: curl %s/_help\n", base, base); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func script(provider *fakeprovider.Provider, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read the script: %w", err)
	}
	rules, err := fakeprovider.ParseScript(text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	provider.Script(rules...)
	return nil
}

// printer writes one line for each call, whole lines only.
func printer(out io.Writer) func(fakeprovider.Call) {
	var mu sync.Mutex
	return func(c fakeprovider.Call) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintln(out, c.Line())
	}
}

func list(text string) []string {
	var out []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}
