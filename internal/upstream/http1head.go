package upstream

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// inBuffer is what an answer's header is received in, in bytes. Real headers are shorter, and net/http's parser reads
// those that are not through a buffer of its own.
const inBuffer = 4 << 10

var inBuffers = sync.Pool{New: func() any {
	b := make([]byte, inBuffer)
	return &b
}}

// inbox holds what was received and not used yet. It has memory only while it holds something.
type inbox struct {
	pooled     *[]byte // nil for memory that is not from the pool
	memory     []byte
	begin, end int // of what is held
}

// held is the number of bytes that are there.
func (b *inbox) held() int { return b.end - b.begin }

func (b *inbox) bytes() []byte { return b.memory[b.begin:b.end] }

// room is where more can be received to; grow says how much was.
func (b *inbox) room() []byte {
	if b.memory == nil {
		b.pooled = inBuffers.Get().(*[]byte)
		b.memory = *b.pooled
	}
	return b.memory[b.end:]
}

func (b *inbox) grow(n int) { b.end += n }

// use drops n bytes from the beginning.
func (b *inbox) use(n int) {
	if b.begin += n; b.begin == b.end {
		b.release()
	}
}

func (b *inbox) read(p []byte) int {
	n := copy(p, b.bytes())
	if n > 0 {
		b.use(n)
	}
	return n
}

// unread puts bytes back before those that are held.
func (b *inbox) unread(data []byte) {
	all := append(bytes.Clone(data), b.bytes()...)
	b.release()
	b.memory, b.end = all, len(all)
}

// release gives the memory back.
func (b *inbox) release() {
	if b.pooled != nil {
		inBuffers.Put(b.pooled)
	}
	*b = inbox{}
}

// answer is a response and its body in one piece of memory.
type answer struct {
	http.Response
	body   http1Body
	coding [1]string // TransferEncoding
}

// mostReads is how often a header is received before net/http's parser takes over; most come in one piece.
const mostReads = 4

// readAnswer reads the header of the final answer and passes over interim ones (RFC 9110 section 15.2). All headers
// together have the bound of one.
func (c *http1Conn) readAnswer(r *http.Request) (*answer, error) {
	for reads := 0; ; {
		if c.in.held() == 0 || reads > 0 {
			if err := c.fill(); err != nil {
				return c.readSlowly(r) // which says what the error means here
			}
		}
		for {
			a, n, form := parseHead(c.in.bytes(), r)
			if form == headOdd || form == headPart && (reads == mostReads || len(c.in.room()) == 0) {
				return c.readSlowly(r)
			}
			if form == headPart {
				break
			}
			c.in.use(n)
			if !isInterim(a.StatusCode) {
				return a, nil
			}
			if reads = 0; c.in.held() == 0 {
				break
			}
		}
		reads++
	}
}

func isInterim(status int) bool {
	return status/100 == 1 && status != http.StatusSwitchingProtocols
}

// readSlowly has net/http read the header, from the beginning of what is held.
func (c *http1Conn) readSlowly(r *http.Request) (*answer, error) {
	reader := bufio.NewReader(c)
	for {
		response, err := http.ReadResponse(reader, r) //nolint:bodyclose // the body is read by http1Body
		if err != nil && !c.readBroke {               // the parser says what it met, and not always that it should not be
			return nil, fmt.Errorf("malformed HTTP response: %w", err)
		}
		if err != nil {
			return nil, err
		}
		if isInterim(response.StatusCode) {
			continue
		}
		rest, _ := reader.Peek(reader.Buffered())
		if len(rest) > 0 {
			c.in.unread(rest)
		}
		a := &answer{Response: *response}
		switch {
		case response.Body == http.NoBody:
		case len(response.TransferEncoding) > 0:
			a.body.kind = bodyChunked
		case response.ContentLength >= 0:
			a.body.kind, a.body.left = bodyLength, response.ContentLength
		default:
			a.body.kind = bodyRest
		}
		return a, nil
	}
}

// What parseHead finds.
type headForm uint8

const (
	headWhole headForm = iota
	headPart           // more has to be received
	headOdd            // net/http decides
)

// mostFields is how many lines of a header parseHead takes.
const mostFields = 64

// field is where a line of a header has its name and its value.
type field struct{ name, colon, value, end uint16 } // of inBuffer bytes

// parseHead reads a response's header of the usual form from the beginning of data: HTTP/1.1, lines that end in CRLF, names
// that are tokens, no folds, no trailers announced, one length or chunks. What it takes, it takes as http.ReadResponse
// does; n is its length in bytes. Names are put into their canonical form where they stand.
func parseHead(data []byte, r *http.Request) (a *answer, n int, form headForm) {
	end := bytes.Index(data, crlf2)
	whole := end >= 0
	if !whole {
		end = bytes.LastIndexByte(data, '\n') - 1 // of the lines that are there
	}
	if end < len("HTTP/1.1 200") {
		return nil, 0, undecided(whole, data)
	}
	var lines [mostFields]field
	status, count, ok := splitHead(data[:end], &lines)
	if !ok {
		return nil, 0, headOdd
	}
	if !whole {
		return nil, 0, headPart
	}
	text := string(data[:end]) // all strings are parts of it
	a = &answer{}
	a.Proto, a.ProtoMajor, a.ProtoMinor = text[:len("HTTP/1.1")], 1, 1
	a.Status, a.Request = text[len("HTTP/1.1 "):status], r
	a.StatusCode = int(text[9]-'0')*100 + int(text[10]-'0')*10 + int(text[11]-'0')
	if !a.setHeader(text, lines[:count]) || !a.setBody(r.Method) {
		return nil, 0, headOdd
	}
	return a, end + len(crlf2), headWhole
}

var crlf2 = []byte("\r\n\r\n")

// undecided is for what is too short for a status line.
func undecided(whole bool, data []byte) headForm {
	const begins = "HTTP/1.1 "
	if whole || bytes.IndexByte(data, '\n') >= 0 || string(data[:min(len(data), len(begins))]) != begins[:min(len(data), len(begins))] {
		return headOdd
	}
	return headPart
}

// splitHead finds the end of the status line and the lines behind it.
func splitHead(head []byte, lines *[mostFields]field) (status, count int, ok bool) {
	status, next := len(head), len(head)
	if lf := bytes.IndexByte(head, '\n'); lf == 0 || lf > 0 && head[lf-1] != '\r' {
		return 0, 0, false
	} else if lf > 0 {
		status, next = lf-1, lf+1
	}
	line := head[:status]
	if len(line) < len("HTTP/1.1 200") || string(line[:9]) != "HTTP/1.1 " || !isDigit(line[9]) || !isDigit(line[10]) || !isDigit(line[11]) ||
		len(line) > 12 && line[12] != ' ' || bytes.IndexByte(line, '\r') >= 0 {
		return 0, 0, false
	}
	for next < len(head) {
		if count == mostFields {
			return 0, 0, false
		}
		f := &lines[count]
		if next, ok = splitLine(head, next, f); !ok {
			return 0, 0, false
		}
		count++
	}
	return status, count, true
}

// splitLine finds the parts of the line at begin, gives its name the canonical form, and returns where the next one begins.
func splitLine(head []byte, begin int, f *field) (next int, ok bool) {
	i, of, changes := begin, &upperOf, false
	for ; i < len(head) && head[i] != ':'; i++ {
		b := of[head[i]]
		if b == 0 { // no byte of a token
			return 0, false
		}
		changes = changes || b != head[i]
		if of = &lowerOf; b == '-' {
			of = &upperOf
		}
	}
	if i == begin || i == len(head) {
		return 0, false
	}
	if changes {
		canonical(head[begin:i])
	}
	f.name, f.colon = uint16(begin), uint16(i)                           //nolint:gosec // below inBuffer
	for i++; i < len(head) && (head[i] == ' ' || head[i] == '\t'); i++ { // nothing but the step
	}
	f.value = uint16(i) //nolint:gosec // below inBuffer
	for ; i < len(head) && head[i] != '\r'; i++ {
		if b := head[i]; b < ' ' && b != '\t' || b == 0x7f {
			return 0, false
		}
	}
	f.end = uint16(i)  //nolint:gosec // below inBuffer
	if i < len(head) { // at the CR; the last line of a head has none
		if i+1 == len(head) || head[i+1] != '\n' {
			return 0, false
		}
		i += 2
	}
	for f.end > f.value && (head[f.end-1] == ' ' || head[f.end-1] == '\t') {
		f.end--
	}
	return i, true
}

// canonical changes the letters of a token as http.CanonicalHeaderKey does.
func canonical(name []byte) {
	of := &upperOf
	for i, b := range name {
		name[i] = of[b]
		if of = &lowerOf; b == '-' {
			of = &upperOf
		}
	}
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

// upperOf and lowerOf give the bytes of a token (RFC 9110 section 5.6.2) in the cases of a canonical name, and 0 for all others.
var upperOf, lowerOf = func() (upper, lower [256]byte) {
	for _, b := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		upper[b] = bytes.ToUpper([]byte{b})[0]
		lower[b] = bytes.ToLower([]byte{b})[0]
	}
	return upper, lower
}()

// setHeader fills the header from its lines, and leaves out what ReadResponse leaves out. It is false for what needs a closer look.
func (a *answer) setHeader(text string, lines []field) bool {
	a.Header = make(http.Header, len(lines))
	values := make([]string, len(lines))
	a.ContentLength = -1
	var lengths, codings, connections int
	for i, f := range lines {
		name, value := text[f.name:f.colon], text[f.value:f.end]
		switch name {
		case "Content-Length":
			n, ok := parseLength(value)
			if lengths++; !ok || lengths > 1 {
				return false
			}
			a.ContentLength = n
		case "Transfer-Encoding":
			if codings++; codings > 1 || !strings.EqualFold(value, "chunked") {
				return false
			}
			a.coding[0] = "chunked"
			a.TransferEncoding = a.coding[:]
			continue
		case "Connection":
			if connections++; connections > 1 {
				return false
			}
			if strings.EqualFold(value, "close") {
				a.Close = true
				continue
			}
			if !strings.EqualFold(value, "keep-alive") {
				return false
			}
		case "Trailer", "Pragma":
			return false
		}
		if several := a.Header[name]; several != nil {
			a.Header[name] = append(several, value)
			continue
		}
		values[i] = value
		a.Header[name] = values[i : i+1 : i+1]
	}
	return codings == 0 || lengths == 0
}

// parseLength takes a Content-Length of up to 18 digits and nothing else.
func parseLength(value string) (int64, bool) {
	if len(value) == 0 || len(value) > 18 {
		return 0, false
	}
	for i := range len(value) {
		if !isDigit(value[i]) {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(value, 10, 64)
	return n, err == nil
}

// setBody says how the body is framed (RFC 9112 section 6.3). It is false for what needs a closer look.
func (a *answer) setBody(method string) bool {
	a.Body = http.NoBody
	chunked := a.TransferEncoding != nil
	switch {
	case a.StatusCode < http.StatusOK, a.StatusCode == http.StatusNoContent, a.StatusCode == http.StatusNotModified, method == http.MethodHead:
		if method != http.MethodHead {
			a.ContentLength = 0
		}
		return !chunked && a.StatusCode >= 100
	case chunked:
		a.body.kind, a.Body = bodyChunked, &a.body
	case a.ContentLength > 0:
		a.body.kind, a.body.left, a.Body = bodyLength, a.ContentLength, &a.body
	case a.ContentLength < 0:
		a.body.kind, a.Close, a.Body = bodyRest, true, &a.body
	}
	return true
}
