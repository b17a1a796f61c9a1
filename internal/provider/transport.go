package provider

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"gpt-load/internal/fleet"
)

// judgeTransport decides about an attempt that ended in an error of ours or of the network. None of them says anything
// about the key.
func judgeTransport(o Outcome) Verdict {
	v := Verdict{Class: fleet.ClassUpstream, Action: ActionNextUpstream, Reason: transportReason(o)}
	switch v.Reason {
	case ReasonAborted, ReasonBodyTooLarge:
		v.Class, v.Action = fleet.ClassGateway, ActionReturn
	case ReasonInvalidHeader: // a key or header rule with bytes that HTTP cannot carry; another key may be clean
		v.Class, v.Action = fleet.ClassGateway, ActionNextKey
	}
	v.Evidence = clean(transportText(o.Err), o.Key)
	return v
}

// transportText leaves out what url.Error adds: the URL, which may hold a key.
func transportText(err error) string {
	if urlError, ok := errors.AsType[*url.Error](err); ok {
		err = urlError.Err
	}
	return err.Error()
}

// limitReasons are the limits of ours that end an attempt. Their errors name the setting, as all of ours do, which spares this
// package from knowing who enforces it.
var limitReasons = [...]struct{ setting, reason string }{
	{"BLOCK_PRIVATE_UPSTREAMS", ReasonBlockedAddress},
	{"connect_timeout", ReasonTimeoutConnect},
	{"first_token_timeout", ReasonTimeoutToken},
	{"stream_idle_timeout", ReasonTimeoutIdle},
	{"request_timeout", ReasonTimeoutRequest},
}

func transportReason(o Outcome) string {
	err, text := o.Err, transportText(o.Err)
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return ReasonBodyTooLarge
	}
	for _, limit := range limitReasons {
		if strings.Contains(text, limit.setting) {
			return limit.reason
		}
	}
	if errors.Is(err, context.Canceled) { // not by the client: the node stops
		return ReasonAborted
	}
	if reason := connectReason(err, text); reason != "" {
		return reason
	}
	switch {
	case o.Silent && o.Status != 0:
		return ReasonTimeoutToken
	case o.Silent:
		return ReasonTimeoutHeaders
	case errors.Is(err, context.DeadlineExceeded):
		return ReasonTimeoutRequest
	}
	return exchangeReason(o, text)
}

// connectReason explains failures before a connection stood.
func connectReason(err error, text string) string {
	opError, isOp := errors.AsType[*net.OpError](err)
	_, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case isDNS:
		return ReasonDNS
	case errors.Is(err, syscall.ECONNREFUSED):
		return ReasonRefused
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return ReasonUnreachable
	case strings.Contains(text, "TLS handshake timeout"), isOp && opError.Op == "dial" && opError.Timeout():
		return ReasonTimeoutConnect
	case strings.Contains(text, ": TLS handshake: "), isTLS(err, text):
		return ReasonTLS
	case isOp && (opError.Op == "proxyconnect" || strings.HasPrefix(opError.Op, "socks")),
		strings.Contains(text, ": proxy: "), strings.Contains(text, ": SOCKS5 proxy: "), strings.Contains(text, "Proxy Authentication Required"):
		return ReasonProxyFailure
	case isOp && opError.Op == "dial":
		return ReasonConnectionFailed
	}
	return ""
}

func isTLS(err error, text string) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	return strings.Contains(text, "tls: ") || strings.Contains(text, "x509: ") || strings.Contains(text, "server gave HTTP response to HTTPS client")
}

// exchangeReason explains failures on a standing connection. Some of net/http's errors have no type, only a text.
func exchangeReason(o Outcome, text string) string {
	switch {
	case strings.Contains(text, "timeout awaiting response headers"):
		return ReasonTimeoutHeaders
	case errors.Is(o.Err, syscall.ECONNRESET), errors.Is(o.Err, syscall.EPIPE), errors.Is(o.Err, syscall.ECONNABORTED),
		strings.Contains(text, "stream error: "), strings.Contains(text, "GOAWAY"), strings.Contains(text, "client connection lost"):
		return ReasonReset
	case strings.Contains(text, "malformed"), strings.Contains(text, "header is longer than"), strings.Contains(text, "invalid byte in chunk length"),
		strings.Contains(text, "server response headers exceeded"):
		return ReasonMalformedAnswer // before the next: net/http says "transport connection broken: malformed ..."
	case errors.Is(o.Err, io.EOF), errors.Is(o.Err, io.ErrUnexpectedEOF), errors.Is(o.Err, net.ErrClosed),
		strings.Contains(text, "server closed idle connection"), strings.Contains(text, "unexpected EOF"):
		if o.Status != 0 {
			return ReasonCut
		}
		return ReasonClosedEarly
	case strings.Contains(text, "connection broken"), strings.Contains(text, "chunk length too large"):
		// What net/http's parser refuses is wrapped so: two lengths, a length that is no number, an unknown coding.
		return ReasonMalformedAnswer
	case strings.Contains(text, "invalid header field"):
		return ReasonInvalidHeader
	}
	if netError, ok := errors.AsType[net.Error](o.Err); ok && netError.Timeout() {
		return ReasonTimeoutHeaders
	}
	return ReasonConnectionFailed
}
