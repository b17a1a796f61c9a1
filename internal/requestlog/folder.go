package requestlog

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// Names in a spool folder, beside the segments.
const (
	lockName     = "lock"
	sourceName   = "source"
	rejectedName = "rejected.jsonl"
)

// folder is a spool folder that this process holds.
type folder struct {
	dir    string
	lock   *os.File
	source atomic.Pointer[string]
}

// openFolder makes the folder when it is missing, locks it and reads its source id, or makes one.
func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the request log: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of the request log; the folder must be writable: %w", err)
	}
	f := &folder{dir: dir, lock: lock}
	locked, err := lockFile(lock)
	switch {
	case err != nil:
		err = fmt.Errorf("locking %s; the file system must support locks: %w", lock.Name(), err)
	case !locked:
		err = fmt.Errorf("the request log folder %s is in use by another process; give each node a data folder of its own", dir)
	default:
		err = f.readSource()
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return f, nil
}

// readSource reads the id or makes one. An id that cannot be read belongs to nothing that a sink knows; a new one is
// as good, because sinks know records by their own ids too.
func (f *folder) readSource() error {
	text, err := os.ReadFile(filepath.Join(f.dir, sourceName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading the id of the request log: %w", err)
	}
	source := strings.TrimSpace(string(text))
	if raw, err := hex.DecodeString(source); err == nil && len(raw) == sourceBytes {
		f.source.Store(&source)
		return nil
	}
	return f.newSource()
}

const sourceBytes = 16

// newSource gives the folder another id. The file is complete or not there, also after a power cut.
func (f *folder) newSource() error {
	var raw [sourceBytes]byte
	_, _ = rand.Read(raw[:]) // never fails since Go 1.24
	source := hex.EncodeToString(raw[:])
	path := filepath.Join(f.dir, sourceName)
	temporary := path + ".new"
	err := os.Remove(temporary) // what a crash left
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = writeSynced(temporary, source+"\n")
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err == nil {
		err = syncDir(f.dir)
	}
	if err != nil {
		return fmt.Errorf("writing the id of the request log: %w", err)
	}
	f.source.Store(&source)
	return nil
}

func writeSynced(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Sync(), file.Close())
}

func (f *folder) close() error { return f.lock.Close() }
