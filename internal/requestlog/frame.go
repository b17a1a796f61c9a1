package requestlog

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"gpt-load/internal/fleet"
)

// A frame is one record on disk, little-endian:
//
//	uint32 length of the payload, at least 1
//	uint32 CRC-32C of position and payload
//	uint64 position
//	payload
//
// The position stands in each frame, not only in the segment's header, so that a frame is known by itself and a
// block of an older file that a crash left in the place of a newer one does not pass. Zeros, which some file
// systems leave behind a power cut, are no frame.
const (
	frameHeader = 16
	frameCRCAt  = 4
	framePosAt  = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	// errShort says that the bytes end within the frame.
	errShort = errors.New("the frame is cut short")
	errFrame = errors.New("the frame is damaged")
)

// appendFrame appends a frame without CRC and position; sealFrame sets them when the position is known.
func appendFrame(dst []byte, r *fleet.RequestRecord) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, frameHeader)...)
	dst = appendRecord(dst, r)
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(dst)-start-frameHeader))
	return dst
}

// frameSize is the size of the first frame of data, header included. data must start with a whole header.
func frameSize(data []byte) int { return frameHeader + int(binary.LittleEndian.Uint32(data)) }

func sealFrame(frame []byte, position int64) {
	binary.LittleEndian.PutUint64(frame[framePosAt:], uint64(position))
	binary.LittleEndian.PutUint32(frame[frameCRCAt:], crc32.Checksum(frame[framePosAt:], castagnoli))
}

// openFrame checks the first frame of data. size is the frame's as soon as it can be told, also with errShort.
func openFrame(data []byte) (position int64, payload []byte, size int, err error) {
	if len(data) < frameHeader {
		return 0, nil, frameHeader, errShort
	}
	length := binary.LittleEndian.Uint32(data)
	if length == 0 || length > maxPayload {
		return 0, nil, 0, errFrame
	}
	size = frameHeader + int(length)
	if len(data) < size {
		return 0, nil, size, errShort
	}
	position = int64(binary.LittleEndian.Uint64(data[framePosAt:]))
	if position <= 0 || binary.LittleEndian.Uint32(data[frameCRCAt:]) != crc32.Checksum(data[framePosAt:size], castagnoli) {
		return 0, nil, 0, errFrame
	}
	return position, data[frameHeader:size], size, nil
}
