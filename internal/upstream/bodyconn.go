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

// ReadFrom implements io.ReaderFrom. net/http hands over its own limit of Content-Length around the body.
func (c bodyConn) ReadFrom(r io.Reader) (int64, error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		if body, ok := limited.R.(held); ok && int64(body.Len()) <= limited.N {
			n, err := body.WriteTo(c.Conn)
			limited.N -= n
			return n, err
		}
	}
	if from, ok := c.Conn.(io.ReaderFrom); ok {
		return from.ReadFrom(r)
	}
	return io.Copy(struct{ io.Writer }{c.Conn}, r)
}
