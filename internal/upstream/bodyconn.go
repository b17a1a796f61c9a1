package upstream

import (
	"io"
	"net"
)

// bodyConn is a plain connection that sends a request body which stands in memory in one write. net/http would copy it
// through a buffer of 32 KiB that it allocates for each request, one write for each filling.
type bodyConn struct{ net.Conn }

// held is what bytes.Reader has, and every body that is in memory.
type held interface {
	io.WriterTo
	Len() int // bytes that are left
}

// ReadFrom implements io.ReaderFrom.
func (c bodyConn) ReadFrom(r io.Reader) (int64, error) {
	if _, ok := bodyOf(r); !ok {
		if from, ok := c.Conn.(io.ReaderFrom); ok {
			return from.ReadFrom(r)
		}
	}
	return readHeld(struct{ io.Writer }{c.Conn}, r)
}

// readHeld is io.Copy with one write for a body in memory.
func readHeld(w io.Writer, r io.Reader) (int64, error) {
	if limited, ok := bodyOf(r); ok {
		n, err := limited.R.(held).WriteTo(w)
		limited.N -= n
		return n, err
	}
	return io.Copy(w, r)
}

// bodyOf finds a body in memory within the limit of Content-Length that net/http puts around it.
func bodyOf(r io.Reader) (*io.LimitedReader, bool) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		return nil, false
	}
	body, ok := limited.R.(held)
	return limited, ok && int64(body.Len()) <= limited.N
}
