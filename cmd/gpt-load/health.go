package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gpt-load/internal/config"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// healthTimeout is less than the timeout of a container's health check, so that the reason is told.
const healthTimeout = 4 * time.Second

func (a *app) healthCommand() *cobra.Command {
	address, live := "", false
	c := a.leaf("health", "Ask the node of this machine whether it takes traffic; exit code 0 says yes", nil, func(ctx context.Context, _ []string) error {
		if address == "" {
			cfg, err := config.Load(config.Sources{File: a.configFile})
			if err != nil {
				return usage(err, "")
			}
			address = localURL(cfg)
		}
		ask, word := askReady, "ready"
		if live {
			ask, word = askLive, "alive"
		}
		client, err := healthClient(address)
		if err != nil {
			return usage(errors.New(withoutPackage(err)), "")
		}
		if err := ask(ctx, client, address); err != nil {
			return failed(withoutPackage(err), "")
		}
		return a.say("%s", word)
	})
	c.Long = "Asks a node for its readiness, as a load balancer does. It is for the health checks of containers: it needs nothing but\nthis program, no shell, and gives an answer within 4 seconds."
	c.Flags().StringVar(&address, "url", "", "`address` of the node; otherwise the node of this machine by HOST and PORT")
	c.Flags().BoolVar(&live, "live", false, "ask only whether the process answers (/livez), not whether it takes traffic (/readyz)")
	return c
}

// withoutPackage leaves out where in the program an error was noticed.
func withoutPackage(err error) string { return strings.ReplaceAll(err.Error(), "adminclient: ", "") }

// localURL is where this machine reaches a node that listens as cfg says.
func localURL(cfg config.Config) string {
	host := cfg.Host
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost" // whichever family the node listens on
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(cfg.Port))
}

// askReady is nil when the node at the URL takes traffic, and otherwise says why it does not.
func askReady(ctx context.Context, client *adminclient.Client, base string) error {
	readiness, err := client.Ready(ctx)
	if err != nil {
		return fmt.Errorf("asking the node at %s: %w", base, err)
	}
	if why := notReady(readiness); why != "" {
		return fmt.Errorf("the node at %s is not ready: %s", base, why)
	}
	return nil
}

// askLive is nil when the node at the URL answers.
func askLive(ctx context.Context, client *adminclient.Client, base string) error {
	alive, err := client.Live(ctx)
	if err == nil && alive.Status == "" {
		err = errors.New("the answer is not that of GPT-Load")
	}
	if err != nil {
		return fmt.Errorf("asking the node at %s: %w", base, err)
	}
	return nil
}

// healthClient goes without a proxy: HTTP_PROXY is for providers.
func healthClient(base string) (*adminclient.Client, error) {
	return adminclient.New(base, adminclient.WithHTTPClient(&http.Client{Timeout: healthTimeout, Transport: &http.Transport{}}))
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
