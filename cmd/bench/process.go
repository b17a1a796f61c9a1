package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a child on loopback whose CPU time is read from /proc.
type process struct {
	cmd  *exec.Cmd
	pid  int
	addr string
	done chan struct{}
}

// startRole runs this binary again as an upstream or a peer. It prints its address on its first line.
func startRole(ctx context.Context, role, target string, env ...string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-role", role, "-target", target)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p, err := start(cmd)
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s did not say its address: %w", role, err), p.stop())
	}
	p.addr = strings.TrimSpace(line)
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return p, nil
}

func start(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, pid: cmd.Process.Pid, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(15 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
		return errors.New("a child did not end on SIGTERM")
	}
}

// clockTick is the unit of /proc/[pid]/stat, proc(5): USER_HZ, 100 on every Linux that Go supports.
const clockTick = 10 * time.Millisecond

// cpu is the user and system time the process has used, to a clock tick.
func (p *process) cpu() (time.Duration, error) { return p.ticks(14, 15) }

// endedChildrenCPU is that of its children that have ended and were waited for.
func (p *process) endedChildrenCPU() (time.Duration, error) { return p.ticks(16, 17) }

// ticks sums up fields of /proc/[pid]/stat, which proc(5) counts from 1.
func (p *process) ticks(fields ...int) (time.Duration, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "stat"))
	if err != nil {
		return 0, err
	}
	// The third field is the first behind the command name, which may hold spaces.
	words := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var sum int64
	for _, field := range fields {
		n, err := strconv.ParseInt(words[field-3], 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * clockTick, nil
}

// resident is the memory in RAM, in bytes.
func (p *process) resident() (int64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.pid), "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmRSS in /proc/[pid]/status")
}
