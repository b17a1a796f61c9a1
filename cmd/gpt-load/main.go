// Command gpt-load is a transparent proxy for AI APIs: clients change only their base URL and key.
//
//	gpt-load [serve] [--config FILE]   run a node (the default)
//	gpt-load health [--config FILE]    ask the node of this machine whether it takes traffic
//	gpt-load version                   print the version
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // TZ works on machines and images without zone files
)

// usage is printed for help and for words that are not understood.
const usage = `usage:
  gpt-load [serve] [--config FILE]   run a node; every setting also comes from the environment, see the README
  gpt-load health [--config FILE]    ask the node of this machine whether it takes traffic; exit code 0 says yes
  gpt-load version                   print the version
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once: NotifyContext would swallow it.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	command := "serve"
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		command, args = args[0], args[1:]
	}
	switch command {
	case "serve":
		return serve(ctx, args)
	case "health":
		return health(ctx, args)
	case "version":
		fmt.Println("gpt-load", version())
		return 0
	case "help":
		fmt.Print(usage)
		return 0
	default:
		fmt.Fprintf(os.Stderr, "gpt-load: %q is not a command\n\n%s", command, usage)
		return 2
	}
}
