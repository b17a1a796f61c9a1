package testenv

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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
	// Tests of another module build from here too, with this module's own dependencies.
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "gpt-load").Output()
	if err != nil {
		return "", fmt.Errorf("finding the source of gpt-load: %w", err)
	}
	build := exec.CommandContext(ctx, "go", append(args, "./cmd/gpt-load")...)
	build.Dir = strings.TrimSpace(string(root))
	out, err := build.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building gpt-load: %w\n%s", err, out)
	}
	return binary, nil
}

// Node is one running process.
type Node struct {
	URL string // base URL, without a path
	Dir string // its working directory; the data folder is below it

	run  *processRun
	done chan struct{} // closed when the process has ended and its log is complete

	mu   sync.Mutex
	logs strings.Builder
}

// StartNode starts a node in dir and returns when it serves. env overrides the defaults: a free port on loopback, AuthKey,
// JSON logs at debug level, and no outgoing proxy. Nothing of the caller's own environment configures it.
func StartNode(ctx context.Context, binary, dir string, env ...string) (*Node, error) {
	n := &Node{Dir: dir, done: make(chan struct{})}
	cmd := exec.Command(binary)
	cmd.Dir = dir
	cmd.Env = slices.Concat([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "GORACE=halt_on_error=1",
		"HOST=127.0.0.1", "PORT=0", "AUTH_KEY=" + AuthKey, "LOG_FORMAT=json", "LOG_LEVEL=debug", "TZ=UTC",
	}, env)
	pipe, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = writer, writer
	n.run, err = startProcess(cmd)
	_ = writer.Close()
	if err != nil {
		_ = pipe.Close()
		return nil, err
	}
	address := make(chan string, 1)
	read := make(chan struct{})
	go func() {
		defer close(read)
		n.read(pipe, address)
	}()
	go n.live(ctx, read)
	timeout := time.NewTimer(startTimeout)
	defer timeout.Stop()
	select {
	case addr := <-address:
		n.URL = "http://" + addr
		return n, nil
	case <-n.done:
		return n, fmt.Errorf("the node ended before it served: %w\n%s", n.run.err, n.Logs())
	case <-timeout.C:
		_ = n.Kill()
		return n, fmt.Errorf("the node did not serve within %s\n%s", startTimeout, n.Logs())
	}
}

// live waits for the end of the node. When ctx ends first, it asks the node to end as an operator would, and insists
// after a while.
func (n *Node) live(ctx context.Context, read <-chan struct{}) {
	defer close(n.done)
	select {
	case <-ctx.Done():
		_ = n.run.cmd.Process.Signal(syscall.SIGTERM)
		patience := time.NewTimer(stopTimeout)
		defer patience.Stop()
		select {
		case <-patience.C:
			_ = n.run.cmd.Process.Kill()
		case <-n.run.done:
		}
	case <-n.run.done:
	}
	<-n.run.done
	<-read
}

// read collects the log and finds the line that says where the node listens.
func (n *Node) read(from io.ReadCloser, address chan<- string) {
	defer func() { _ = from.Close() }()
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		n.mu.Lock()
		n.logs.WriteString(line)
		n.mu.Unlock()
		var entry struct {
			Message string `json:"message"`
			Address string `json:"address"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Message == "ready" {
			address <- entry.Address
		}
		if err != nil {
			return
		}
	}
}

// Logs is everything the node has printed so far.
func (n *Node) Logs() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.logs.String()
}

// PID is the process id.
func (n *Node) PID() int { return n.run.cmd.Process.Pid }

// Client is an admin client of this node.
func (n *Node) Client() *adminclient.Client {
	client, err := adminclient.New(n.URL, adminclient.WithAuthKey(AuthKey))
	if err != nil {
		panic(err) // a URL and a key that we made ourselves
	}
	return client
}

// Stop ends the node as an operator does and waits. An error tells that it did not end well.
func (n *Node) Stop() error {
	_ = n.run.cmd.Process.Signal(syscall.SIGTERM)
	_ = n.Thaw() // a frozen one would not hear of it
	<-n.done
	if n.run.err != nil {
		return fmt.Errorf("the node ended badly: %w\n%s", n.run.err, n.Logs())
	}
	return nil
}

// Freeze stops the node where it is (SIGSTOP): its connections stay open and nothing answers.
func (n *Node) Freeze() error { return n.run.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw lets a frozen node go on.
func (n *Node) Thaw() error { return n.run.cmd.Process.Signal(syscall.SIGCONT) }

// Kill ends the node like a power cut of the process: nothing of it runs any more.
func (n *Node) Kill() error {
	err := n.run.cmd.Process.Kill()
	<-n.done
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}
