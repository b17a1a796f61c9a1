//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package requestlog

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes an exclusive lock that the kernel gives back when the process ends, however it ends. It reports
// false when another process holds it.
func lockFile(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// syncDir makes the names in a folder last over a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
