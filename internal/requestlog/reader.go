package requestlog

import (
	"errors"
	"io"
	"io/fs"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
)

// readWindow is how much of a segment is read at a time.
const readWindow = 256 << 10

// reader takes batches from the spool. Its memory is used again from batch to batch.
type reader struct {
	spool  *spool
	window []byte

	records    []fleet.RequestRecord
	positions  []int64
	bytes      int
	start, end cursor // of the batch
	unreadable int64  // records left out, counted when the batch is committed
}

func newReader(s *spool) *reader {
	return &reader{spool: s, window: make([]byte, readWindow), records: make([]fleet.RequestRecord, 0, MaxBatchRecords)}
}

// view is what the spool held at one moment.
type view struct {
	segments []*segment
	sizes    []int64
	held     []chunk
	cursor   cursor
}

func (s *spool) view() view {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := view{cursor: s.cursor}
	behind := s.cursor.segment == nil
	for _, g := range s.segments {
		if behind = behind || g == s.cursor.segment; behind {
			v.segments = append(v.segments, g)
			v.sizes = append(v.sizes, g.size)
		}
	}
	v.held = append(v.held, s.held...)
	return v
}

// read fills the batch with what follows the cursor, up to and including position until (0: no such bound). It
// returns an error only when trying again later may help.
func (r *reader) read(until int64) error {
	r.records, r.positions, r.bytes, r.unreadable = r.records[:0], r.positions[:0], 0, 0
	v := r.spool.view()
	r.start, r.end = v.cursor, v.cursor
	for i, g := range v.segments {
		if g != v.cursor.segment {
			if i+1 < len(v.segments) && v.segments[i+1].base <= v.cursor.position {
				// The sink has all of it, as its position tells after a start.
				r.end = cursor{segment: g, offset: v.sizes[i], passed: g.count, position: r.end.position}
				continue
			}
			r.end = cursor{segment: g, offset: segmentHeader, position: r.end.position}
		}
		full, err := r.readSegment(g, v.sizes[i], until)
		if full || err != nil {
			return err
		}
	}
	for _, c := range v.held {
		if c.last <= r.end.position {
			continue
		}
		if r.readHeld(c, until) {
			return nil
		}
	}
	return nil
}

// readSegment reads on from r.end and reports whether the batch is full.
func (r *reader) readSegment(g *segment, size, until int64) (full bool, err error) {
	if size >= segmentHeader && r.end.offset >= size {
		return false, nil
	}
	if err := g.open(); err != nil {
		if !errors.Is(err, errFrame) && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		r.spool.damaged(g, segmentHeader, 0, err)
		return false, nil
	}
	end, err := g.scan(r.end.offset, size, &r.window, func(position int64, payload []byte) bool {
		if full = !r.take(position, payload, until); full {
			return false
		}
		r.end.passed++
		return true
	})
	r.end.offset = end
	if err == nil && !full && g.base < r.spool.first && r.end.passed < g.count {
		err = io.ErrUnexpectedEOF // cut between two frames: only the header behind it knows that there were more
	}
	if err != nil {
		r.spool.damaged(g, end, r.end.passed, err)
	}
	return full, nil
}

// damaged ends a segment at the first bad frame: where one frame is bad, the place of the next is not known.
func (s *spool) damaged(g *segment, end, passed int64, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g == s.active {
		s.seal()
	}
	lost := g.count - passed
	if g.count == 0 {
		lost = 1 // at least: nobody knows how many there were
	}
	s.diskSize -= g.size - end
	g.size, g.count = end, passed
	s.count()
	if lost == 0 {
		return // half a write that could not be taken back, behind the last whole frame
	}
	s.corrupt.Add(lost)
	s.log.Error("a segment of the request log is damaged; the records behind the damage are lost",
		zap.String("segment", g.path), zap.Int64("records", lost), zap.Error(why))
}

func (r *reader) readHeld(c chunk, until int64) (full bool) {
	for at := 0; at < len(c.frames); {
		size := frameSize(c.frames[at:])
		position, payload, _, err := openFrame(c.frames[at : at+size])
		if err == nil && !r.take(position, payload, until) {
			return true
		}
		at += size
	}
	return false
}

// take adds a record to the batch unless the sink has it. It returns false when there is no room for it.
func (r *reader) take(position int64, payload []byte, until int64) bool {
	if position <= r.end.position {
		return true
	}
	n := len(r.records)
	if n == MaxBatchRecords || n > 0 && (r.bytes+len(payload) > MaxBatchBytes || until > 0 && position > until) {
		return false
	}
	r.records = r.records[:n+1]
	if err := decodeRecord(payload, &r.records[n]); err != nil {
		r.records = r.records[:n]
		r.unreadable++
	} else {
		r.positions = append(r.positions, position)
		r.bytes += len(payload)
	}
	r.end.position = position
	return true
}

// commit tells the spool that the batch is done with.
func (r *reader) commit() {
	if r.unreadable > 0 {
		r.spool.corrupt.Add(r.unreadable)
		r.spool.log.Error("records of the request log cannot be read and are lost; a newer version may have written them",
			zap.Int64("records", r.unreadable))
	}
	r.spool.commit(r.end)
}

// moved reports whether there is anything to commit, if only frames that the sink has already.
func (r *reader) moved() bool { return r.end != r.start }
