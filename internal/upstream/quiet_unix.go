//go:build unix

package upstream

import "syscall"

// nothingToRead reports whether a socket is open and holds nothing: a read from it would have to wait. Go's sockets do
// not block. The byte that a read takes is no loss, since its connection is not used again.
func nothingToRead(fd uintptr) bool {
	var b [1]byte
	for {
		_, err := syscall.Read(int(fd), b[:])
		if err != syscall.EINTR {
			return err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		}
	}
}
