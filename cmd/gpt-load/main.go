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
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // TZ works on machines and images without zone files

	"gpt-load/internal/node"
	"gpt-load/internal/terminal"
)

func main() {
	ctx, end := context.WithCancelCause(context.Background())
	// One for the end in good order, one for the end at once.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go obey(signals, end, os.Exit)
	os.Exit(run(ctx, os.Args[1:]))
}

// obey lets the first signal end the process in good order, and the second one at once. It leaves neither to the kernel, which
// ignores the default action of a signal for the first process of a container.
func obey(signals <-chan os.Signal, end context.CancelCauseFunc, exit func(code int)) {
	first := <-signals
	if first == os.Interrupt {
		end(node.ErrInterrupted)
	} else {
		end(errTerminated)
	}
	second := <-signals
	_, _ = fmt.Fprintln(os.Stderr, "gpt-load: a second signal: ends at once")
	const bySignal = 128 // what shells and containers show for a death by signal, and expect to be told
	number, _ := second.(syscall.Signal)
	exit(bySignal + int(number))
}

var errTerminated = errors.New("terminated")

func run(ctx context.Context, args []string) int {
	return newApp(terminal.Standard()).run(ctx, args)
}
