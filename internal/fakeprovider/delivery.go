package fakeprovider

import (
	"io"
	"net/http"
	"strconv"
	"time"
)

// delivery sends one answer with the plan's pace and flaws.
type delivery struct {
	p     *Provider
	a     *ask
	w     http.ResponseWriter
	ctl   *http.ResponseController
	out   io.Writer  // w, or an encoder in front of it
	enc   compressor // nil without compression
	pl    plan
	timer *time.Timer
}

func newDelivery(p *Provider, a *ask, w http.ResponseWriter) *delivery {
	return &delivery{p: p, a: a, w: w, ctl: http.NewResponseController(w), out: w}
}

// perform carries out the plan. Its plan's Flaw has no meaning before the headers, its Break none behind them.
func (d *delivery) perform(pl plan) {
	d.pl = pl
	d.p.noteFault(d.a.call, pl.rule, pl.fault)
	t := &d.pl.then
	if t.Hold != "" && t.Flaw != FlawStall && !d.held() {
		return
	}
	if !d.pause(t.Delay) {
		return
	}
	switch {
	case t.Break != BreakNone:
		d.breakOff()
	case t.Handler != nil:
		d.handOver()
	case d.a.route == routeEcho && pl.said == nil && t.verbatimType == "" && t.Body == "":
		d.p.echo(d)
	case pl.said != nil:
		d.sendError(pl.said)
	case t.Body != "" || t.verbatimType != "":
		d.sendWhole(answer{contentType: t.verbatimType, before: []byte(t.Body)})
	default:
		d.answer(d.a.answer(d))
	}
}

// answer sends a healthy answer, or what a flaw makes of it.
func (d *delivery) answer(an answer) {
	switch flaw := d.pl.then.Flaw; {
	case an.stream != nil:
		d.sendStream(an)
	case flaw == FlawError || flaw == FlawFailed || flaw == FlawRouterError:
		d.pl.then.Flaw = FlawNone // done by the body itself
		d.sendWhole(answer{contentType: an.contentType, before: d.inBody(flaw)})
	default:
		d.sendWhole(an)
	}
}

func (d *delivery) sendError(s *said) {
	t := &d.pl.then
	if t.huge {
		s.message += " " + string(filler(t.Size))
	}
	contentType, body := s.body(d.a.dialect, d.a.requestID())
	if t.Body != "" {
		body = []byte(t.Body)
	}
	d.sendWhole(answer{status: s.status, contentType: contentType, header: s.header, before: body, edge: s.verbatimType != ""})
}

// handOver lets the rule's own handler answer. It gets the body again.
func (d *delivery) handOver() {
	seen := &statusWriter{ResponseWriter: d.w}
	d.a.r.Body = io.NopCloser(newReader(d.a.body))
	d.pl.then.Handler.ServeHTTP(seen, d.a.r)
	d.noteStatus(max(seen.status, http.StatusOK))
}

// statusWriter notes the status of a rule's handler.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// start sends the headers. length below 0 leaves the length open.
func (d *delivery) start(an *answer, length int) {
	h := d.w.Header()
	status := max(an.status, http.StatusOK)
	if s := d.pl.then.Status; s != 0 {
		status = s
	}
	if d.a.route != routeEcho && !an.edge {
		d.a.usualHeaders(h, status >= http.StatusBadRequest)
	}
	if an.contentType != "" {
		h["Content-Type"] = []string{an.contentType}
	}
	for _, line := range an.header {
		h.Add(line[0], line[1])
	}
	if length >= 0 {
		h["Content-Length"] = []string{strconv.Itoa(length)}
	}
	for name, values := range d.pl.then.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	d.noteStatus(status)
	d.w.WriteHeader(status)
}

func (d *delivery) noteStatus(status int) {
	if d.p.opts.KeepCalls > 0 || d.p.opts.Log != nil {
		d.p.ledger.mu.Lock()
		d.a.call.Status = status
		d.p.ledger.mu.Unlock()
	}
}

// sendWhole sends a body of known length, in pieces when the shape asks for several.
func (d *delivery) sendWhole(an answer) {
	t := &d.pl.then
	if !d.pause(t.FirstToken) {
		return
	}
	flawed := t.Flaw != FlawNone && t.Flaw != FlawNoEnd && t.Flaw != FlawEvent
	if t.Encoding != "" {
		an.before, an.text, an.after = compress(t.Encoding, an.before, an.text, an.after), nil, nil
		d.w.Header().Set("Content-Encoding", t.Encoding)
	}
	length := len(an.before) + len(an.text) + len(an.after)
	size := length
	if an.chunked {
		length = -1
	}
	if d.a.r.Method == http.MethodHead {
		d.start(&an, length)
		return
	}
	if t.Chunks < 2 && t.Gap == 0 && !flawed {
		d.start(&an, length)
		d.last(func() bool {
			return (len(an.before) == 0 || d.write(an.before)) && (len(an.text) == 0 || d.write(an.text)) && (len(an.after) == 0 || d.write(an.after))
		})
		return
	}
	d.sendPieces(&an, size, flawed)
}

// sendPieces sends a whole body in several flushed pieces, up to a flaw where there is one.
func (d *delivery) sendPieces(an *answer, size int, flawed bool) {
	t := &d.pl.then
	body := append(append(append(make([]byte, 0, size), an.before...), an.text...), an.after...)
	pieces := max(t.Chunks, 2)
	if flawed {
		pieces = max(pieces, t.FlawAfter+2) // something must be left to be lost
	}
	length := size
	if an.chunked || t.Flaw == FlawFraming || t.Flaw == FlawCleanEnd {
		length = -1 // chunked: framing can be broken, and the end can look clean
	}
	d.start(an, length)
	for i := range pieces {
		if flawed && i >= max(t.FlawAfter, 0) {
			if !d.spoil() {
				return
			}
			flawed = false
		}
		piece := body[len(body)*i/pieces : len(body)*(i+1)/pieces]
		send := func() bool { return (len(piece) == 0 || d.write(piece)) && d.flush() }
		if i == pieces-1 {
			d.last(send)
			return
		}
		if !send() || !d.pause(t.Gap) {
			return
		}
	}
}

// last sends what ends the answer. The caller may leave from then on, even before this returns.
func (d *delivery) last(send func() bool) {
	d.a.delivered.Store(true)
	if !send() {
		d.a.delivered.Store(false)
	}
}

// sendStream sends events one by one.
func (d *delivery) sendStream(an answer) {
	t, s := &d.pl.then, an.stream
	if t.Encoding != "" {
		d.enc = newCompressor(t.Encoding, d.w)
		d.out = d.enc
		d.w.Header().Set("Content-Encoding", t.Encoding)
	}
	d.start(&an, -1)
	if !d.flush() || t.Flaw != FlawNone && t.FlawAfter < 0 && !d.spoil() {
		return
	}
	for _, event := range s.head {
		if !d.write(event) {
			return
		}
	}
	if len(s.head) > 0 && !d.flush() || !d.pause(t.FirstToken) {
		return
	}
	if !d.sendEvents(s) {
		return
	}
	d.last(func() bool {
		ok := d.write(s.tail) && (t.Flaw == FlawNoEnd || d.write(s.end))
		if d.enc != nil {
			ok = d.enc.Close() == nil && ok
		}
		return ok
	})
}

// sendEvents sends the content events and reports whether the answer goes on behind them.
func (d *delivery) sendEvents(s *stream) bool {
	t := &d.pl.then
	flawed := t.Flaw != FlawNone && t.Flaw != FlawNoEnd && t.FlawAfter >= 0
	burst := max(t.Burst, 1)
	var event []byte
	for i := range s.events {
		if flawed && i == t.FlawAfter {
			if !d.spoil() {
				return false
			}
			flawed = false
		}
		event = s.event(event[:0], i)
		if !d.write(event) {
			return false
		}
		if (i+1)%burst == 0 && !d.flush() {
			return false
		}
		if i < s.events-1 && !d.pause(t.Gap) {
			return false
		}
	}
	return !flawed || d.spoil()
}

// write reports whether the bytes went out: they do not when the caller has left.
func (d *delivery) write(b []byte) bool {
	_, err := d.out.Write(b)
	return err == nil
}

func (d *delivery) flush() bool {
	if d.enc != nil {
		if err := d.enc.Flush(); err != nil {
			return false
		}
	}
	return d.ctl.Flush() == nil
}

// pause waits, and reports whether the caller is still there.
func (d *delivery) pause(t time.Duration) bool {
	if t <= 0 {
		return true
	}
	if d.timer == nil {
		d.timer = time.NewTimer(t)
	} else {
		d.timer.Reset(t)
	}
	select {
	case <-d.timer.C:
		return true
	case <-d.a.r.Context().Done():
	case <-d.p.closed:
	}
	d.timer.Stop()
	return false
}

// held waits until the rule's gate opens, and reports whether the caller is still there.
func (d *delivery) held() bool {
	var gate <-chan struct{} // never opens without a name
	if name := d.pl.then.Hold; name != "" {
		gate = d.p.script.gate(name)
	}
	select {
	case <-gate:
		return true
	case <-d.a.r.Context().Done():
	case <-d.p.closed:
	}
	return false
}
