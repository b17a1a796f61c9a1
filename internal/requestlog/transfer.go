package requestlog

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"

	"gpt-load/internal/fleet"
)

// batchVersion is the first byte of every encoded batch.
const batchVersion = 1

// maxSource bounds the name of a source in an encoded batch, in bytes.
const maxSource = 256

// ErrBatch says that bytes are not an encoded batch that this version reads: they are damaged, or a newer version wrote
// them.
var ErrBatch = errors.New("the bytes are not an encoded batch of request records that this version reads")

// EncodeBatch appends the batch to dst, for the way between two nodes: version, source, position and number
// of records with their CRC-32C, then the records in the frames of the spool, which have theirs, numbered from 1. Texts over
// their bounds are cut as the spool cuts them.
func EncodeBatch(dst []byte, b Batch) []byte {
	head := len(dst)
	dst = append(dst, batchVersion)
	dst = appendText(dst, b.Source, maxSource)
	dst = binary.AppendVarint(dst, b.Position)
	dst = binary.AppendUvarint(dst, uint64(len(b.Records)))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[head:], castagnoli))
	for i := range b.Records {
		start := len(dst)
		dst = appendFrame(dst, &b.Records[i])
		sealFrame(dst[start:], int64(i+1))
	}
	return dst
}

// DecodeBatch sets b from what EncodeBatch wrote, using the memory of b.Records again; nothing in b points into data
// afterwards. The only error is ErrBatch; b is empty then.
func DecodeBatch(data []byte, b *Batch) error {
	records := b.Records[:0]
	*b = Batch{Records: records}
	if len(data) == 0 || data[0] != batchVersion {
		return ErrBatch
	}
	d := batchDecoder{rest: data[1:]}
	source, position, count := d.text(), d.varint(), d.uvarint(MaxBatchRecords)
	d.checksum(data)
	for i := range count {
		payload := d.frame(int64(i + 1))
		if d.bad {
			return ErrBatch
		}
		if int(i) == cap(records) {
			records = append(records, fleet.RequestRecord{})
		}
		records = records[:i+1]
		if decodeRecord(payload, &records[i]) != nil {
			return ErrBatch
		}
	}
	if d.bad || len(d.rest) > 0 {
		return ErrBatch
	}
	b.Source, b.Position, b.Records = source, position, records
	return nil
}

// batchDecoder takes values from the front of a batch; bad stays set from the first that is not there.
type batchDecoder struct {
	rest []byte
	bad  bool
}

func (d *batchDecoder) skip(n int, good bool) {
	if n <= 0 || !good {
		d.bad, d.rest = true, nil
		return
	}
	d.rest = d.rest[n:]
}

func (d *batchDecoder) uvarint(most uint64) uint64 {
	value, n := binary.Uvarint(d.rest)
	d.skip(n, value <= most)
	if d.bad {
		return 0
	}
	return value
}

func (d *batchDecoder) varint() int64 {
	value, n := binary.Varint(d.rest)
	d.skip(n, value >= 0 && value < math.MaxInt64)
	return value
}

func (d *batchDecoder) text() string {
	length := d.uvarint(min(maxSource, uint64(len(d.rest))))
	if length > uint64(len(d.rest)) {
		d.bad = true
		return ""
	}
	text := string(d.rest[:length])
	d.rest = d.rest[length:]
	return text
}

// checksum takes the CRC of what has been taken of data before.
func (d *batchDecoder) checksum(data []byte) {
	const size = 4
	head := data[:len(data)-len(d.rest)]
	d.skip(size, len(d.rest) >= size && binary.LittleEndian.Uint32(d.rest) == crc32.Checksum(head, castagnoli))
}

// frame returns the payload of the next frame, which must have the number.
func (d *batchDecoder) frame(number int64) []byte {
	position, payload, size, err := openFrame(d.rest)
	d.skip(size, err == nil && position == number)
	return payload
}
