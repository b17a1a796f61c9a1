package testenv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// defaultStopTimeout is how long a server may take to end in good order before it is killed.
const defaultStopTimeout = 15 * time.Second

// Process is a server that runs as a process of its own. It dies with the process that started it, however that one
// ends. The methods may be called from several goroutines, one at a time takes effect.
type Process struct {
	name  string // of the server, in messages
	dir   string
	ports []*portReservation
	log   string // file with everything the server printed

	// initialise makes the data in an empty dir.
	initialise func(ctx context.Context) error
	// command makes the command that starts the server.
	command func() *exec.Cmd
	// answers is nil when the server is up, tried many times a second.
	answers func(ctx context.Context) error
	// stopSignal asks the server to end in good order.
	stopSignal syscall.Signal
	// askAgain repeats stopSignal, for a server that may forget that it was asked.
	askAgain bool
	// stopTimeout is how long the server may take to end in good order before it is killed; 15 s if 0.
	stopTimeout time.Duration
	// afterDeath removes what a killed server leaves outside its directory; nil where there is nothing.
	afterDeath func()
	// leavesChildren says that children go on when the server is killed, and have to be killed too.
	leavesChildren bool

	wipe []string // what makes up the data, below dir

	mu     sync.Mutex
	run    *processRun // the latest; nil before the first
	frozen *lastWill   // thaws children; nil unless frozen
	closed bool        // after Stop
}

// start initialises the server where that was not done, starts it and returns when it answers.
func (p *Process) start(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.startLocked(ctx, true)
}

func (p *Process) startLocked(ctx context.Context, empty bool) error {
	if p.closed {
		return fmt.Errorf("%s was stopped for good", p.name)
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if empty && p.initialise != nil {
		if err := p.initialise(ctx); err != nil {
			return fmt.Errorf("preparing the data of %s in %s: %w", p.name, p.dir, err)
		}
	}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	cmd := p.command()
	cmd.Stdout, cmd.Stderr = log, log
	run, err := startProcess(cmd)
	_ = log.Close()
	if err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	p.run = run
	if p.leavesChildren {
		if p.run.heirs, err = startLastWill("KILL", -p.run.cmd.Process.Pid); err != nil {
			return errors.Join(fmt.Errorf("starting %s: %w", p.name, err), p.killLocked())
		}
	}
	if err := p.await(ctx); err != nil {
		_ = p.killLocked()
		return fmt.Errorf("%w\n%s", err, p.lastLines())
	}
	return nil
}

// await waits until the server answers.
func (p *Process) await(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ended := p.run.done
	go func() {
		select {
		case <-ended:
			cancel(errors.New("it has ended"))
		case <-ctx.Done():
		}
	}()
	if err := poll(ctx, func() error { return p.answers(ctx) }); err != nil {
		return fmt.Errorf("%s does not answer: %w", p.name, err)
	}
	return nil
}

// poll tries until it works or ctx ends.
func poll(ctx context.Context, try func() error) error {
	often := time.NewTicker(10 * time.Millisecond)
	defer often.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		case <-often.C:
		}
	}
}

// lastLines is the end of the server's log.
func (p *Process) lastLines() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// LogFile is the path of everything the server has printed, over all its runs.
func (p *Process) LogFile() string { return p.log }

// PID is the process id of the current or latest run.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run.cmd.Process.Pid
}

// Kill ends the server and all its processes as a power cut of the processes would (SIGKILL), and waits until they are
// gone. What the server had handed to the kernel stays on the disk. A server that does not run is no error.
func (p *Process) Kill() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.killLocked()
}

func (p *Process) killLocked() error {
	if p.run == nil {
		return nil
	}
	pid := p.run.cmd.Process.Pid
	// Stopped first, so that it has no new child while the others die.
	var children []int
	if p.run.cmd.Process.Signal(syscall.SIGSTOP) == nil {
		children = descendants(pid)
	}
	for _, child := range children {
		_ = syscall.Kill(child, syscall.SIGKILL)
	}
	err := p.run.cmd.Process.Kill()
	p.run.killed = err == nil
	<-p.run.done
	p.thawed()
	p.run.endChildren()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return errors.Join(err, awaitStates(children, goneStates))
}

// Freeze stops all processes of the server where they are (SIGSTOP): connections stay open, the kernel goes on
// accepting new ones, and nothing answers.
func (p *Process) Freeze() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen != nil {
		return nil
	}
	pid := p.run.cmd.Process.Pid
	if err := p.run.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("freezing %s: %w", p.name, err)
	}
	// The parent stands still: no child is born any more.
	children := descendants(pid)
	// The kernel kills a frozen server when this process dies, but its children would stand still for ever: they end
	// when they run and notice.
	will, err := startLastWill("CONT", children...)
	if err != nil {
		_ = p.run.cmd.Process.Signal(syscall.SIGCONT)
		return fmt.Errorf("freezing %s: %w", p.name, err)
	}
	p.frozen = will
	for _, child := range children {
		if err := syscall.Kill(child, syscall.SIGSTOP); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("freezing %s: %w", p.name, err)
		}
	}
	return awaitStates(append(children, pid), frozenStates)
}

// Thaw lets a frozen server go on.
func (p *Process) Thaw() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.thawLocked()
}

func (p *Process) thawLocked() error {
	if p.frozen == nil {
		return nil
	}
	for _, child := range p.frozen.pids {
		if err := syscall.Kill(child, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("thawing %s: %w", p.name, err)
		}
	}
	p.thawed()
	if err := p.run.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("thawing %s: %w", p.name, err)
	}
	return nil
}

func (p *Process) thawed() {
	p.frozen.revoke()
	p.frozen = nil
}

// Ended is closed when the current or latest run has ended, for whatever reason.
func (p *Process) Ended() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run.done
}

// ExitState says how the latest run ended, such as "signal: killed"; it is for after Ended.
func (p *Process) ExitState() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run.cmd.ProcessState.String()
}

// Restart starts the server again at the same address with the data it had, and returns when it answers. A server that
// still runs is asked to end first; after Kill it recovers as after a crash.
func (p *Process) Restart(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.hasEnded() {
		if err := p.end(); err != nil {
			return err
		}
	}
	return p.startLocked(ctx, false)
}

// RestartEmpty is Restart with the data lost: the server comes back at the same address as it was first started.
func (p *Process) RestartEmpty(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.killLocked(); err != nil {
		return err
	}
	if p.afterDeath != nil {
		p.afterDeath()
	}
	for _, name := range p.wipe {
		if err := os.RemoveAll(filepath.Join(p.dir, name)); err != nil {
			return err
		}
	}
	return p.startLocked(ctx, true)
}

// Stop ends the server for good: in good order, or by SIGKILL when it takes too long. An error tells that it did not end
// well. The directory stays.
func (p *Process) Stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	err := p.end()
	if p.afterDeath != nil {
		p.afterDeath()
	}
	for _, port := range p.ports {
		port.release()
	}
	return err
}

// end ends the current run in good order. A frozen server goes on first, to hear of it.
func (p *Process) end() error {
	if p.hasEnded() {
		return p.judge()
	}
	timeout := p.stopTimeout
	if timeout == 0 {
		timeout = defaultStopTimeout
	}
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	patience := time.NewTimer(timeout)
	defer patience.Stop()
	_ = p.run.cmd.Process.Signal(p.stopSignal)
	if err := p.thawLocked(); err != nil {
		return err
	}
	for {
		select {
		case <-p.run.done:
			p.run.endChildren()
			return p.judge()
		case <-again.C:
			if p.askAgain {
				_ = p.run.cmd.Process.Signal(p.stopSignal)
			}
		case <-patience.C:
			return errors.Join(fmt.Errorf("%s did not end within %s of %s", p.name, timeout, p.stopSignal), p.killLocked())
		}
	}
}

// hasEnded reports whether nothing runs.
func (p *Process) hasEnded() bool {
	if p.run == nil {
		return true
	}
	select {
	case <-p.run.done:
		p.thawed()
		p.run.endChildren()
		return true
	default:
		return false
	}
}

// judge says how the run ended. To be killed by Kill is no bad end.
func (p *Process) judge() error {
	if p.run == nil || p.run.err == nil || p.run.killed {
		return nil
	}
	return fmt.Errorf("%s ended badly: %w", p.name, p.run.err)
}
