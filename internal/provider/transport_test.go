package provider

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"syscall"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

func dialError(cause error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", cause)}
}

type timeout string

func (t timeout) Error() string { return string(t) + " passed" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

func TestTransportErrorsNeverBlameTheKey(t *testing.T) {
	for _, test := range []struct {
		name   string
		err    error
		silent bool
		status int
		want   string
	}{
		{"refused", dialError(syscall.ECONNREFUSED), false, 0, "upstream next_upstream connection_refused"},
		{"no route", dialError(syscall.EHOSTUNREACH), false, 0, "upstream next_upstream unreachable"},
		{"dns", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "x.invalid", IsNotFound: true}}, false, 0, "upstream next_upstream dns_failure"},
		{"dial timeout", &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, true, 0, "upstream next_upstream timeout_connect"},
		{"connect_timeout", fmt.Errorf("connect to x:443: dial: %w", timeout("connect_timeout")), true, 0, "upstream next_upstream timeout_connect"},
		{"certificate", &tls.CertificateVerificationError{Err: errors.New("x509: unknown authority")}, false, 0, "upstream next_upstream tls_failure"},
		{"plain http on the tls port", tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, false, 0, "upstream next_upstream tls_failure"},
		{"handshake cut", errors.New("connect to x:443: TLS handshake: EOF"), false, 0, "upstream next_upstream tls_failure"},
		{"handshake timeout", errors.New("net/http: TLS handshake timeout"), true, 0, "upstream next_upstream timeout_connect"},
		{"proxy refused us", errors.New("connect to x:443: proxy: the proxy answered CONNECT with 403"), false, 0, "upstream next_upstream proxy_failure"},
		{"proxy gone", &net.OpError{Op: "proxyconnect", Err: errors.New("EOF")}, false, 0, "upstream next_upstream proxy_failure"},
		{"blocked", errors.New("connect to x:80: dial: address refused by BLOCK_PRIVATE_UPSTREAMS: 127.0.0.1"), false, 0, "upstream next_upstream blocked_address"},
		{"reset", &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}, false, 0, "upstream next_upstream connection_reset"},
		{"broken pipe", &net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.EPIPE)}, false, 0, "upstream next_upstream connection_reset"},
		{"http2 stream error", errors.New("stream error: stream ID 3; INTERNAL_ERROR; received from peer"), false, 0, "upstream next_upstream connection_reset"},
		{"EOF before headers", io.EOF, false, 0, "upstream next_upstream closed_before_headers"},
		{"stale connection", errors.New("http: server closed idle connection"), false, 0, "upstream next_upstream closed_before_headers"},
		{"cut body", io.ErrUnexpectedEOF, false, 200, "upstream next_upstream answer_cut"},
		{"no headers", errors.New("net/http: timeout awaiting response headers"), true, 0, "upstream next_upstream timeout_headers"},
		{"no headers, not told", errors.New("net/http: timeout awaiting response headers"), false, 0, "upstream next_upstream timeout_headers"},
		{"silence after headers", os.ErrDeadlineExceeded, true, 200, "upstream next_upstream timeout_first_token"},
		{"first_token_timeout", timeout("first_token_timeout"), false, 0, "upstream next_upstream timeout_first_token"},
		{"request_timeout", timeout("request_timeout"), true, 0, "upstream next_upstream timeout_request"},
		{"stream_idle_timeout", timeout("stream_idle_timeout"), true, 200, "upstream next_upstream timeout_stream_idle"},
		{"deadline", context.DeadlineExceeded, false, 0, "upstream next_upstream timeout_request"},
		{"malformed", errors.New(`malformed HTTP response "x"`), false, 0, "upstream next_upstream malformed_answer"},
		{"unknown", errors.New("the moon is in the way"), false, 0, "upstream next_upstream connection_failed"},
		{"the node stops", context.Canceled, false, 0, "gateway return aborted"},
		{"key with a line break", errors.New(`net/http: invalid header field value for "Authorization"`), false, 0, "gateway next_key invalid_request_header"},
		{"body over the limit", &http.MaxBytesError{Limit: 5}, false, 0, "gateway return body_too_large"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, err := range []error{test.err, &url.Error{Op: "Post", URL: "https://x/?key=AIzaSyA1234567890abcdef", Err: test.err}} {
				v := Judge(Outcome{Channel: fleet.ChannelOpenAI, Err: err, Silent: test.silent, Status: test.status, Now: testNow}, Policy{})
				if got := string(v.Class) + " " + v.Action.String() + " " + v.Reason; got != test.want {
					t.Errorf("verdict %q, want %q", got, test.want)
				}
				if v.Evidence == "" {
					t.Error("no evidence")
				}
				checkVerdict(t, v)
			}
		})
	}
}

// Errors as the standard library really makes them.
func TestRealTransportErrors(t *testing.T) {
	dropping := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	}))
	dropping.Start()
	defer dropping.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()

	for _, test := range []struct{ name, url, want string }{
		{"refused", gone.URL, ReasonRefused},
		{"closed", dropping.URL, ReasonClosedEarly},
		{"certificate", secure.URL, ReasonTLS},
		{"plain", strings.Replace(dropping.URL, "http:", "https:", 1), ReasonTLS},
		{"bad header", gone.URL, ReasonInvalidHeader},
	} {
		t.Run(test.name, func(t *testing.T) {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, test.url+"?key=AIzaSyA1234567890abcdef", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if test.want == ReasonInvalidHeader {
				r.Header["Authorization"] = []string{"Bearer a\nb"}
			}
			response, err := (&http.Client{Transport: transport}).Do(r)
			if err == nil {
				_ = response.Body.Close()
				t.Fatal("no error")
			}
			v := Judge(Outcome{Err: err, Now: testNow}, Policy{})
			if v.Reason != test.want {
				t.Errorf("reason %q (%v), want %q", v.Reason, err, test.want)
			}
			checkVerdict(t, v)
		})
	}
}

func TestTransportEvidenceHoldsNoCredentials(t *testing.T) {
	err := fmt.Errorf(`proxyconnect to socks5://user:pass@word@proxy.example:1080 for https://u@h/x?key=AIzaSyA1234567890abcdef: %w`, io.EOF)
	v := Judge(Outcome{Err: err, Key: secret.New("shortkey"), Now: testNow}, Policy{})
	for _, leaked := range []string{"user", "pass", "word@", "AIza", "u@h"} {
		if strings.Contains(v.Evidence, leaked) {
			t.Errorf("%q stands in %q", leaked, v.Evidence)
		}
	}
}
