package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"gpt-load/internal/config"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// healthTimeout is less than the timeout of a container's health check, so that the reason is told.
const healthTimeout = 4 * time.Second

// health asks the node of this configuration whether it takes traffic, for health checks of containers. It returns 0
// when it does, 1 when it does not or does not answer, and 2 for a wrong command line or configuration.
func health(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("gpt-load health", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	file := flags.String("config", "", "YAML file with settings")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Print(usage)
			return 0
		}
		if err == nil {
			err = fmt.Errorf("unexpected word %q", flags.Arg(0))
		}
		fmt.Fprintf(os.Stderr, "gpt-load health: %v\n\n%s", err, usage)
		return 2
	}
	cfg, err := config.Load(config.Sources{File: *file})
	if err != nil {
		fmt.Fprintf(os.Stderr, "gpt-load health: %v\n", err)
		return 2
	}
	if err := askReady(ctx, localURL(cfg)); err != nil {
		fmt.Fprintf(os.Stderr, "gpt-load health: %v\n", err)
		return 1
	}
	fmt.Println("ready")
	return 0
}

// localURL is where this machine reaches a node that listens as cfg says.
func localURL(cfg config.Config) string {
	host := cfg.Host
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost" // whichever family the node listens on
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(cfg.Port))
}

// askReady is nil when the node at the URL takes traffic, and otherwise says why it does not.
func askReady(ctx context.Context, base string) error {
	// Without a proxy: HTTP_PROXY is for providers.
	client, err := adminclient.New(base, adminclient.WithHTTPClient(&http.Client{Timeout: healthTimeout, Transport: &http.Transport{}}))
	if err != nil {
		return err
	}
	readiness, err := client.Ready(ctx)
	if err != nil {
		return fmt.Errorf("asking the node at %s: %w", base, err)
	}
	if why := notReady(readiness); why != "" {
		return fmt.Errorf("the node at %s is not ready: %s", base, why)
	}
	return nil
}

// notReady names the checks that fail; empty when the node is ready.
func notReady(r adminapi.Readiness) string {
	if r.Status == "ready" {
		return ""
	}
	reasons := []string{}
	for _, check := range r.Checks {
		if !check.Ready {
			reasons = append(reasons, strings.TrimSuffix(check.Name+": "+check.Message, ": "))
		}
	}
	if len(reasons) == 0 {
		return "its status is " + strconv.Quote(r.Status)
	}
	return strings.Join(reasons, "; ")
}
