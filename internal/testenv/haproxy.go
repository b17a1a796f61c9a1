package testenv

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// HAProxy stands in front of nodes and checks their health, with the configuration that the repository recommends for it.
type HAProxy struct {
	Process
	URL string // base URL, without a path

	program, template string
	listen            string
	nodes             []string
}

// NewHAProxy starts HAProxy in front of the nodes, each a host:port, for the length of a test.
func NewHAProxy(tb testing.TB, nodes []string) *HAProxy {
	tb.Helper()
	return own(tb, func(ctx context.Context, dir string) (*HAProxy, error) { return startHAProxy(ctx, dir, nodes) })
}

func startHAProxy(ctx context.Context, dir string, nodes []string) (*HAProxy, error) {
	program, err := require("haproxy", "haproxy")
	if err != nil {
		return nil, err
	}
	root, err := sourceRoot(ctx)
	if err != nil {
		return nil, err
	}
	port, err := reservePort()
	if err != nil {
		return nil, err
	}
	h := &HAProxy{program: program, template: filepath.Join(root, "configs", "haproxy.cfg.template"), listen: port.address(), nodes: nodes, URL: "http://" + port.address()}
	h.Process = Process{
		name: "HAProxy", dir: dir, log: filepath.Join(dir, "log"), ports: []*portReservation{port}, stopSignal: syscall.SIGUSR1,
		initialise: h.configure, command: h.command, answers: h.allUp,
	}
	if err := h.start(ctx); err != nil {
		return nil, errors.Join(err, h.Stop())
	}
	return h, nil
}

func (h *HAProxy) configure(context.Context) error {
	text, err := os.ReadFile(h.template)
	if err != nil {
		return err
	}
	var servers strings.Builder
	for i, node := range h.nodes {
		fmt.Fprintf(&servers, "server node-%d %s check\n\t", i+1, node)
	}
	conf := strings.NewReplacer("${GPT_LOAD_LISTEN}", h.listen, "${GPT_LOAD_SERVERS}", servers.String(), "${GPT_LOAD_RUN}", h.dir).Replace(string(text))
	return os.WriteFile(filepath.Join(h.dir, "haproxy.cfg"), []byte(conf), 0o644)
}

func (h *HAProxy) command() *exec.Cmd {
	cmd := exec.Command(h.program, "-db", "-f", filepath.Join(h.dir, "haproxy.cfg"))
	cmd.Dir, cmd.Env = h.dir, []string{"PATH=" + os.Getenv("PATH")}
	return cmd
}

func (h *HAProxy) allUp(ctx context.Context) error {
	up, err := h.Up(ctx)
	if err == nil && len(up) != len(h.nodes) {
		err = fmt.Errorf("of %d nodes only %v are up", len(h.nodes), up)
	}
	return err
}

// Up lists the places of the nodes that its health checks hold for ready.
func (h *HAProxy) Up(ctx context.Context) ([]int, error) {
	rows, err := h.stat(ctx)
	if err != nil {
		return nil, err
	}
	const backend, server, status = 0, 1, 17 // see section 9.1 of HAProxy's management guide
	up := []int{}
	for _, row := range rows {
		place := 0
		if len(row) <= status || row[backend] != "nodes" || row[status] != "UP" {
			continue
		}
		if _, err := fmt.Sscanf(row[server], "node-%d", &place); err == nil {
			up = append(up, place-1)
		}
	}
	return up, nil
}

// stat asks for the table of everything that HAProxy counts.
func (h *HAProxy) stat(ctx context.Context) ([][]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(h.dir, "haproxy.sock"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(conn, "show stat\n"); err != nil {
		return nil, err
	}
	table := csv.NewReader(conn)
	table.FieldsPerRecord = -1
	return table.ReadAll()
}
