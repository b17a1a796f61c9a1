package proxy

import "gpt-load/internal/fleet"

// captureLimit bounds what is kept of each body, in bytes.
const captureLimit = 64 << 10

// capture collects the beginnings of both bodies for the record. It copies: the buffers they stand in are used again.
type capture struct{ bodies fleet.BodyCapture }

func newCapture(b *body) *capture {
	c := &capture{}
	kept := b.data[:min(len(b.data), captureLimit)]
	c.bodies.Request = append([]byte(nil), kept...)
	c.bodies.RequestTruncated = len(kept) < len(b.data) || !b.whole
	return c
}

func (c *capture) response(data []byte) {
	room := captureLimit - len(c.bodies.Response)
	if len(data) > room {
		data, c.bodies.ResponseTruncated = data[:room], true
	}
	c.bodies.Response = append(c.bodies.Response, data...)
}

func (c *capture) take() *fleet.BodyCapture { return &c.bodies }
