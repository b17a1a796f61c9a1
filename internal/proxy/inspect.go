package proxy

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"gpt-load/internal/provider"
)

// Bounds of the hold: the beginning of a 200 is kept back until it shows content or an error.
const (
	// holdBytes is what an inspector looks at: response.created repeats the request's instructions and tools, and agents
	// send 100 KB of them.
	holdBytes = 256 << 10
	// holdTime bounds how long a client sees nothing of a stream that sends pings, or events without content, while the
	// model thinks. With first_token_timeout set, that bounds it instead.
	holdTime = 5 * time.Second
)

// hold is the beginning of an answer that was not let go yet. Its timer lets it go from another goroutine, so the
// lock covers whatever both touch: the held bytes, and the response until it is released.
type hold struct {
	mu       sync.Mutex
	released bool
	timer    *time.Timer
}

// inspect holds back the beginning of a 200 until it is sure to be an answer: an error inside it still rotates the key.
func (x *exchange) inspect(c *call, chosen choice, good provider.Verdict) provider.Verdict {
	if c.response.ContentLength == 0 {
		return x.emptyAnswer(c, chosen, good)
	}
	if c.kind == provider.KindBinary || chosen.p.modelList {
		return good
	}
	inspector := provider.NewInspector(x.format, c.kind)
	var h hold
	defer func() {
		h.release()
		c.kind = inspector.Kind()
	}()
	c.buffer = getBuffer(relayBuffer)
	c.held = (*c.buffer)[:0]
	for {
		if len(c.held) == cap(c.held) {
			h.mu.Lock()
			c.held = append(c.held, 0)[:len(c.held)]
			h.mu.Unlock()
		}
		n, err := c.response.Body.Read(c.held[len(c.held):cap(c.held)])
		h.mu.Lock()
		c.held = c.held[:len(c.held)+n]
		decision := inspector.Feed(c.held)
		if err == io.EOF {
			c.ended = true
			if decision == provider.DecisionMore {
				decision = inspector.End()
			}
		}
		released := h.released
		h.mu.Unlock()
		switch {
		case decision == provider.DecisionError:
			return x.judgeInBand(c, chosen, inspector.ErrorBody())
		case decision == provider.DecisionEmpty:
			return x.emptyAnswer(c, chosen, good)
		case decision == provider.DecisionContent && x.record.Stream:
			x.firstToken = time.Since(x.started)
			return good
		case decision == provider.DecisionContent || released || len(c.held) >= holdBytes:
			return good
		case err != nil:
			c.err = causeOf(c, err)
			return x.judge(c, chosen)
		}
		if h.timer == nil && chosen.p.group.Settings.FirstTokenTimeout == 0 {
			h.timer = time.AfterFunc(holdTime, func() { x.letGo(&h, c) })
		}
	}
}

// letGo sends what is held, because the client has waited long enough for a sign of life.
func (x *exchange) letGo(h *hold, c *call) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released {
		return
	}
	h.released = true
	x.commit(c.response)
	_ = x.write(c.held, true)
	c.relayed = len(c.held)
}

// release ends the timer's chance: whoever holds the lock later finds the hold over.
func (h *hold) release() {
	if h.timer != nil {
		h.timer.Stop()
	}
	h.mu.Lock()
	h.released = true
	h.mu.Unlock()
}

func (x *exchange) judgeInBand(c *call, chosen choice, errorBody []byte) provider.Verdict {
	c.quotes = quotes(chosen.pick.Value, nil, errorBody)
	return provider.Judge(provider.Outcome{
		Channel: chosen.p.group.Channel, Format: x.format, Path: x.ask.path, Key: chosen.pick.Value, ClientGone: x.gone(),
		ClientAccount: provider.ChoosesAccount(x.ask.header),
		Status:        c.response.StatusCode, Header: c.response.Header, Body: errorBody, InBand: true, Now: time.Now(),
	}, policy(chosen.p))
}

// emptyAnswer judges a 200 without a body. Where a model was asked it is no answer; elsewhere it may well be one.
func (x *exchange) emptyAnswer(c *call, chosen choice, good provider.Verdict) provider.Verdict {
	if x.ask.model == "" || c.response.StatusCode != http.StatusOK {
		return good
	}
	return provider.Judge(provider.Outcome{
		Channel: chosen.p.group.Channel, Format: x.format, Path: x.ask.path, Key: chosen.pick.Value, ClientGone: x.gone(),
		Status: c.response.StatusCode, Header: c.response.Header, Body: c.held, Empty: true, Now: time.Now(),
	}, policy(chosen.p))
}

func isEncoded(h http.Header) bool {
	encoding := h.Get("Content-Encoding")
	return encoding != "" && !strings.EqualFold(encoding, "identity")
}
