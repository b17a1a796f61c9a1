package testenv

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// processRun is one run of a program, from its start to its end.
type processRun struct {
	cmd   *exec.Cmd
	done  chan struct{} // closed when the process has ended and was waited for
	err   error         // of Wait; after done
	heirs *lastWill     // kills children; nil where they end by themselves

	killed bool // by Kill
}

// startProcess starts the command. The kernel kills the process when the thread that forked it ends (PR_SET_PDEATHSIG
// in prctl(2)), so that thread is held until the process has ended.
func startProcess(cmd *exec.Cmd) (*processRun, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.SysProcAttr.Setpgid = true // a Ctrl-C in the terminal is for the program that started it
	run := &processRun{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go run.live(started)
	if err := <-started; err != nil {
		return nil, err
	}
	return run, nil
}

// live is a goroutine's life: from fork to wait.
func (r *processRun) live(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := r.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	r.err = r.cmd.Wait()
	close(r.done)
}

// endChildren kills what the ended process left, where it leaves anything.
func (r *processRun) endChildren() {
	if r.heirs == nil {
		return
	}
	_ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL)
	r.heirs.revoke()
	r.heirs = nil
}

// require finds a program in PATH or in the other places where Debian keeps servers.
func require(program, debianPackage string, places ...string) (string, error) {
	path, err := exec.LookPath(program)
	if err == nil {
		return path, nil
	}
	for _, place := range append(places, "/usr/sbin", "/usr/local/sbin") {
		found, err := filepath.Glob(filepath.Join(place, program))
		if err == nil && len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("%s is not installed: apt-get install %s", program, strings.TrimSpace(debianPackage))
}
