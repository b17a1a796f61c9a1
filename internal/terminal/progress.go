package terminal

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// repaintAfter keeps a fast loop from painting more often than people see.
const repaintAfter = 100 * time.Millisecond

const barCells = 24

// Progress draws how far something has come on the last line of the terminal. It is safe for concurrent use: the reader of
// an upload may outlive the upload.
type Progress struct {
	mu    sync.Mutex
	out   io.Writer // nil where nothing is drawn, and after Finish
	label string
	total int64 // 0 when unknown
	text  func(int64) string
	now   func() time.Time

	done           int64
	started, drawn time.Time
}

// NewProgress starts a bar on the standard error. total is 0 when it is not known; text writes an amount, such as Bytes.
func (s *Streams) NewProgress(label string, total int64, text func(int64) string) *Progress {
	p := &Progress{label: label, total: total, text: text, now: time.Now}
	if s.ShowsProgress {
		p.out = s.Err
	}
	p.started = p.now()
	return p
}

// Add tells that n more are done.
func (p *Progress) Add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	if now := p.now(); p.out != nil && now.Sub(p.drawn) >= repaintAfter {
		p.drawn = now
		p.draw(now)
	}
}

// Clear takes the bar off the terminal to write something else; the next Add draws it again.
func (p *Progress) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
}

// Finish takes the bar off the terminal for good.
func (p *Progress) Finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.out = nil
}

func (p *Progress) clear() {
	if p.out != nil && !p.drawn.IsZero() {
		_, _ = io.WriteString(p.out, "\r\x1b[K")
		p.drawn = time.Time{}
	}
}

func (p *Progress) draw(now time.Time) {
	var b strings.Builder
	b.WriteString("\r" + p.label + " ")
	if p.total > 0 {
		share := min(float64(p.done)/float64(p.total), 1)
		full := int(share * barCells)
		fmt.Fprintf(&b, "[%s%s] %3.0f%%  %s of %s", strings.Repeat("=", full), strings.Repeat(" ", barCells-full), share*100, p.text(p.done), p.text(p.total))
	} else {
		b.WriteString(p.text(p.done))
	}
	if elapsed := now.Sub(p.started).Seconds(); elapsed >= 1 {
		fmt.Fprintf(&b, "  %s/s", p.text(int64(float64(p.done)/elapsed)))
	}
	b.WriteString("\x1b[K") // what is left of a longer line
	_, _ = io.WriteString(p.out, b.String())
}

// Reader counts what is read through it as progress.
func (p *Progress) Reader(r io.Reader) io.Reader { return &progressReader{r, p} }

type progressReader struct {
	r io.Reader
	p *Progress
}

// Read implements io.Reader.
func (r *progressReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.p.Add(int64(n))
	return n, err
}

// Bytes writes an amount of bytes, such as 12.5 MiB.
func Bytes(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, prefix := float64(n)/unit, 0
	for value >= unit && prefix < 3 {
		value /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGT"[prefix])
}

// Count writes a whole number with commas between thousands, such as 1,234,567.
func Count(n int64) string {
	text := fmt.Sprintf("%d", n)
	begin := 0
	if n < 0 {
		begin = 1
	}
	for i := len(text) - 3; i > begin; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
