package upstream

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// link is one layer of a connection: a socket, or TLS above another link. It can be asked to read only what is there,
// which net.Conn cannot. Reads are for one goroutine at a time, and so are writes.
type link struct {
	net.Conn
	below *link // of TLS, nil for a socket

	raw syscall.RawConn // nil for what is no socket
	// What readNow asks the socket for, and what it gave. The function is made once: one for each call would be garbage.
	attempt func(fd uintptr) bool
	into    []byte
	n       int
	err     error
	one     [1]byte

	now     bool // Read does not wait
	records records
	pieces  [2][]byte
	buffers net.Buffers // over pieces
	// stalled is asked when a write has met its deadline, and tells whether it goes on.
	stalled func() bool
}

// newLink wraps a connection that has no TLS of ours on it.
func newLink(conn net.Conn) *link {
	if l, ok := conn.(*link); ok {
		return l
	}
	l := &link{Conn: conn}
	if socket, ok := conn.(syscall.Conn); ok {
		if raw, err := socket.SyscallConn(); err == nil {
			l.raw = raw
			l.attempt = func(fd uintptr) bool {
				l.n, l.err = readAtOnce(fd, l.into)
				return true
			}
		}
	}
	return l
}

// errNothing says that a read would have to wait. It is a net.Error that passes, so that crypto/tls does not keep it.
var errNothing net.Error = nothing{}

type nothing struct{}

func (nothing) Error() string   { return "nothing to read" }
func (nothing) Timeout() bool   { return true }
func (nothing) Temporary() bool { return true }

// Read implements io.Reader.
func (l *link) Read(p []byte) (n int, err error) {
	switch {
	case !l.now:
		n, err = l.Conn.Read(p)
	case l.below != nil:
		l.below.now = true
		n, err = l.Conn.Read(p)
		l.below.now = false
	default:
		n, err = l.readNow(p)
	}
	if l.records.counted && n > 0 {
		l.records.follow(p[:n])
	}
	return n, err
}

// readNow reads from the socket without waiting.
func (l *link) readNow(p []byte) (int, error) {
	if l.raw == nil {
		return 0, errNothing
	}
	l.into = p
	err := l.raw.Read(l.attempt)
	l.into = nil
	if err != nil {
		return 0, err
	}
	return l.n, l.err
}

// quiet reports whether the connection is open and holds nothing to read, neither in the socket nor inside TLS, as one
// between two exchanges has to be. A connection that is not must be closed: this may have read a byte of it.
func (l *link) quiet() bool {
	l.now = true
	n, err := l.Read(l.one[:])
	l.now = false
	if n > 0 || !errors.Is(err, errNothing) {
		return false
	}
	for under := l.below; under != nil; under = under.below {
		if !under.records.whole() {
			return false
		}
	}
	return true
}

// Write implements io.Writer.
func (l *link) Write(p []byte) (int, error) {
	n, err := l.Conn.Write(p)
	for err != nil && l.stalled != nil && errors.Is(err, os.ErrDeadlineExceeded) && l.stalled() {
		var more int
		more, err = l.Conn.Write(p[n:])
		n += more
	}
	return n, err
}

// writeBoth writes two pieces to a socket in one call of the kernel.
func (l *link) writeBoth(a, b []byte) (int, error) {
	l.pieces = [2][]byte{a, b}
	l.buffers = l.pieces[:]
	n, err := l.buffers.WriteTo(l.Conn)
	for err != nil && l.stalled != nil && errors.Is(err, os.ErrDeadlineExceeded) && l.stalled() {
		var more int64
		more, err = l.buffers.WriteTo(l.Conn) // of what is left
		n += more
	}
	l.pieces = [2][]byte{} // the memory is not ours
	l.buffers = nil
	return int(n), err
}

// socket is the lowest layer. Closing it ends every read and write above at once, without a word to the other side.
func (l *link) socket() *link {
	for l.below != nil {
		l = l.below
	}
	return l
}

// records follows the borders of TLS records (RFC 8446 section 5.1), whose header is in clear. The half of a record that
// crypto/tls has read already can be seen nowhere else.
type records struct {
	counted bool
	header  [5]byte
	have    int // bytes of the header
	left    int // bytes of the record's body
}

func (r *records) follow(b []byte) {
	for len(b) > 0 {
		if r.left > 0 {
			n := min(r.left, len(b))
			r.left, b = r.left-n, b[n:]
			continue
		}
		n := copy(r.header[r.have:], b)
		r.have, b = r.have+n, b[n:]
		if r.have == len(r.header) {
			r.have, r.left = 0, int(r.header[3])<<8|int(r.header[4])
		}
	}
}

func (r *records) whole() bool { return r.have == 0 && r.left == 0 }
