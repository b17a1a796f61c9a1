package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// orphanEnv makes the test binary start servers and then end in the way that the variable says.
const orphanEnv = "TESTENV_ORPHAN"

// orphan is the main program of the process that ends badly.
func orphan(how string) {
	ctx := context.Background()
	dir, err := MakeDir()
	if err != nil {
		panic(err)
	}
	postgres, err := StartPostgres(ctx, filepath.Join(dir.Path, "postgres"))
	if err != nil {
		panic(err)
	}
	mariadb, err := StartMariaDB(ctx, filepath.Join(dir.Path, "mariadb"))
	if err != nil {
		panic(err)
	}
	redis, err := StartRedis(ctx, filepath.Join(dir.Path, "redis"), RedisOptions{})
	if err != nil {
		panic(err)
	}
	nginx, err := StartBalancer(ctx, filepath.Join(dir.Path, "nginx"), "", []string{"127.0.0.1:1"})
	if err != nil {
		panic(err)
	}
	if strings.HasPrefix(how, "frozen") {
		for _, server := range []*Process{&postgres.Process, &mariadb.Process, &redis.Process, &nginx.Process} {
			if err := server.Freeze(); err != nil {
				panic(err)
			}
		}
	}
	segment, ok := sharedMemoryOf(filepath.Join(dir.Path, "postgres", "data"))
	if !ok {
		panic("postmaster.pid names no shared memory")
	}
	fmt.Println(dir.Path)
	fmt.Println(segment.id)
	fmt.Println(segment.process)
	for _, pid := range []int{postgres.PID(), mariadb.PID(), redis.PID(), nginx.PID()} {
		for _, process := range append(descendants(pid), pid) {
			fmt.Println(process)
		}
	}
	fmt.Println("started")
	if strings.HasSuffix(how, "panic") {
		panic("as the test wants it")
	}
	select {} // until it is killed
}

// TestOrphans: however the test process ends, no server outlives it, and its directory goes with the next run.
func TestOrphans(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"panic", "kill", "frozen panic", "frozen kill"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(self)
			cmd.Env = append(os.Environ(), orphanEnv+"="+how)
			var complaints strings.Builder
			cmd.Stderr = &complaints
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			must(t, cmd.Start())
			var words []string
			for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "started"; {
				words = append(words, lines.Text())
			}
			if strings.HasSuffix(how, "kill") {
				must(t, cmd.Process.Kill())
			}
			var ended *exec.ExitError
			if err := cmd.Wait(); !errors.As(err, &ended) {
				t.Fatalf("the process that was to end badly: %v", err)
			}
			if len(words) < 5 {
				t.Fatalf("it started nothing: %q\n%s", words, complaints.String())
			}
			dir := words[0]
			var pids []int
			for _, word := range words[2:] {
				pid, err := strconv.Atoi(word)
				must(t, err)
				pids = append(pids, pid)
			}
			id, err := strconv.Atoi(words[1])
			must(t, err)
			segment := sharedMemory{id: id, process: words[2]}
			must(t, awaitStates(pids, goneStates))
			// Another test may be removing it at this moment, and have it locked.
			ctx, cancel := context.WithTimeout(t.Context(), defaultStopTimeout)
			defer cancel()
			must(t, poll(ctx, func() error {
				removeOrphans()
				if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
					return fmt.Errorf("the directory of the dead process is still there: %w", err)
				}
				return nil
			}))
			if segment.exists() {
				t.Errorf("the shared memory %d of the dead process is still there", segment.id)
			}
		})
	}
}

// TestSharedMemory: a PostgreSQL that was killed leaves nothing in the kernel when it is given up or starts empty.
func TestSharedMemory(t *testing.T) {
	server := NewPostgres(t)
	segment := func() sharedMemory {
		t.Helper()
		segment, ok := sharedMemoryOf(filepath.Join(server.dir, "data"))
		if !ok {
			t.Fatal("postmaster.pid names no shared memory")
		}
		return segment
	}
	first := segment()
	must(t, server.Kill())
	if !first.exists() {
		t.Error("the shared memory is gone with the process, so nothing of this is needed")
	}
	must(t, server.RestartEmpty(t.Context()))
	if first.exists() {
		t.Error("the first server's shared memory is still there")
	}
	second := segment()
	must(t, server.Kill())
	must(t, server.Stop())
	if second.exists() {
		t.Error("the second server's shared memory is still there")
	}
}

// TestThreadEnds: a server does not die with the thread from which it was started.
func TestThreadEnds(t *testing.T) {
	dir := NewDir(t)
	type started struct {
		server *RedisServer
		err    error
	}
	result := make(chan started)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		server, err := StartRedis(context.Background(), dir, RedisOptions{})
		result <- started{server, err}
	}()
	s := <-result
	must(t, s.err)
	t.Cleanup(func() { must(t, s.server.Stop()) })
	if _, err := s.server.Do(t.Context(), "PING"); err != nil {
		t.Errorf("the server died with a thread: %v", err)
	}
}

// TestDirs: a living process keeps its directory.
func TestDirs(t *testing.T) {
	dir := NewDir(t)
	removeOrphans()
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o711 {
		t.Errorf("the mode of the directory is %o", info.Mode().Perm())
	}
}

// TestPortsAreReserved: a port belongs to its reservation also while nobody listens.
func TestPortsAreReserved(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		port, err := reservePort()
		must(t, err)
		defer port.release()
		if seen[port.number] {
			t.Errorf("port %d was handed out twice", port.number)
		}
		seen[port.number] = true
		if from := ephemeralPortsFrom(); from > portsFrom+1000 && port.number >= from {
			t.Errorf("port %d is one of those that outgoing connections take", port.number)
		}
	}
}
