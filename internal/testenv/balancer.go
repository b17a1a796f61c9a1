package testenv

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Balancer is nginx in front of nodes, with the configuration that the repository recommends for it.
type Balancer struct {
	Process
	URL string // base URL, without a path

	program, template string
	listen            string
	nodes             []string
}

// StartBalancer starts nginx, whose files lie in dir, in front of the nodes, each a host:port, and returns when it
// answers. It listens at listen, a host:port; empty takes a free port of 127.0.0.1. ctx bounds the start only.
func StartBalancer(ctx context.Context, dir, listen string, nodes []string) (*Balancer, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	program, err := require("nginx", "nginx-light")
	if err != nil {
		return nil, err
	}
	root, err := sourceRoot(ctx)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "temp"), 0o755); err != nil {
		return nil, err
	}
	b := &Balancer{program: program, template: filepath.Join(root, "configs", "nginx.conf.template"), listen: listen, nodes: nodes}
	b.Process = Process{
		name: "nginx", dir: dir, log: filepath.Join(dir, "log"), stopSignal: syscall.SIGTERM, leavesChildren: true,
		initialise: b.configure, command: b.command, answers: b.responds,
	}
	if b.listen == "" {
		port, err := reservePort()
		if err != nil {
			return nil, err
		}
		b.ports, b.listen = []*portReservation{port}, port.address()
	}
	b.URL = "http://" + b.listen
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(err, b.Stop())
	}
	return b, nil
}

// NewBalancer is StartBalancer for the length of a test.
func NewBalancer(tb testing.TB, nodes []string) *Balancer {
	tb.Helper()
	return own(tb, func(ctx context.Context, dir string) (*Balancer, error) { return StartBalancer(ctx, dir, "", nodes) })
}

// configure fills in the template as envsubst does in nginx's own image.
func (b *Balancer) configure(context.Context) error {
	text, err := os.ReadFile(b.template)
	if err != nil {
		return err
	}
	var servers strings.Builder
	for _, node := range b.nodes {
		fmt.Fprintf(&servers, "server %s max_fails=3 fail_timeout=5s; ", node)
	}
	conf := strings.NewReplacer(
		"${GPT_LOAD_LISTEN}", b.listen,
		"${GPT_LOAD_SERVERS}", servers.String(),
		"${GPT_LOAD_RESOLVER}", "",
		"${GPT_LOAD_TEMP}", filepath.Join(b.dir, "temp"),
	).Replace(string(text))
	return os.WriteFile(filepath.Join(b.dir, "nginx.conf"), []byte(conf), 0o644)
}

func (b *Balancer) command() *exec.Cmd {
	cmd := exec.Command(b.program, "-p", b.dir, "-c", filepath.Join(b.dir, "nginx.conf"), "-g", "daemon off;")
	cmd.Dir, cmd.Env = b.dir, []string{"PATH=" + os.Getenv("PATH")}
	return cmd
}

// responds takes any answer: it is nginx that has to be up, not the nodes.
func (b *Balancer) responds(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, b.URL+"/livez", nil)
	if err != nil {
		return err
	}
	request.Close = true
	answer, err := direct.RoundTrip(request)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}
