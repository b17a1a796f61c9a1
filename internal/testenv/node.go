package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gpt-load/pkg/adminclient"
)

// AuthKey is the AUTH_KEY, and so the first proxy key, of every node that StartNode starts.
const AuthKey = "sk-testenv-2f9d61c07ab84e35"

// startTimeout bounds the time from the start of a process to its first request; a loaded machine takes seconds.
const startTimeout = 60 * time.Second

// Build builds the binary into dir and returns its path. race builds it with the race detector.
func Build(ctx context.Context, dir string, race bool) (string, error) {
	binary := filepath.Join(dir, "gpt-load")
	args := []string{"build", "-o", binary}
	if race {
		args = append(args, "-race")
	}
	root, err := sourceRoot(ctx)
	if err != nil {
		return "", err
	}
	build := exec.CommandContext(ctx, "go", append(args, "./cmd/gpt-load")...)
	build.Dir = root
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building gpt-load: %w\n%s", err, out)
	}
	return binary, nil
}

// sourceRoot finds the module, also from a test of another module that uses it.
func sourceRoot(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "gpt-load").Output()
	if err != nil {
		return "", fmt.Errorf("finding the source of gpt-load: %w", err)
	}
	return strings.TrimSpace(string(root)), nil
}

// Node is a gpt-load of its own, with the life of a Process: after Kill, Restart starts it at the same address, in the
// same directory.
type Node struct {
	Process
	URL string // base URL, without a path
	Dir string // its working directory; the data folder is below it
}

// nodeStopTimeout is longer than any drain that a test asks for.
const nodeStopTimeout = 2 * time.Minute

// StartNode starts a node in dir and returns when it is ready to serve. env overrides the defaults: a free port on
// loopback, AuthKey, JSON logs at debug level, no outgoing proxy, and no wait for load balancers. Nothing of the caller's own environment configures
// it. When ctx ends, the node is asked to end as an operator would. A node that does not start is returned with the
// error, for its Logs.
func StartNode(ctx context.Context, binary, dir string, env ...string) (*Node, error) {
	port, err := reservePort()
	if err != nil {
		return nil, err
	}
	n := &Node{Dir: dir, URL: "http://" + port.address()}
	n.Process = Process{
		name: "the node", dir: dir, log: filepath.Join(dir, "node.log"), ports: []*portReservation{port},
		stopSignal: syscall.SIGTERM, stopTimeout: nodeStopTimeout, answers: n.ready,
		command: func() *exec.Cmd {
			cmd := exec.Command(binary)
			cmd.Dir = dir
			cmd.Env = slices.Concat([]string{
				"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "GORACE=halt_on_error=1",
				"HOST=127.0.0.1", "PORT=" + strconv.Itoa(port.number), "AUTH_KEY=" + AuthKey,
				"LOG_FORMAT=json", "LOG_LEVEL=debug", "TZ=UTC", "SERVER_SHUTDOWN_DELAY=0",
			}, env)
			return cmd
		},
	}
	// A former node of this directory may have left its own.
	if err := os.RemoveAll(n.log); err != nil {
		return n, err
	}
	if err := n.start(ctx); err != nil {
		return n, errors.Join(err, n.Kill())
	}
	context.AfterFunc(ctx, func() { _ = n.Stop() })
	return n, nil
}

// ready asks as a load balancer does.
func (n *Node) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+"/readyz", nil)
	if err != nil {
		return err
	}
	request.Close = true
	answer, err := direct.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
		return fmt.Errorf("GET /readyz: %s: %s", answer.Status, text)
	}
	return nil
}

// direct uses no proxy, whatever the environment says.
var direct = &http.Transport{}

// Logs is everything the node has printed so far, over all its runs.
func (n *Node) Logs() string {
	text, err := os.ReadFile(n.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err.Error()
	}
	return string(text)
}

// Client is an admin client of this node.
func (n *Node) Client() *adminclient.Client {
	client, err := adminclient.New(n.URL, adminclient.WithAuthKey(AuthKey))
	if err != nil {
		panic(err) // a URL and a key that we made ourselves
	}
	return client
}

// Stop ends the node for good, as an operator does, and waits. An error tells that it did not end well.
func (n *Node) Stop() error {
	if err := n.Process.Stop(); err != nil {
		return fmt.Errorf("%w\n%s", err, n.Logs())
	}
	return nil
}
