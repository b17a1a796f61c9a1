package requestlog

import (
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// spool keeps frames in order: in segments on disk and, while the disk refuses them, in memory. One goroutine
// appends, one reads and commits.
type spool struct {
	folder *folder
	log    *zap.Logger
	create func(path string) (segmentFile, error)

	segmentBytes int64
	diskLimit    int64
	heldLimit    int64

	// first is the first position that this process gave; lower ones are an earlier process's.
	first int64

	mu       sync.Mutex
	segments []*segment // ascending; those wholly committed are gone
	active   *segment   // the last of segments, or nil: the next write makes one
	held     []chunk    // what no segment took, ascending and above all segments
	heldSize int64
	diskSize int64
	next     int64  // the position of the next frame
	cursor   cursor // up to where the sink has everything
	fault    fault
	retryAt  time.Time // not before, after a write error

	sealed chan segmentFile // to be synced, away from the writer

	waiting      atomic.Int64 // records
	waitingBytes atomic.Int64
	heldCount    atomic.Int64
	dropFull     atomic.Int64
	dropWrite    atomic.Int64
	corrupt      atomic.Int64
}

// chunk is a run of frames in memory.
type chunk struct {
	frames      []byte // never changed, so that it can be read without the lock
	first, last int64
	count       int64
}

// cursor is a place between two frames.
type cursor struct {
	segment  *segment // nil: before the first segment
	offset   int64
	passed   int64 // frames of segment before offset
	position int64 // of the last frame before it
}

// fault is why the disk does not take frames now.
type fault uint8

const (
	faultNone  fault = iota
	faultFull        // our own bound
	faultWrite       // the file system said no
)

var errDiskLimit = errors.New("the request log has reached its size bound")

// Once the file system has refused a write, it is asked again at this interval.
const writeRetry = time.Second

// append gives count frames their positions, seals and writes them. It never fails: what the disk does not take is
// held in memory, and what memory does not take is counted. frames are the caller's again when it returns.
func (s *spool) append(frames []byte, count int, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := chunk{frames: frames, first: s.next, count: int64(count)}
	for at := 0; at < len(frames); {
		size := frameSize(frames[at:])
		sealFrame(frames[at:at+size], s.next)
		s.next++
		at += size
	}
	c.last = s.next - 1
	if s.writeHeld(now) && s.try(c, now) {
		s.count()
		return
	}
	if s.heldSize+int64(len(frames)) > s.heldLimit {
		s.drop(c.count)
		return
	}
	c.frames = slices.Clone(frames)
	s.held = append(s.held, c)
	s.heldSize += int64(len(frames))
	s.count()
}

func (s *spool) drop(count int64) {
	if s.fault == faultFull {
		s.dropFull.Add(count)
	} else {
		s.dropWrite.Add(count)
	}
}

// retry writes what is held, if it is time. It reports whether nothing is held any more.
func (s *spool) retry(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := s.writeHeld(now)
	s.count()
	return done
}

func (s *spool) writeHeld(now time.Time) bool {
	for len(s.held) > 0 {
		if !s.try(s.held[0], now) {
			return false
		}
		s.heldSize -= int64(len(s.held[0].frames))
		s.held[0] = chunk{}
		s.held = s.held[1:]
	}
	return true
}

// try writes one chunk and keeps the state of the disk, with one log line for each change.
func (s *spool) try(c chunk, now time.Time) bool {
	if s.fault == faultWrite && now.Before(s.retryAt) {
		return false
	}
	err := s.write(c)
	was := s.fault
	switch {
	case err == nil:
		s.fault = faultNone
		if was != faultNone {
			s.log.Info("the request log can be written again",
				zap.Int64("dropped_so_far", s.dropFull.Load()+s.dropWrite.Load()))
		}
	case errors.Is(err, errDiskLimit):
		s.fault = faultFull
		if was != faultFull {
			s.log.Warn("the request log is full because its records are not taken; new ones wait in memory and are dropped beyond its bound",
				zap.Int64("bytes", s.diskSize), zap.Int64("limit_bytes", s.diskLimit))
		}
	default:
		s.fault = faultWrite
		s.retryAt = now.Add(writeRetry)
		if was != faultWrite {
			s.log.Warn("the request log cannot be written; records wait in memory and are dropped beyond its bound",
				zap.String("folder", s.folder.dir), zap.Int64("limit_bytes", s.heldLimit), zap.Error(err))
		}
	}
	return err == nil
}

func (s *spool) write(c chunk) error {
	size := int64(len(c.frames))
	if s.diskSize+size+segmentHeader > s.diskLimit {
		return errDiskLimit
	}
	if s.active != nil && s.active.size+size > s.segmentBytes {
		s.seal()
	}
	if s.active == nil {
		if err := s.begin(c.first); err != nil {
			return err
		}
	}
	g := s.active
	if _, err := g.file.Write(c.frames); err != nil {
		// Take back what was written of it. If even that fails nothing may follow in this file.
		if g.file.Truncate(g.size) != nil {
			s.seal()
		}
		return err
	}
	g.size += size
	g.count += c.count
	g.last = c.last
	s.diskSize += size
	return nil
}

func (s *spool) begin(base int64) error {
	var before *segment
	if n := len(s.segments); n > 0 {
		before = s.segments[n-1]
	}
	g, err := createSegment(s.folder.dir, base, before, s.create)
	if err != nil {
		return err
	}
	s.segments = append(s.segments, g)
	s.active = g
	s.diskSize += g.size
	return nil
}

// seal ends the active segment. Syncing takes long and is another goroutine's work; if it is far behind, the
// kernel's own write-back has to do.
func (s *spool) seal() {
	select {
	case s.sealed <- s.active.file:
	default:
	}
	s.active = nil
}

// syncSealed makes one sealed segment last over a power cut.
func (s *spool) syncSealed(file segmentFile) {
	err := file.Sync()
	if errors.Is(err, os.ErrClosed) {
		return // committed and deleted meanwhile
	}
	if err = errors.Join(err, syncDir(s.folder.dir)); err != nil {
		s.log.Warn("syncing a segment of the request log; a power cut could lose it", zap.Error(err))
	}
}

// syncAll makes everything written last over a power cut.
func (s *spool) syncAll() {
	s.mu.Lock()
	active := s.active
	s.mu.Unlock()
	for {
		select {
		case file := <-s.sealed:
			s.syncSealed(file)
			continue
		default:
		}
		break
	}
	if active != nil {
		s.syncSealed(active.file)
	}
}

// count refreshes what others read without the lock.
func (s *spool) count() {
	records, bytes := int64(0), s.heldSize
	behind := s.cursor.segment == nil // whether the loop is behind the cursor
	for _, g := range s.segments {
		switch {
		case g == s.cursor.segment:
			behind = true
			records += max(0, g.count-s.cursor.passed)
			bytes += g.size - s.cursor.offset
		case behind:
			records += g.count
			bytes += g.size - segmentHeader
		}
	}
	var held int64
	for _, c := range s.held {
		held += c.count
	}
	s.waiting.Store(records + held)
	s.waitingBytes.Store(max(0, bytes))
	s.heldCount.Store(held)
}

// adopt takes the sink's position at the first contact.
func (s *spool) adopt(position int64) error {
	if position < s.first {
		s.skipTo(position)
		return nil
	}
	// The sink has seen positions that this process gives out now: the clock went back and the end of the spool is
	// lost. Under a new id nothing is taken for a repetition; what an earlier process left, the sink has.
	s.log.Warn("the request log is behind what its sink has of it; it goes on under a new id")
	if err := s.folder.newSource(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursor.position = s.first - 1
	return nil
}

// skipTo makes frames up to position count as delivered; the reader passes over them. It returns how many of them are of this
// process.
func (s *spool) skipTo(position int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	skipped := max(0, position-max(s.cursor.position, s.first-1))
	s.cursor.position = max(s.cursor.position, position)
	return skipped
}

// commit moves the cursor and deletes what lies wholly before it.
func (s *spool) commit(to cursor) {
	s.mu.Lock()
	s.cursor = to
	var gone []*segment
	if to.segment != nil {
		n := slices.Index(s.segments, to.segment)
		if to.offset >= to.segment.size {
			n++
			if to.segment == s.active {
				s.active = nil
			}
			s.cursor.segment = nil
		}
		gone = slices.Clone(s.segments[:n])
		s.segments = slices.Delete(s.segments, 0, n)
	}
	for len(s.held) > 0 && s.held[0].last <= to.position {
		s.heldSize -= int64(len(s.held[0].frames))
		s.held[0] = chunk{}
		s.held = s.held[1:]
	}
	for _, g := range gone {
		s.diskSize -= g.size
	}
	s.count()
	s.mu.Unlock()
	for _, g := range gone {
		if err := errors.Join(g.close(), os.Remove(g.path)); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Warn("a segment of the request log that is done with stays on disk", zap.String("segment", g.path), zap.Error(err))
		}
	}
}

func (s *spool) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	for _, g := range s.segments {
		err = errors.Join(err, g.close())
	}
	s.segments, s.active = nil, nil
	return errors.Join(err, s.folder.close())
}
