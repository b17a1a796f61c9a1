// Command cluster runs a whole fleet on one machine, for trying it out and for drills. PostgreSQL, Redis, two candidates
// for leading, two followers and nginx in front of them are processes of their own, from Debian's packages; a scriptable
// provider runs beside them. It is docker-compose.cluster.yml without Docker: `./task cluster`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options is the command line.
type options struct {
	address      string        // of nginx
	provider     string        // address of the fake provider
	stateDir     string        // for the file with the auth key
	binary       string        // of gpt-load; built if empty
	candidates   int           // nodes that compete for leading
	followers    int           // nodes that do not
	restartAfter time.Duration // of what a drill ended
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second Ctrl-C ends this process at once, and the kernel ends the others with it.
	context.AfterFunc(ctx, stop)
	switch err := run(ctx, os.Args[1:], os.Stdout); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.StringVar(&o.address, "addr", "127.0.0.1:3001", "`host:port` of the load balancer; port 0 takes a free one")
	flags.StringVar(&o.provider, "provider", "127.0.0.1:4010", "`host:port` of the fake provider; port 0 takes a free one")
	flags.StringVar(&o.stateDir, "state", filepath.Join("data", "cluster"), "`folder` for the file auth-key")
	flags.StringVar(&o.binary, "binary", "", "`file` to run as a node; empty builds it")
	flags.IntVar(&o.candidates, "candidates", 2, "nodes that compete for leading")
	flags.IntVar(&o.followers, "followers", 2, "nodes that never lead")
	flags.DurationVar(&o.restartAfter, "restart-after", 10*time.Second, "when a process that was killed starts again")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q: there are only flags, see -help", flags.Arg(0))
	}
	if o.candidates < 1 || o.followers < 0 || o.candidates+o.followers > 50 {
		return fmt.Errorf("%d candidates and %d followers: one candidate at least, and 50 nodes at most", o.candidates, o.followers)
	}
	c, err := start(ctx, o, out)
	if err != nil {
		return err
	}
	c.describe()
	c.supervise(ctx)
	c.say("\nstopping")
	return c.stop()
}
