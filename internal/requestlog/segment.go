package requestlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A segment is a file of frames, named by a position that none of its frames is below: base, 20 digits, ".seg".
// Its header is, little-endian:
//
//	8 bytes magic, the last of them the version
//	uint64 base
//	uint64 base of the segment before, 0 when there was none
//	uint32 number of frames in that segment, so that a start knows how much waits without reading everything
//	uint32 CRC-32C of all that
const (
	segmentMagic  = "glspool\x01"
	segmentHeader = 32
	segmentSuffix = ".seg"
)

// segmentFile is what a segment needs of *os.File; tests put failing disks in its place.
type segmentFile interface {
	io.Writer
	io.ReaderAt
	io.Closer
	Truncate(size int64) error
	Sync() error
}

type segment struct {
	base int64
	path string
	file segmentFile // nil until a segment of an earlier process is read

	// Guarded by spool.mu while the segment is active.
	size  int64 // bytes of header and whole frames
	count int64 // frames; 0 when the header of the segment behind, which knows, is damaged
	last  int64 // position of the last frame; 0 when not known
}

func segmentPath(dir string, base int64) string {
	return filepath.Join(dir, fmt.Sprintf("%020d%s", base, segmentSuffix))
}

// createSegment makes the file exclusively and writes its header. before is the last segment, or nil.
func createSegment(dir string, base int64, before *segment, create func(string) (segmentFile, error)) (*segment, error) {
	if before == nil {
		before = &segment{}
	}
	path := segmentPath(dir, base)
	file, err := create(path)
	if err != nil {
		return nil, err
	}
	header := make([]byte, 0, segmentHeader)
	header = append(header, segmentMagic...)
	header = binary.LittleEndian.AppendUint64(header, uint64(base))
	header = binary.LittleEndian.AppendUint64(header, uint64(before.base))
	header = binary.LittleEndian.AppendUint32(header, uint32(before.count))
	header = binary.LittleEndian.AppendUint32(header, crc32.Checksum(header, castagnoli))
	if _, err := file.Write(header); err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(path))
	}
	return &segment{base: base, path: path, file: file, size: segmentHeader}, nil
}

func createFile(path string) (segmentFile, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
}

// header is what the header of a segment says.
type header struct {
	base        int64
	baseBefore  int64
	countBefore int64
}

func readHeader(file io.ReaderAt) (header, error) {
	var raw [segmentHeader]byte
	if _, err := file.ReadAt(raw[:], 0); err != nil {
		return header{}, err
	}
	const baseAt, baseBeforeAt, countBeforeAt, crcAt = len(segmentMagic), 16, 24, 28
	if string(raw[:baseAt]) != segmentMagic || binary.LittleEndian.Uint32(raw[crcAt:]) != crc32.Checksum(raw[:crcAt], castagnoli) {
		return header{}, errFrame
	}
	return header{
		base:        int64(binary.LittleEndian.Uint64(raw[baseAt:])),
		baseBefore:  int64(binary.LittleEndian.Uint64(raw[baseBeforeAt:])),
		countBefore: int64(binary.LittleEndian.Uint32(raw[countBeforeAt:])),
	}, nil
}

// open opens a segment of an earlier process for reading and checks its header.
func (s *segment) open() error {
	if s.file != nil {
		return nil
	}
	file, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if h, err := readHeader(file); err != nil || h.base != s.base {
		_ = file.Close()
		return errors.Join(errFrame, err)
	}
	s.file = file
	return nil
}

func (s *segment) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

// listSegments finds the segments of a folder, oldest first. Only names and sizes are read.
func listSegments(dir string) ([]*segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var segments []*segment
	for _, e := range entries {
		name, isSegment := strings.CutSuffix(e.Name(), segmentSuffix)
		base, err := strconv.ParseInt(name, 10, 64)
		if !isSegment || err != nil || len(name) != 20 || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		segments = append(segments, &segment{base: base, path: filepath.Join(dir, e.Name()), size: info.Size()})
	}
	slices.SortFunc(segments, func(a, b *segment) int { return int(min(1, max(-1, a.base-b.base))) })
	return segments, nil
}

// scan reads all frames of a segment through buf, calling each with their positions and payloads until it
// returns false. It returns the offset behind the last good frame that was taken and, when a bad frame
// stopped it before limit, the reason.
func (s *segment) scan(from, limit int64, buf *[]byte, each func(position int64, payload []byte) bool) (int64, error) {
	for from < limit {
		window := (*buf)[:min(int64(len(*buf)), limit-from)]
		if n, err := s.file.ReadAt(window, from); n < len(window) {
			return from, fmt.Errorf("reading %d bytes at %d: %w", len(window), from, err)
		}
		used := 0
		for used < len(window) {
			position, payload, size, err := openFrame(window[used:])
			if errors.Is(err, errShort) && limit-from > int64(len(window)) {
				if used == 0 { // not even one frame fits: a window of its size, which maxPayload bounds
					*buf = make([]byte, max(size, 2*len(*buf)))
				}
				break
			}
			if err != nil {
				return from + int64(used), err
			}
			if !each(position, payload) {
				return from + int64(used), nil
			}
			used += size
		}
		from += int64(used)
	}
	return from, nil
}
