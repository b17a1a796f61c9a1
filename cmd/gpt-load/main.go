// Command gpt-load is a transparent proxy for AI APIs: clients change only their base URL and key.
//
//	gpt-load [serve] [--config FILE]   run a node (the default)
//	gpt-load health                    ask the node of this machine whether it takes traffic
//	gpt-load config check              check the configuration that a node would use
//	gpt-load groups|keys|settings ...  administer a running node or fleet
//	gpt-load records|statistics ...    see what it did
//	gpt-load export|import ...         keep its configuration as YAML, or bring one from GPT-Load 1.x
//	gpt-load version                   print the version
//
// `gpt-load help` lists the rest. The exit code is 0 when it worked, 1 when it failed, and 2 for a wrong command line or
// configuration.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // TZ works on machines and images without zone files

	"gpt-load/internal/terminal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once: NotifyContext would swallow it.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	return newApp(terminal.Standard()).run(ctx, args)
}
