package testenv

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// descendants lists the processes below pid, from /proc.
func descendants(pid int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for _, entry := range entries {
		if child, err := strconv.Atoi(entry.Name()); err == nil {
			if parent, _, ok := processStat(child); ok {
				children[parent] = append(children[parent], child)
			}
		}
	}
	below := children[pid]
	for i := 0; i < len(below); i++ {
		below = append(below, children[below[i]]...)
	}
	return below
}

// processStat reads parent and state of a process (proc(5), /proc/PID/stat). A process that is gone has none.
func processStat(pid int) (parent int, state byte, ok bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, false
	}
	// The second field is the program's name in parentheses, and the name may hold anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 2 {
		return 0, 0, false
	}
	parent, err = strconv.Atoi(string(fields[1]))
	return parent, fields[0][0], err == nil
}

// States of processes as proc(5) names them. One that is gone, but for what its parent has not collected yet, counts as
// frozen too.
const (
	goneStates   = "ZX"
	frozenStates = "T" + goneStates
)

// awaitStates waits until each process is in one of the states or exists no more. It looks again and again: for
// processes that are not its children a process hears of no change.
func awaitStates(pids []int, states string) error {
	often := time.NewTicker(time.Millisecond)
	defer often.Stop()
	patience := time.NewTimer(defaultStopTimeout)
	defer patience.Stop()
	for _, pid := range pids {
		for {
			_, state, ok := processStat(pid)
			if !ok || strings.IndexByte(states, state) >= 0 {
				break
			}
			select {
			case <-often.C:
			case <-patience.C:
				return fmt.Errorf("process %d is in state %c for %s, not in one of %s", pid, state, defaultStopTimeout, states)
			}
		}
	}
	return nil
}

// lastWill is a shell that signals processes when the process that started it dies before it revokes that.
type lastWill struct {
	pids []int
	cmd  *exec.Cmd
	hold io.WriteCloser
}

// startLastWill makes the shell that will send the signal, such as CONT, to the process ids; a negative one is a process
// group, as in kill(1).
func startLastWill(signal string, pids ...int) (*lastWill, error) {
	// The read ends with the pipe, and the pipe with this process.
	args := []string{"-c", `read -r _; [ $# = 0 ] || kill -s ` + signal + ` -- "$@" 2>/dev/null`, "last-will"}
	for _, pid := range pids {
		args = append(args, strconv.Itoa(pid))
	}
	cmd := exec.Command("/bin/sh", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C in the terminal is not meant for it
	hold, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &lastWill{pids: pids, cmd: cmd, hold: hold}, nil
}

// revoke ends the shell without its signal.
func (w *lastWill) revoke() {
	if w == nil {
		return
	}
	_ = w.cmd.Process.Kill()
	_ = w.cmd.Wait()
	_ = w.hold.Close()
}
