package upstream

import (
	"bytes"
	"errors"
	"io"
)

// chunks takes the framing out of a body in chunks (RFC 9112 section 7.1), where it stands. It is as strict as net/http:
// lines end in CRLF and nothing else, sizes have 1 to 16 digits, and what is no content is bounded.
type chunks struct {
	state   chunkState
	digits  uint8
	line    int    // bytes of the size's line so far
	size    uint64 // bytes of the chunk that are to come
	excess  int64  // bytes of framing beyond what is usual
	trailer []byte // behind the last chunk, with its empty line; nil for none
}

type chunkState uint8

const (
	chunkSize      chunkState = iota
	chunkSpace                // behind the size
	chunkExtension            // which nobody reads
	chunkSizeEnd              // the LF of the size's line
	chunkContent
	chunkCR
	chunkLF
	chunkLast    // the CR of the empty line behind the last chunk, or a trailer
	chunkLastEnd // its LF
	chunkTrailer
)

const (
	longestLine    = 4096     // of a size with its extensions, in bytes
	longestTrailer = 4096     // in bytes
	mostExcess     = 16 << 10 // in bytes; see endLine
	largestChunk   = 1 << 62
)

var (
	errChunkSize    = errors.New("malformed chunked encoding: invalid byte in chunk length")
	errChunkNoSize  = errors.New("malformed chunked encoding: no chunk length")
	errChunkLarge   = errors.New("malformed chunked encoding: http chunk length too large")
	errChunkLine    = errors.New("malformed chunked encoding: a line does not end in CRLF")
	errChunkEnd     = errors.New("malformed chunked encoding: no CRLF behind a chunk")
	errChunkLong    = errors.New("malformed chunked encoding: a line is too long")
	errChunkExcess  = errors.New("malformed chunked encoding: too much that is no content")
	errTrailersLong = errors.New("malformed chunked encoding: the trailers are too long")
)

// decode moves the content of raw to its beginning. content is its length, used how much of raw was read. err is io.EOF when
// the body has ended; what is behind used is not part of it.
func (d *chunks) decode(raw []byte) (content, used int, err error) {
	for used < len(raw) {
		if d.state == chunkContent {
			n := int(min(d.size, uint64(len(raw)-used)))
			if content != used {
				copy(raw[content:], raw[used:used+n])
			}
			content, used, d.size = content+n, used+n, d.size-uint64(n)
			if d.size == 0 {
				d.state = chunkCR
			}
			continue
		}
		err = d.step(raw[used])
		used++
		if err != nil {
			return content, used, err
		}
	}
	return content, used, nil
}

// step takes a byte of framing.
func (d *chunks) step(b byte) error {
	switch d.state {
	case chunkCR:
		d.state = chunkLF
		return expect(b, '\r', errChunkEnd)
	case chunkLF:
		d.state = chunkSize
		return expect(b, '\n', errChunkEnd)
	case chunkSizeEnd:
		return d.endLine(b)
	case chunkLast, chunkLastEnd, chunkTrailer:
		return d.stepLast(b)
	}
	return d.stepLine(b)
}

func expect(b, want byte, or error) error {
	if b != want {
		return or
	}
	return nil
}

// stepLine takes a byte of the line that says a chunk's size.
func (d *chunks) stepLine(b byte) error {
	if d.line++; d.line >= longestLine {
		return errChunkLong
	}
	switch {
	case b == '\n':
		return errChunkLine
	case b == '\r' && d.digits == 0:
		return errChunkNoSize
	case b == '\r':
		d.state = chunkSizeEnd
	case d.state == chunkExtension:
	case b == ' ' || b == '\t':
		if d.digits == 0 {
			return errChunkSize
		}
		d.state = chunkSpace
	case d.state == chunkSpace:
		return errChunkSize
	case b == ';' && d.digits == 0:
		return errChunkNoSize
	case b == ';':
		d.state = chunkExtension
	default:
		return d.stepSize(b)
	}
	return nil
}

func (d *chunks) stepSize(b byte) error {
	switch {
	case '0' <= b && b <= '9':
		b -= '0'
	case 'a' <= b && b <= 'f':
		b -= 'a' - 10
	case 'A' <= b && b <= 'F':
		b -= 'A' - 10
	default:
		return errChunkSize
	}
	if d.digits++; d.digits > 16 {
		return errChunkLarge
	}
	d.size = d.size<<4 | uint64(b)
	return nil
}

// endLine bounds what is no content, as net/http does: 16 bytes and twice its content are free for each chunk.
func (d *chunks) endLine(b byte) error {
	if b != '\n' {
		return errChunkLine
	}
	if d.size > largestChunk {
		return errChunkLarge
	}
	d.excess = max(d.excess+int64(d.line)-1+2-16-2*int64(min(d.size, 1<<32)), 0)
	if d.excess > mostExcess {
		return errChunkExcess
	}
	d.line, d.digits = 0, 0
	d.state = chunkContent
	if d.size == 0 {
		d.state = chunkLast
	}
	return nil
}

// stepLast takes a byte behind the last chunk.
func (d *chunks) stepLast(b byte) error {
	switch {
	case d.state == chunkLast && b == '\r':
		d.state = chunkLastEnd
		return nil
	case d.state == chunkLastEnd && b == '\n':
		return io.EOF
	case d.state == chunkLastEnd:
		return errChunkLine
	}
	d.state = chunkTrailer
	if d.trailer = append(d.trailer, b); len(d.trailer) > longestTrailer {
		return errTrailersLong
	}
	if b == '\n' && bytes.HasSuffix(d.trailer, crlf2) {
		return io.EOF
	}
	return nil
}
