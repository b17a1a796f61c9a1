package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/provider"
	"gpt-load/internal/settings"
	"gpt-load/internal/upstream"
)

const (
	// relayBuffer is what one stream holds for its chunks, in bytes. Chunks of a stream are far smaller.
	relayBuffer = 4 << 10
	// copyBuffer is the most for answers whose length is known: fewer and larger reads and writes.
	copyBuffer = 128 << 10
)

// relay brings the answer to the client as it comes.
func (x *exchange) relay(c *call, chosen choice) {
	if chosen.candidate != nil && chosen.p.modelList && c.response.StatusCode == http.StatusOK {
		x.relayModelList(c, chosen)
		return
	}
	if c.kind == provider.KindJSON {
		c.watch.answering()
	} else {
		c.watch.streaming(x.idleTimeout(chosen))
	}
	if !x.committed {
		x.commit(c.response)
	}
	ending := provider.NewEnding(x.format, x.endingKind(c))
	err := x.copy(c, &ending)
	switch {
	case err == nil && x.record.Class == "" && ending.Failed():
		// The provider told the client itself, behind some content: the end is clean, the answer is none.
		x.failLate(c, chosen, provider.ReasonCut)
		x.finishTrailers(c.response)
	case err == nil && x.record.Class == "" && !ending.Terminated():
		x.cut(c, chosen, &ending, errUnterminated)
	case err == nil:
		x.finishTrailers(c.response)
	case x.gone() || errors.Is(err, errClientWrite) || x.ask.body.broken.err() != nil:
		x.record.Class = ""
		x.clientGone()
	default:
		x.cut(c, chosen, &ending, causeOf(c, err))
	}
}

var (
	errClientWrite  = errors.New("writing to the client")
	errUnterminated = errors.New("the stream ended without its protocol's end")
)

// copy writes what was held and then everything that follows. Errors of the client's side are errClientWrite.
func (x *exchange) copy(c *call, ending *provider.Ending) error {
	ending.Write(c.held)
	flush := c.response.ContentLength < 0
	if held := c.held[c.relayed:]; len(held) > 0 {
		if !x.write(held, flush) {
			return errClientWrite
		}
	} else if flush && c.relayed == 0 {
		// The header of a stream does not wait for its first chunk, and an empty one is not given a length.
		_ = http.NewResponseController(x.w).Flush()
	}
	if c.ended {
		return nil
	}
	size := relayBuffer
	if c.response.ContentLength > relayBuffer {
		size = int(min(c.response.ContentLength, copyBuffer))
	}
	if c.buffer != nil && cap(*c.buffer) < size {
		putBuffer(c.buffer)
		c.buffer = nil
	}
	if c.buffer == nil {
		c.buffer = getBuffer(size)
	}
	buffer := (*c.buffer)[:cap(*c.buffer)]
	for {
		n, err := c.response.Body.Read(buffer)
		if n > 0 {
			c.watch.progress()
			ending.Write(buffer[:n])
			if !x.write(buffer[:n], flush) {
				return errClientWrite
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// commit sends the response header. After it, no other attempt can be made.
func (x *exchange) commit(response *http.Response) {
	x.committed = true
	header := x.w.Header()
	moveResponseHeader(header, response.Header)
	if len(response.Trailer) > 0 {
		names := make([]string, 0, len(response.Trailer))
		for name := range response.Trailer {
			names = append(names, name)
		}
		slices.Sort(names)
		header["Trailer"] = []string{strings.Join(names, ", ")}
	}
	x.closeIfLeaving()
	x.explain()
	x.extendWrite(time.Now())
	if x.record.Status == 0 {
		x.record.Status = response.StatusCode
	}
	x.w.WriteHeader(response.StatusCode)
}

// write sends body bytes and reports whether the client took them.
func (x *exchange) write(data []byte, flush bool) bool {
	if len(data) == 0 {
		return true
	}
	now := time.Now()
	if x.record.TimeToFirstByte == 0 {
		x.record.TimeToFirstByte = now.Sub(x.started)
	}
	if flush {
		if !x.written.IsZero() {
			x.signals.Gap(now.Sub(x.written))
		}
		x.written = now
	}
	x.extendWrite(now)
	n, err := x.w.Write(data)
	x.sent += int64(n)
	if x.capture != nil {
		x.capture.response(data)
	}
	if err == nil && flush {
		err = http.NewResponseController(x.w).Flush()
	}
	return err == nil
}

// finishTrailers sends the trailers that came behind the body; those that were not announced go out under net/http's prefix.
func (x *exchange) finishTrailers(response *http.Response) {
	header := x.w.Header()
	announced := header.Get("Trailer")
	for name, values := range response.Trailer {
		if !strings.Contains(announced, name) {
			name = http.TrailerPrefix + name
		}
		header[name] = values
	}
}

// cut ends an answer that broke off after it had begun: with the protocol's own error event where there is one, and
// with an aborted transfer, never a clean end.
func (x *exchange) cut(c *call, chosen choice, ending *provider.Ending, cause error) {
	reason, message := "stream_cut", "the provider's answer broke off"
	switch {
	case errors.Is(cause, errStreamIdle):
		reason, message = "stream_stalled", "the provider sent nothing for "+x.idleTimeout(chosen).String()+" (stream_idle_timeout)"
	case errors.Is(cause, errUnterminated):
		reason = "stream_unterminated"
	case errors.Is(cause, errRequestTimeout):
		reason, message = "timeout_request", "the answer was not complete after "+x.group.Settings.RequestTimeout.String()+" (request_timeout)"
	case errors.Is(cause, ErrStopping):
		reason, message = codeStopping, "the gateway shuts down"
		x.note(c.response.StatusCode, fleet.ClassGateway, reason) // so that the provider is not blamed
	}
	x.failLate(c, chosen, reason)
	if c.response.ContentLength < 0 {
		x.write(ending.ErrorEvent(message, reason), true)
	}
	x.aborted = true
}

// failLate records a fault of the upstream behind the first byte, when nothing can be tried again.
func (x *exchange) failLate(c *call, chosen choice, reason string) {
	if x.record.Class != "" {
		return
	}
	x.note(c.response.StatusCode, fleet.ClassUpstream, reason)
	if chosen.candidate == nil {
		return
	}
	chosen.address.Fault(nil, time.Now())
	if last := len(x.record.Attempts) - 1; last >= 0 {
		x.record.Attempts[last].Class, x.record.Attempts[last].Reason = fleet.ClassUpstream, reason
	}
}

// endingKind is the kind of an answer whose end is watched. Errors and partial answers end as they do.
func (x *exchange) endingKind(c *call) provider.Kind {
	if c.response.StatusCode != http.StatusOK {
		return provider.KindBinary
	}
	return c.kind
}

func (x *exchange) idleTimeout(chosen choice) time.Duration {
	if chosen.candidate != nil {
		return chosen.p.group.Settings.StreamIdleTimeout
	}
	return x.group.Settings.StreamIdleTimeout
}

// causeOf prefers why we ended a call over what the transport made of it.
func causeOf(c *call, err error) error {
	if c.ctx.Err() != nil {
		if cause := context.Cause(c.ctx); cause != nil {
			return cause
		}
	}
	return err
}

// isTimeout reports whether an attempt ended because nothing came in time.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// isSilent reports whether an address was given up because nothing came from it. A first_token_timeout is the
// operator's impatience, not a dead address: that address may be asked again when there is no other.
func isSilent(err error) bool { return isTimeout(err) && !errors.Is(err, errFirstToken) }

// limitThatFired names the limit behind a timeout, its value and where it was set.
func (x *exchange) limitThatFired(err error) string {
	g := x.group
	if n := len(x.candidates); n > 0 && !errors.Is(err, errRequestTimeout) {
		g = x.candidates[n-1].p.group
	}
	name := "response_header_timeout"
	switch {
	case errors.Is(err, errRequestTimeout):
		name = "request_timeout"
	case errors.Is(err, errFirstToken):
		name = "first_token_timeout"
	case isDial(err):
		name = "connect_timeout"
	}
	descriptor, _ := settings.Find(name)
	value, level := settings.Effective(descriptor, x.snap.SystemText, g.Group.Settings)
	return fmt.Sprintf("%s is %s %s (%s)", name, value, descriptor.Unit, level)
}

func isDial(err error) bool {
	var connect *upstream.ConnectError
	return errors.As(err, &connect)
}
