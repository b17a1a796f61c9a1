package fakeprovider

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"time"
)

// breakOff does to the connection what the plan says, before any header. It panics with http.ErrAbortHandler,
// which net/http turns into a closed connection, where the connection cannot be had (HTTP/2, recorders).
func (d *delivery) breakOff() {
	t := &d.pl.then
	if t.Break == BreakHang {
		d.held()
		return
	}
	if t.Break == BreakRefuse {
		pick(&t.RefuseFor, time.Second)
		d.p.Refuse(t.RefuseFor)
	}
	conn, out := d.hijack()
	switch t.Break {
	case BreakReset, BreakRefuse:
		resetConn(conn)
		return
	case BreakHeaders:
		_, _ = out.WriteString("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
	case BreakGarbage:
		_, _ = out.WriteString("\x15\x03\x01\x00\x02\x02\x28 this is not HTTP\r\n\r\n")
	case BreakNone, BreakEOF, BreakHang:
	}
	_ = out.Flush()
	_ = conn.Close()
}

// hijack takes the connection over, or aborts the request where that is not possible.
func (d *delivery) hijack() (net.Conn, *bufio.ReadWriter) {
	conn, out, err := d.ctl.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return conn, out
}

// spoil does the plan's flaw now, and reports whether the answer goes on behind it.
func (d *delivery) spoil() bool {
	t := &d.pl.then
	if !d.flush() {
		return false
	}
	switch t.Flaw {
	case FlawNone, FlawNoEnd:
		return true
	case FlawCleanEnd:
		if d.enc != nil {
			_ = d.enc.Close()
		}
		return false
	case FlawStall:
		return d.held()
	case FlawEvent:
		return d.write([]byte("data: {\"id\":\"broken\",\"choices\":[{\"del\n\n"))
	case FlawError, FlawFailed, FlawRouterError:
		d.write(d.inStream())
		if d.enc != nil {
			_ = d.enc.Close()
		}
		return false
	case FlawReset, FlawClose, FlawFraming:
		d.cut()
	}
	return false
}

// cut ends the connection within the body.
func (d *delivery) cut() {
	chunked := d.w.Header().Get("Content-Length") == "" && d.a.r.ProtoAtLeast(1, 1)
	conn, out := d.hijack()
	switch d.pl.then.Flaw { //nolint:exhaustive // the other flaws do not end the connection
	case FlawReset:
		resetConn(conn)
		return
	case FlawFraming:
		_, _ = out.WriteString("zz\r\ndata: the size of this chunk is not a number\r\n")
	default:
		if chunked {
			_, _ = out.WriteString("400\r\ndata: {\"id\":") // a chunk of 1,024 bytes that ends after 12
		}
	}
	_ = out.Flush()
	_ = conn.Close()
}

// newReader is bytes.NewReader that takes nil for an empty body.
func newReader(b []byte) io.Reader { return bytes.NewReader(b) }
