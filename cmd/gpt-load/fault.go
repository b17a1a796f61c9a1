package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"gpt-load/internal/secret"
	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// fault is an error with what helps against it.
type fault struct {
	error
	remedy string // a sentence without its full stop; may be empty
	code   int    // exit code
}

// Unwrap gives the error itself.
func (f *fault) Unwrap() error { return f.error }

// usage is an error of the command line or the configuration.
func usage(err error, remedy string) error {
	return &fault{error: err, remedy: remedy, code: exitUsage}
}

// failed is any other error that the program itself finds.
func failed(message, remedy string) error {
	return &fault{error: errors.New(message), remedy: remedy, code: exitFailed}
}

// quiet ends with an exit code after everything was said.
type quiet int

// Error implements error.
func (q quiet) Error() string { return fmt.Sprintf("exit code %d", int(q)) }

// exit tells what went wrong and chooses the exit code.
func (a *app) exit(ctx context.Context, err error) int {
	var silent quiet
	var known *fault
	var answer *adminclient.Error
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &silent):
		return int(silent)
	case errors.Is(err, terminal.ErrInterrupted):
		a.complain("interrupted", nil)
	case errors.As(err, &answer):
		lines := make([]string, 0, len(answer.Details)+2)
		for _, d := range answer.Details {
			lines = append(lines, d.Field+": "+d.Message)
		}
		if remedy := a.remedyFor(answer); remedy != "" {
			lines = append(lines, remedy)
		}
		if answer.RequestID != "" {
			lines = append(lines, "request id "+answer.RequestID)
		}
		// Something else than GPT-Load may have answered, with lines of its own.
		message := strings.Join(strings.Fields(answer.Message), " ")
		a.complain(fmt.Sprintf("%s (%s, %d)", message, answer.Code, answer.Status), lines)
	case errors.As(err, &known):
		a.complain(known.Error(), []string{known.remedy})
		return known.code
	case ctx.Err() != nil: // whatever broke first: the connection, or the body that was on its way
		a.complain("interrupted", nil)
	default:
		message, remedy := a.connection.explain(err)
		a.complain(message, []string{remedy})
	}
	return exitFailed
}

// complain writes an error and the lines that belong to it. What a server said may hold anything, even the auth key that it
// was sent.
func (a *app) complain(message string, lines []string) {
	text := "gpt-load: " + cleanLines(message) + "\n"
	for _, line := range lines {
		if line != "" {
			text += "  " + terminal.Clean(line) + "\n"
		}
	}
	if key := a.connection.authKey.Reveal(); key != "" {
		text = strings.ReplaceAll(text, key, secret.Redacted)
	}
	fmt.Fprint(a.Err, text)
}

// cleanLines keeps our own line breaks, as in the list of everything that is wrong with a configuration.
func cleanLines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = terminal.Clean(line)
	}
	return strings.Join(lines, "\n")
}

// remedyFor is what only this side knows about an error of the server.
func (a *app) remedyFor(e *adminclient.Error) string {
	if e.Code == adminapi.CodeUnauthorized {
		return "the auth key came from " + a.connection.keySource + "; AUTH_KEY, AUTH_KEY_FILE or --auth-key-file gives another"
	}
	if e.RetryAfter > 0 {
		return "try again in " + e.RetryAfter.String()
	}
	if e.Code == adminapi.CodeUnavailable && e.RequestID == "" {
		return "this is no answer of GPT-Load; " + addressRemedy
	}
	return ""
}

const addressRemedy = "--url or GPT_LOAD_URL is the address of a node or of the load balancer in front of the fleet"

// explain says in plain words why no answer came.
func (c *connection) explain(err error) (message, remedy string) {
	var transport *url.Error
	if !errors.As(err, &transport) {
		return withoutPackage(err), ""
	}
	remedy = addressRemedy
	cause := transport.Err
	var network *net.OpError
	if errors.As(cause, &network) && network.Err != nil {
		cause = network.Err
	}
	if transport.Timeout() {
		return fmt.Sprintf("no answer from %s in time: %v", c.address, cause), remedy
	}
	return fmt.Sprintf("no answer from %s: %v", c.address, cause), remedy
}
