package proxy

import (
	"bytes"
	"errors"
	"io"
	"math"
	"math/bits"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of request bodies, in bytes.
const (
	// replayLimit is the largest body kept for another attempt. Larger ones are streamed, once.
	replayLimit = 32 << 20
	// smallBody is the length up to which a body gets memory of its own, which net/http sends together with the header:
	// one write is worth more than the garbage.
	smallBody = 3 << 10
	// replayFree may be kept by every request without asking the budget.
	replayFree = 1 << 20
	// replayBudget bounds what all requests together keep beyond replayFree each.
	replayBudget = 1 << 30
	// readStep is how much must arrive within SERVER_READ_TIMEOUT for the deadline to move on.
	readStep = 1 << 20
)

var replayHeld atomic.Int64

// body is a request body: all of it in memory, or its beginning and the reader of what follows.
type body struct {
	data   []byte
	whole  bool
	rest   io.Reader // follows data when not whole
	length int64     // of all, -1 when unknown and not whole
	broken fault     // why the client's side of rest broke off

	reserved int64
	pooled   *[]byte
	current  *replayReader
}

var (
	errDetached    = errors.New("the request is over")
	errBodyTooLong = errors.New("the body is longer than the limit")
)

// readBody reads a body up to the replay bound. The read deadline moves on with progress and is off afterwards: while
// it stands, net/http would take it for a client that went away.
func readBody(w http.ResponseWriter, r *http.Request, timeout time.Duration) (*body, error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return &body{whole: true}, nil
	}
	b := &body{length: r.ContentLength}
	want := int64(replayLimit)
	if b.length >= 0 && b.length <= replayLimit {
		want = b.length
	}
	if want > replayFree {
		want = b.reserve(want)
	}
	control := http.NewResponseController(w)
	if err := b.fill(r.Body, int(want), func() { _ = control.SetReadDeadline(time.Now().Add(timeout)) }); err != nil {
		b.release()
		return nil, err
	}
	if b.whole {
		b.length = int64(len(b.data))
		_ = control.SetReadDeadline(time.Time{})
		return b, nil
	}
	b.rest = &passReader{
		from: r.Body, broken: &b.broken, left: maxBody - int64(len(b.data)), timeout: timeout, patience: timeout,
		deadline: func(t time.Time) { _ = control.SetReadDeadline(t) },
	}
	// The upstream may answer before it has read everything; without this, writing that answer would first
	// swallow what the upstream has yet to read.
	_ = control.EnableFullDuplex()
	return b, nil
}

// reserve takes what a large body needs from the budget, or falls back to what is free.
func (b *body) reserve(want int64) int64 {
	if replayHeld.Add(want) > replayBudget {
		replayHeld.Add(-want)
		return replayFree
	}
	b.reserved = want
	return want
}

// fill reads until the end or until limit bytes are held.
func (b *body) fill(from io.Reader, limit int, extend func()) error {
	first := 4 << 10
	if b.length >= 0 && b.length <= int64(limit) {
		first = int(b.length) + 1 // the extra byte lets the read that meets the end see it
	}
	var data []byte
	if b.length >= 0 && b.length <= smallBody {
		data = make([]byte, 0, first)
	} else {
		b.pooled = getBuffer(first)
		data = (*b.pooled)[:0]
	}
	extend()
	sinceExtend := 0
	for {
		if len(data) == cap(data) {
			if len(data) >= limit {
				break
			}
			data = b.grow(data)
		}
		n, err := from.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			b.data, b.whole = data, true
			return nil
		}
		if err != nil {
			return err
		}
		if b.length >= 0 && int64(len(data)) == b.length {
			b.data, b.whole = data, true
			return nil
		}
		if len(data) >= limit {
			break
		}
		if sinceExtend += n; sinceExtend >= readStep {
			sinceExtend = 0
			extend()
		}
	}
	b.data = data
	return nil
}

func (b *body) grow(data []byte) []byte {
	larger := getBuffer(2 * cap(data))
	grown := (*larger)[:len(data)]
	copy(grown, data)
	if b.pooled != nil {
		putBuffer(b.pooled)
	}
	b.pooled = larger
	return grown
}

// reader gives the body for one attempt and takes it away from the attempt before. data is the body as this
// attempt's group sends it.
func (b *body) reader(data []byte) io.ReadCloser {
	b.detach()
	if b.whole && len(data) == 0 {
		return http.NoBody
	}
	if b.whole && (b.pooled == nil || &data[0] != &b.data[0]) {
		// Nobody else will ever use this memory. net/http knows this type, and sends header and body in one write.
		return io.NopCloser(bytes.NewReader(data))
	}
	b.current = &replayReader{data: data}
	if !b.whole {
		b.current.rest = b.rest
	}
	return b.current
}

func (b *body) detach() {
	if b.current != nil {
		b.current.detach()
		b.current = nil
	}
}

// release gives the memory back. No transport can read from it afterwards.
func (b *body) release() {
	b.detach()
	if b.pooled != nil {
		putBuffer(b.pooled)
		b.pooled = nil
	}
	if b.reserved > 0 {
		replayHeld.Add(-b.reserved)
		b.reserved = 0
	}
	b.data = nil
}

// replayReader reads a body that belongs to the request. net/http may read a body after RoundTrip returned, and even
// while Close runs; the lock makes sure that nobody reads memory that another request already uses.
type replayReader struct {
	mu       sync.Mutex
	data     []byte
	rest     io.Reader
	detached bool
}

func (r *replayReader) Read(p []byte) (int, error) {
	n, rest, err := r.readHeld(p)
	if rest == nil || n > 0 || err != nil {
		return n, err
	}
	// Without the lock: a slow client must not hold up the end of the request. net/http guards its own body.
	return rest.Read(p)
}

func (r *replayReader) readHeld(p []byte) (int, io.Reader, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.detached:
		return 0, nil, errDetached
	case len(r.data) > 0:
		n := copy(p, r.data)
		r.data = r.data[n:]
		return n, nil, nil
	case r.rest != nil:
		return 0, r.rest, nil
	}
	return 0, nil, io.EOF
}

// Len is the number of bytes that are left, as far as they are held.
func (r *replayReader) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.rest != nil {
		return math.MaxInt // nobody knows
	}
	return len(r.data)
}

// WriteTo writes what is held in one piece, and then what streams behind it. Whoever detaches waits for the one piece; a
// call that is closed ends its connection, and with it the write.
func (r *replayReader) WriteTo(w io.Writer) (int64, error) {
	n, rest, err := r.writeHeld(w)
	if !rest || err != nil {
		return n, err
	}
	streamed, err := io.Copy(w, struct{ io.Reader }{r}) // by Read, which looks each time whether the request is over
	return n + streamed, err
}

func (r *replayReader) writeHeld(w io.Writer) (written int64, rest bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.detached {
		return 0, false, errDetached
	}
	n, err := w.Write(r.data)
	r.data = r.data[n:]
	return int64(n), r.rest != nil, err
}

// Close does nothing: the body stays readable for a retry of the transport until it is detached.
func (r *replayReader) Close() error { return nil }

func (r *replayReader) detach() {
	r.mu.Lock()
	r.detached, r.data, r.rest = true, nil, nil
	r.mu.Unlock()
}

// passReader streams the part of a body that is not kept, and notes when the client's side of it breaks: that must not
// be blamed on the upstream that was waiting for it. Nor is a slow upstream blamed on the client: only the time spent in
// reading counts.
type passReader struct {
	from     io.Reader
	broken   *fault
	left     int64 // bytes
	since    int   // bytes that came since patience was renewed
	timeout  time.Duration
	patience time.Duration // what is left of timeout for this readStep
	deadline func(time.Time)
}

func (p *passReader) Read(into []byte) (int, error) {
	begun := time.Now()
	p.deadline(begun.Add(p.patience))
	n, err := p.from.Read(into)
	p.patience -= time.Since(begun)
	if p.since += n; p.since >= readStep {
		p.since, p.patience = 0, p.timeout
	}
	if p.left -= int64(n); p.left < 0 {
		err = errBodyTooLong
	}
	switch {
	case errors.Is(err, io.EOF):
		p.deadline(time.Time{})
	case err != nil:
		p.broken.set(err)
	}
	return n, err
}

// fault keeps the first error it is given. Two goroutines meet in it: the transport's, which reads the body, and the request's.
type fault struct{ first atomic.Pointer[error] }

func (f *fault) set(err error) { f.first.CompareAndSwap(nil, &err) }

// err is nil while there is none.
func (f *fault) err() error {
	if err := f.first.Load(); err != nil {
		return *err
	}
	return nil
}

// buffers holds byte slices by powers of two from 4 KiB to 1 MiB. Larger ones are left to the garbage collector:
// they are rare, and keeping them would make one burst of uploads stay for ever.
var buffers [maxBufferBits - minBufferBits + 1]sync.Pool

const minBufferBits, maxBufferBits = 12, 20

func getBuffer(size int) *[]byte {
	class := max(bits.Len(uint(max(size, 1)-1)), minBufferBits)
	if class > maxBufferBits {
		data := make([]byte, 0, size)
		return &data
	}
	if held, ok := buffers[class-minBufferBits].Get().(*[]byte); ok {
		return held
	}
	data := make([]byte, 0, 1<<class)
	return &data
}

func putBuffer(held *[]byte) {
	size := cap(*held)
	class := bits.Len(uint(size)) - 1
	if class < minBufferBits || class > maxBufferBits || size != 1<<class {
		return
	}
	buffers[class-minBufferBits].Put(held)
}
