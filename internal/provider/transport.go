package provider

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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
	return withoutUserinfo(err.Error())
}

// withoutUserinfo takes "user:password@" out of every URL in the text.
func withoutUserinfo(text string) string {
	for from := 0; ; {
		i := strings.Index(text[from:], "://")
		if i < 0 {
			return text
		}
		from += i + len("://")
		end := from
		for end < len(text) && strings.IndexByte("/?# \t\"'", text[end]) < 0 {
			end++
		}
		if at := strings.LastIndexByte(text[from:end], '@'); at >= 0 {
			text = text[:from] + text[from+at+1:]
		}
	}
}

func transportReason(o Outcome) string {
	err := o.Err
	if o.Silent {
		if o.Status != 0 {
			return ReasonTimeoutToken
		}
		return ReasonTimeoutHeaders
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return ReasonBodyTooLarge
	}
	if blocked, ok := errors.AsType[interface {
		error
		BlockedAddress() bool
	}](err); ok && blocked.BlockedAddress() {
		return ReasonBlockedAddress
	}
	if reason := dialReason(err); reason != "" {
		return reason
	}
	if isTLS(err) {
		return ReasonTLS
	}
	if errors.Is(err, context.Canceled) { // not by the client: the node stops
		return ReasonAborted
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return ReasonTimeoutRequest
	}
	return exchangeReason(o)
}

// dialReason explains failures before a connection stood.
func dialReason(err error) string {
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return ReasonDNS
	}
	opError, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return ""
	}
	switch {
	case opError.Op == "proxyconnect" || strings.HasPrefix(opError.Op, "socks"):
		return ReasonProxyFailure
	case opError.Op != "dial":
		return ""
	case errors.Is(err, syscall.ECONNREFUSED):
		return ReasonRefused
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return ReasonUnreachable
	case opError.Timeout():
		return ReasonTimeoutConnect
	case errors.Is(err, context.Canceled):
		return ""
	}
	return ReasonConnectionFailed
}

func isTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	text := err.Error()
	return strings.Contains(text, "tls: ") || strings.Contains(text, "server gave HTTP response to HTTPS client")
}

// exchangeReason explains failures on a standing connection. Some of net/http's errors have no type, only a text.
func exchangeReason(o Outcome) string {
	text := o.Err.Error()
	switch {
	case strings.Contains(text, "TLS handshake timeout"):
		return ReasonTimeoutConnect
	case strings.Contains(text, "timeout awaiting response headers"):
		return ReasonTimeoutHeaders
	case errors.Is(o.Err, syscall.ECONNRESET), errors.Is(o.Err, syscall.EPIPE), errors.Is(o.Err, syscall.ECONNABORTED),
		strings.Contains(text, "stream error: "), strings.Contains(text, "GOAWAY"), strings.Contains(text, "client connection lost"):
		return ReasonReset
	case errors.Is(o.Err, io.EOF), errors.Is(o.Err, io.ErrUnexpectedEOF), strings.Contains(text, "server closed idle connection"),
		strings.Contains(text, "connection broken"), errors.Is(o.Err, net.ErrClosed):
		if o.Status != 0 {
			return ReasonCut
		}
		return ReasonClosedEarly
	case strings.Contains(text, "invalid header field"):
		return ReasonInvalidHeader
	case strings.Contains(text, "malformed"), strings.Contains(text, "server response headers exceeded"):
		return ReasonMalformedAnswer
	}
	if netError, ok := errors.AsType[net.Error](o.Err); ok && netError.Timeout() {
		return ReasonTimeoutHeaders
	}
	return ReasonConnectionFailed
}
