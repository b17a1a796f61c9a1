package provider

import "bytes"

// Ending follows the bytes of a stream on their way to the client and knows, when they stop, whether the protocol had
// come to its end and how to tell the client if it had not. It looks for member names and values as they stand in JSON: inside
// a text, quotes are escaped, so what a model writes is never taken for one.
//
// It keeps the last 64 bytes of the stream and allocates nothing. It is not safe for concurrent use.
type Ending struct {
	format  Format
	kind    Kind
	sniffed bool

	expected bool // the stream is of a protocol whose end is known
	ended    bool // that end, or an error, has passed
	failed   bool // an error has passed

	// window begins with the last tailLen bytes; behind them is room for the next ones, so that what was cut in
	// two is searched as a whole.
	window   [2 * endingTail]byte
	tailLen  int
	sequence int // the last sequence_number of the responses API, -1 before the first

	array arrayState // KindJSONArray
}

// endingTail is more than any name with its value that is looked for, so that one cut in two is found.
const endingTail = 64

// NewEnding makes an Ending for a body in format f of kind k: the one that Inspector.Kind gives, or KindOf. Bodies of
// another Content-Encoding than identity are KindBinary here.
func NewEnding(f Format, k Kind) Ending { return Ending{format: f, kind: k, sequence: -1} }

// Write takes the next bytes of the body, in order, all of them, in pieces of any size.
func (e *Ending) Write(p []byte) {
	if e.kind == KindBinary || len(p) == 0 {
		return
	}
	seam := e.window[:e.tailLen+copy(e.window[e.tailLen:], p[:min(len(p), endingTail)])]
	if !e.sniffed {
		// White space and a byte order mark before the first byte that tells the kind are few, so seam begins with them.
		if kind, _, known := sniff(e.kind, seam); known {
			e.kind, e.sniffed = kind, true
		}
	}
	switch e.kind {
	case KindSSE:
		e.scan(seam)
		if len(p) > endingTail {
			e.scan(p)
		}
	case KindJSONArray:
		e.array.read(p)
	}
	e.keepTail(seam, p)
}

// tail gives the last bytes.
func (e *Ending) tail() []byte { return e.window[:e.tailLen] }

// keepTail makes p's end the tail. Where p is short, seam is the tail and p in one.
func (e *Ending) keepTail(seam, p []byte) {
	last := seam
	if len(p) > endingTail {
		last = p
	}
	e.tailLen = copy(e.window[:], last[max(0, len(last)-endingTail):])
}

// scan looks for the marks of the format in a piece of the stream.
func (e *Ending) scan(b []byte) {
	switch e.format {
	case FormatAnthropic:
		eachValue(b, `"type"`, func(_ int, value []byte) {
			switch {
			case isQuoted(value, "message_start"):
				e.expected = true
			case isQuoted(value, "message_stop"):
				e.ended = true
			case isQuoted(value, "error"):
				e.ended, e.failed = true, true
			}
		})
	case FormatResponses:
		e.scanResponses(b)
	case FormatGemini:
		e.expected = e.expected || bytes.Contains(b, []byte(`"candidates"`))
		eachValue(b, `"finishReason"`, e.endAtText)
		eachValue(b, `"blockReason"`, e.endAtText)
		e.scanError(b)
	default:
		e.expected = e.expected || bytes.Contains(b, []byte(`"choices"`))
		eachValue(b, `"finish_reason"`, func(at int, value []byte) {
			e.endAtText(at, value)
			e.failed = e.failed || isQuoted(value, "error")
		})
		e.ended = e.ended || hasDone(b)
		e.scanError(b)
	}
}

// endAtText takes any text that is not empty for the reason why the answer ended.
func (e *Ending) endAtText(_ int, value []byte) {
	if len(value) > 1 && value[0] == '"' && value[1] != '"' {
		e.ended = true
	}
}

func (e *Ending) scanResponses(b []byte) {
	eachValue(b, `"type"`, func(_ int, value []byte) {
		switch {
		case isQuoted(value, "response.completed"), isQuoted(value, "response.incomplete"), isQuoted(value, "response.cancelled"):
			e.expected, e.ended = true, true
		case isQuoted(value, "response.failed"), isQuoted(value, "error"):
			e.expected, e.ended, e.failed = true, true, true
		case bytes.HasPrefix(value, []byte(`"response.`)):
			e.expected = true
		}
	})
	eachValue(b, `"sequence_number"`, func(_ int, value []byte) {
		n := 0
		for _, c := range value[:min(len(value), 9)] {
			if c < '0' || c > '9' {
				break
			}
			n = n*10 + int(c-'0')
		}
		e.sequence = max(e.sequence, n)
	})
}

// scanError looks for `data: {"error": {`, which ends a stream of OpenAI's or Gemini's.
func (e *Ending) scanError(b []byte) {
	eachValue(b, `"error"`, func(at int, value []byte) {
		before := bytes.TrimRight(b[:at], " ")
		if len(value) > 0 && value[0] == '{' && bytes.HasSuffix(before, []byte("{")) &&
			bytes.HasSuffix(bytes.TrimRight(before[:len(before)-1], " "), []byte("data:")) {
			e.ended, e.failed = true, true
		}
	})
}

// eachValue calls visit with everything from the value of each member of that quoted name on, and where the name stands.
func eachValue(b []byte, quotedName string, visit func(at int, value []byte)) {
	for at := 0; ; {
		n := bytes.Index(b[at:], []byte(quotedName))
		if n < 0 {
			return
		}
		name := at + n
		at = name + len(quotedName)
		colon := skipBlank(b, at)
		if colon < len(b) && b[colon] == ':' {
			visit(name, b[skipBlank(b, colon+1):])
		}
	}
}

// isQuoted reports whether value begins with the JSON string of text.
func isQuoted(value []byte, text string) bool {
	return len(value) >= len(text)+2 && value[0] == '"' && string(value[1:1+len(text)]) == text && value[1+len(text)] == '"'
}

// hasDone looks for a line `data: [DONE]`.
func hasDone(b []byte) bool {
	for {
		n := bytes.Index(b, []byte("[DONE]"))
		if n < 0 {
			return false
		}
		before, isData := bytes.CutSuffix(bytes.TrimRight(b[:n], " "), []byte("data:"))
		if isData && (len(before) == 0 || before[len(before)-1] == '\n' || before[len(before)-1] == '\r') {
			return true
		}
		b = b[n+1:]
	}
}

// Terminated reports whether the body may stop where it does: its protocol came to its end ([DONE] or a finish_reason;
// message_stop; response.completed, .incomplete or .failed; finishReason or blockReason; the array's closing
// bracket; an error event), or has none that is known and the last line is whole.
func (e *Ending) Terminated() bool {
	switch e.kind {
	case KindSSE:
		if e.tailLen == 0 {
			return true
		}
		tail := e.tail()
		if last := tail[len(tail)-1]; last != '\n' && last != '\r' {
			// [DONE] is the one last line that servers are known to leave without its end.
			return bytes.HasSuffix(tail, []byte("[DONE]")) && hasDone(tail)
		}
		return e.ended || !e.expected
	case KindJSONArray:
		return e.array.level == 0
	default:
		return true
	}
}

// Failed reports whether the provider itself told the client of an error in the stream: its end is clean then, but the answer is none.
func (e *Ending) Failed() bool { return e.failed }
