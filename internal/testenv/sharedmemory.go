package testenv

import (
	"bufio"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// sharedMemory is the System V segment of a PostgreSQL server. A machine has 4096 of them, and a server that was killed
// leaves its own in the kernel until it starts again with the same data.
type sharedMemory struct {
	id      int
	process string // that made it
}

// sharedMemoryOf reads which segment belongs to the data; none does after a good end.
func sharedMemoryOf(dataDir string) (sharedMemory, bool) {
	text, err := os.ReadFile(filepath.Join(dataDir, "postmaster.pid"))
	if err != nil {
		return sharedMemory{}, false
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) < 7 {
		return sharedMemory{}, false
	}
	// src/include/utils/pidfile.h of PostgreSQL: the process is in line 1, the segment's key and id are in line 7.
	segment := strings.Fields(lines[6])
	if len(segment) != 2 {
		return sharedMemory{}, false
	}
	id, err := strconv.Atoi(segment[1])
	return sharedMemory{id: id, process: strings.TrimSpace(lines[0])}, err == nil
}

// removeSharedMemory removes the segment that a killed server left; with processes that still end, the last one does.
func removeSharedMemory(dataDir string) {
	const remove = 0 // IPC_RMID
	if segment, ok := sharedMemoryOf(dataDir); ok && segment.exists() {
		_, _, _ = syscall.Syscall(syscall.SYS_SHMCTL, uintptr(segment.id), remove, 0)
	}
}

// exists reports whether the segment is there and still the one that the process made.
func (m sharedMemory) exists() bool {
	file, err := os.Open("/proc/sysvipc/shm")
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		// key shmid perms size cpid ...
		fields := strings.Fields(lines.Text())
		if len(fields) > 4 && fields[1] == strconv.Itoa(m.id) {
			return fields[4] == m.process
		}
	}
	return false
}
