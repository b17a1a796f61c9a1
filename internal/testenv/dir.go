package testenv

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// Names of the directories that MakeDir makes; unnamed ones have no owner yet.
const (
	dirPrefix     = "gpt-load-servers-"
	unnamedPrefix = "gpt-load-unnamed-"
)

// Dir is a directory for servers, with a short path that every user can enter. What a killed process leaves of its own
// goes when another process makes one.
type Dir struct {
	Path string

	lock *os.File // held as long as this process lives
}

// MakeDir makes a directory below os.TempDir.
func MakeDir() (*Dir, error) {
	removeOrphans()
	path, err := os.MkdirTemp("", unnamedPrefix)
	if err != nil {
		return nil, err
	}
	d := &Dir{Path: filepath.Join(filepath.Dir(path), dirPrefix+filepath.Base(path)[len(unnamedPrefix):])}
	if d.lock, err = lockDir(path); err == nil {
		// Under its final name only once locked: until then nobody takes it for an orphan.
		err = errors.Join(os.Chmod(path, 0o711), os.Rename(path, d.Path))
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	return d, nil
}

// Remove removes the directory with everything in it.
func (d *Dir) Remove() error { return errors.Join(os.RemoveAll(d.Path), d.lock.Close()) }

// NewDir is MakeDir for the length of a test; it returns the path.
func NewDir(tb testing.TB) string {
	tb.Helper()
	dir, err := MakeDir()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := dir.Remove(); err != nil {
			tb.Error(err)
		}
	})
	return dir.Path
}

// lockDir takes the directory, unless a living process has it. The kernel unlocks with the process.
func lockDir(path string) (*os.File, error) {
	dir, err := os.OpenFile(path, syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}

// removeOrphans removes the directories of processes that are gone. Other users' are left alone: they cannot be locked.
func removeOrphans() {
	dirs, err := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*"))
	if err != nil {
		return
	}
	for _, path := range dirs {
		if lock, err := lockDir(path); err == nil {
			for _, data := range []string{"data", "*/data"} { // where StartPostgres was given the directory, or one in it
				clusters, _ := filepath.Glob(filepath.Join(path, data))
				for _, cluster := range clusters {
					removeSharedMemory(cluster)
				}
			}
			_ = os.RemoveAll(path)
			_ = lock.Close()
		}
	}
}
