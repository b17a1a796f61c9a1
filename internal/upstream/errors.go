package upstream

import (
	"context"
	"errors"
	"net"
	"time"
)

// ErrBlockedAddress is in the chain of every error by which BLOCK_PRIVATE_UPSTREAMS refused a connection.
var ErrBlockedAddress = errors.New("address refused by BLOCK_PRIVATE_UPSTREAMS")

// ConnectError says that there was no connection, so nothing of the request was sent.
type ConnectError struct {
	Address string // host and port that the request was for, or of the proxy when that was out of reach
	Step    string // what was being done, such as "TLS handshake"
	Err     error
}

// Error names the address and the step, and never a credential.
func (e *ConnectError) Error() string {
	return "connect to " + e.Address + ": " + e.Step + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// Timeout reports whether the connect timeout ended it.
func (e *ConnectError) Timeout() bool {
	var t *timeoutError
	return errors.As(e.Err, &t)
}

// timeoutError stands for the connect timeout. It is not context.DeadlineExceeded, so that it cannot be taken
// for the deadline of the request.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string {
	return "no answer within the connect_timeout of " + e.after.String()
}
func (e *timeoutError) Timeout() bool   { return true }
func (e *timeoutError) Temporary() bool { return true }

// Unreachable reports whether err says that there was no connection: refused, unknown host, no route, failed
// TLS handshake, or silence while connecting. A connection that broke later is not that.
func Unreachable(err error) bool {
	var c *ConnectError
	if errors.As(err, &c) {
		return true
	}
	var op *net.OpError
	return errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")
}

// Silent reports whether err is a timeout of the transport: the address did not answer the connection attempt
// within ConnectTimeout, or not the request within ResponseHeaderTimeout. The end of the request's own context
// is not that.
func Silent(err error) bool {
	for e := err; e != nil; e = errors.Unwrap(e) {
		// Not errors.Is: net/http's own timeouts say that they are context.DeadlineExceeded, too.
		if e == context.DeadlineExceeded || e == context.Canceled { //nolint:errorlint // see above
			return false
		}
	}
	return isTimeout(err)
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
