package requestlog

import (
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"
)

// openSpool finds what an earlier process left and cuts the torn tail of its last segment.
func openSpool(f *folder, o Options, now time.Time) (*spool, error) {
	s := &spool{
		folder: f, log: o.Logger, create: o.create,
		segmentBytes: o.segmentBytes, diskLimit: o.MaxDiskBytes, heldLimit: o.MaxMemoryBytes / 2,
		sealed: make(chan segmentFile, 16),
	}
	segments, err := listSegments(f.dir)
	if err != nil {
		return nil, fmt.Errorf("listing the segments of the request log: %w", err)
	}
	s.segments = segments
	var last int64
	for i, g := range segments {
		if i > 0 {
			s.learnCount(segments[i-1], g)
		}
		last = max(last, g.base)
	}
	if len(segments) > 0 {
		last = max(last, s.recoverTail())
	}
	// Positions begin at the clock, so that they lie above everything an earlier process gave out even when its last
	// frames are lost or were never on disk. A clock that went back is met by the maximum here and by adopt.
	s.next = max(last+1, now.UnixMicro())
	s.first = s.next
	for _, g := range s.segments {
		s.diskSize += g.size
	}
	s.count()
	return s, nil
}

// learnCount sets the number of frames of g, which the header of the segment behind it holds.
func (s *spool) learnCount(g, behind *segment) {
	if err := behind.open(); err != nil {
		return // the reader will say so when it comes there
	}
	if h, err := readHeader(behind.file); err == nil && h.baseBefore == g.base {
		g.count = h.countBefore
	}
	_ = behind.file.Close()
	behind.file = nil
}

// recoverTail reads the last segment, cuts it behind its last good frame and returns the position of that frame.
func (s *spool) recoverTail() int64 {
	g := s.segments[len(s.segments)-1]
	if err := g.open(); err != nil {
		// A crash between making the file and its header, or a damaged header: the reader counts and skips it.
		if g.size <= segmentHeader {
			s.segments = s.segments[:len(s.segments)-1]
			_ = os.Remove(g.path)
		}
		return 0
	}
	buf := make([]byte, readWindow)
	end, err := g.scan(segmentHeader, g.size, &buf, func(position int64, _ []byte) bool {
		g.count++
		g.last = position
		return true
	})
	if err != nil {
		s.log.Info("the request log was cut behind its last whole record, as a crash leaves it",
			zap.String("segment", g.path), zap.Int64("bytes", g.size-end), zap.String("reason", err.Error()))
		g.size = end
		if err := g.file.Truncate(end); err != nil {
			s.log.Warn("the torn end of the request log stays in its file", zap.String("segment", g.path), zap.Error(err))
		}
	}
	if g.count == 0 {
		s.segments = s.segments[:len(s.segments)-1]
		_ = g.close()
		_ = os.Remove(g.path)
	}
	return g.last
}
