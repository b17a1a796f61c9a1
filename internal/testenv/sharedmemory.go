package testenv

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// removeSharedMemory removes what a killed PostgreSQL left in the kernel: a System V segment, of which there are 4096 on
// a machine. PostgreSQL itself removes it only when it starts again with the same data. dataDir says which it was.
func removeSharedMemory(dataDir string) {
	text, err := os.ReadFile(filepath.Join(dataDir, "postmaster.pid"))
	if err != nil {
		return // it ended in good order, or never started
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 7 {
		return
	}
	// src/include/utils/pidfile.h of PostgreSQL: the process is in line 1, the segment's key and id are in line 7.
	segment := strings.Fields(lines[6])
	if len(segment) != 2 {
		return
	}
	id, err := strconv.Atoi(segment[1])
	if err != nil || !leftBy(id, strings.TrimSpace(lines[0])) {
		return
	}
	const remove = 0 // IPC_RMID
	_, _, _ = syscall.Syscall(syscall.SYS_SHMCTL, uintptr(id), remove, 0)
}

// leftBy reports whether the segment is one that the process made and nobody uses any more.
func leftBy(id int, process string) bool {
	file, err := os.Open("/proc/sysvipc/shm")
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		// key shmid perms size cpid lpid nattch ...
		fields := strings.Fields(lines.Text())
		if len(fields) > 6 && fields[1] == fmt.Sprint(id) {
			return fields[4] == process && fields[6] == "0"
		}
	}
	return false
}
