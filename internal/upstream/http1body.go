package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"sync/atomic"
)

// bodyKind is how a body is framed (RFC 9112 section 6.3).
type bodyKind uint8

const (
	bodyLength  bodyKind = iota // left bytes
	bodyChunked                 // in chunks
	bodyRest                    // until the connection ends
)

// http1Body is the body of an answer; its end gives the connection back. It reads into the memory of its caller, and has none
// of its own. Close may be called while Read waits, from another goroutine.
type http1Body struct {
	state    atomic.Uint32
	kind     bodyKind
	last     bool // the connection is not used again
	left     int64
	chunks   chunks
	ctx      context.Context // the request's, which ends the body too
	conn     *http1Conn
	response *http.Response
	err      error // what reads behind the end give
}

// States of a body. The connection is let go on the way to bodyEnded or bodyClosed, by who took that way.
const (
	bodyFree    uint32 = iota
	bodyReading        // in the hands of Read
	bodyLeft           // closed while Read has it, which clears up
	bodyEnded
	bodyClosed
)

var (
	errBodyClosed = errors.New("read on closed response body") // never io.EOF: half an answer must not look like a whole one
	errTwoReads   = errors.New("two reads on one response body at the same time")
)

// Read implements io.Reader.
func (b *http1Body) Read(p []byte) (int, error) {
	if !b.state.CompareAndSwap(bodyFree, bodyReading) {
		switch b.state.Load() {
		case bodyEnded:
			return 0, b.err
		case bodyReading:
			return 0, errTwoReads
		}
		return 0, errBodyClosed
	}
	n, err := b.read(p)
	next := bodyFree
	if err != nil {
		if !isEnd(err) && b.ctx.Err() != nil {
			err = context.Cause(b.ctx) // why the connection was closed under the read
		}
		next, b.err = bodyEnded, err
	}
	if !b.state.CompareAndSwap(bodyReading, next) {
		b.conn.discard()
		b.state.Store(bodyClosed)
		return 0, errBodyClosed
	}
	if isEnd(err) {
		b.conn.finish(b.last)
	} else if err != nil {
		b.conn.discard()
	}
	return n, err
}

// Close implements io.Closer. A body that was not read to its end costs the connection: reading on could take for ever.
func (b *http1Body) Close() error {
	for {
		switch b.state.Load() {
		case bodyFree:
			if b.state.CompareAndSwap(bodyFree, bodyClosed) {
				b.conn.discard()
				return nil
			}
		case bodyReading:
			if b.state.CompareAndSwap(bodyReading, bodyLeft) {
				b.conn.kill()
				return nil
			}
		default:
			return nil
		}
	}
}

func (b *http1Body) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	switch b.kind {
	case bodyLength:
		return b.readLength(p)
	case bodyChunked:
		return b.readChunks(p)
	}
	n, err := b.conn.take(p)
	if n > 0 {
		err = nil // it comes again
	}
	return n, err
}

// isEnd recognises a clean end, which only io.EOF itself is: what wraps it tells of a connection that broke.
func isEnd(err error) bool {
	return err == io.EOF //nolint:errorlint // as it says
}

func (b *http1Body) readLength(p []byte) (int, error) {
	n, err := b.conn.takeAll(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	switch {
	case b.left == 0:
		return n, io.EOF
	case isEnd(err):
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// readChunks reads until there is some content.
func (b *http1Body) readChunks(p []byte) (int, error) {
	for {
		n, err := b.conn.take(p)
		if n > 0 {
			content, used, end := b.chunks.decode(p[:n])
			if isEnd(end) {
				b.conn.readBroke = b.conn.readBroke || used < n
				end = b.endChunks()
			}
			if content > 0 || end != nil {
				return content, end
			}
		}
		if isEnd(err) {
			return 0, io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
	}
}

// endChunks takes the trailers that came behind the last chunk.
func (b *http1Body) endChunks() error {
	if b.chunks.trailer == nil {
		return io.EOF
	}
	from := bufio.NewReader(bytes.NewReader(b.chunks.trailer))
	trailer, err := textproto.NewReader(from).ReadMIMEHeader()
	if err != nil {
		return err
	}
	if b.response.Trailer == nil {
		b.response.Trailer = http.Header{}
	}
	maps.Copy(b.response.Trailer, http.Header(trailer))
	b.conn.readBroke = b.conn.readBroke || from.Buffered() > 0 // an empty line in the middle
	return io.EOF
}
