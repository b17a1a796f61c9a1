package requestlog

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"gpt-load/internal/fleet"
)

// recordVersion is the first byte of every encoded record. A new field at the end of the head means a new version;
// a decoder reads every version up to its own, so that an upgrade finds the spool of its predecessor readable.
const recordVersion = 1

// Bounds of one encoded record. A hostile client chooses paths, models and user agents; they are cut, never refused.
const (
	maxText        = 4 << 10  // bytes of any text of the record
	maxAttemptText = 512      // bytes of any text of an attempt
	maxAttempts    = 100      // more than max_retries allows over all members of an aggregate; the first ones are kept
	maxBody        = 64 << 10 // bytes of each captured body
	// maxPayload is above the worst case: 11 texts of 4 KiB, 100 attempts of 4 texts of 512 bytes, 2 bodies, numbers.
	maxPayload = 512 << 10
)

const (
	flagStream = 1 << iota
	flagCapture
	flagRequestTruncated
	flagResponseTruncated
)

const (
	headLengthAt = 1 // after the version
	headAt       = 5 // after the head's length, a little-endian uint32
)

var errRecord = errors.New("the bytes are not an encoded request record")

// appendRecord encodes r behind dst: version, length of the head, head (numbers as varints, texts with their
// length before them), captured bodies. The bodies stand outside the head because the decoder turns the whole head
// into one string that all texts share.
func appendRecord(dst []byte, r *fleet.RequestRecord) []byte {
	start := len(dst)
	dst = append(dst, recordVersion, 0, 0, 0, 0)
	dst = append(dst, r.ID[:]...)
	dst = append(dst, recordFlags(r))
	dst = binary.AppendVarint(dst, r.StartedAt.Unix())
	dst = binary.AppendUvarint(dst, uint64(r.StartedAt.Nanosecond()))
	dst = binary.AppendVarint(dst, int64(r.Duration))
	dst = binary.AppendVarint(dst, int64(r.TimeToFirstByte))
	dst = binary.AppendVarint(dst, int64(r.GroupID))
	dst = appendText(dst, r.GroupName, maxText)
	dst = binary.AppendVarint(dst, int64(r.ParentID))
	dst = appendText(dst, r.ParentName, maxText)
	dst = appendText(dst, r.ProxyKeyFingerprint, maxText)
	dst = appendText(dst, r.ClientIP, maxText)
	dst = appendText(dst, r.UserAgent, maxText)
	dst = appendText(dst, r.Method, maxText)
	dst = appendText(dst, r.Path, maxText)
	dst = appendText(dst, r.ModelAsked, maxText)
	dst = appendText(dst, r.ModelSent, maxText)
	dst = binary.AppendVarint(dst, int64(r.Status))
	dst = appendText(dst, string(r.Class), maxText)
	dst = appendText(dst, r.Error, maxText)
	dst = binary.AppendVarint(dst, r.RequestBytes)
	dst = binary.AppendVarint(dst, r.ResponseBytes)
	attempts := r.Attempts[:min(len(r.Attempts), maxAttempts)]
	dst = binary.AppendUvarint(dst, uint64(len(attempts)))
	for i := range attempts {
		dst = appendAttempt(dst, &attempts[i])
	}
	binary.LittleEndian.PutUint32(dst[start+headLengthAt:], uint32(len(dst)-start-headAt))
	if r.Capture != nil {
		dst = appendBody(dst, r.Capture.Request)
		dst = appendBody(dst, r.Capture.Response)
	}
	return dst
}

func recordFlags(r *fleet.RequestRecord) byte {
	var flags byte
	if r.Stream {
		flags |= flagStream
	}
	if c := r.Capture; c != nil {
		flags |= flagCapture
		if c.RequestTruncated || len(c.Request) > maxBody {
			flags |= flagRequestTruncated
		}
		if c.ResponseTruncated || len(c.Response) > maxBody {
			flags |= flagResponseTruncated
		}
	}
	return flags
}

func appendAttempt(dst []byte, a *fleet.Attempt) []byte {
	dst = binary.AppendVarint(dst, int64(a.GroupID))
	dst = binary.AppendVarint(dst, int64(a.KeyID))
	dst = appendText(dst, a.KeyTail, maxAttemptText)
	dst = appendText(dst, a.Upstream, maxAttemptText)
	dst = binary.AppendVarint(dst, int64(a.Status))
	dst = appendText(dst, string(a.Class), maxAttemptText)
	dst = binary.AppendVarint(dst, int64(a.Duration))
	return appendText(dst, a.Reason, maxAttemptText)
}

func appendText(dst []byte, s string, limit int) []byte {
	if len(s) > limit {
		cut := limit
		for cut > limit-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendBody(dst, body []byte) []byte {
	body = body[:min(len(body), maxBody)]
	dst = binary.AppendUvarint(dst, uint64(len(body)))
	return append(dst, body...)
}

// decodeRecord sets every field of r from what appendRecord wrote, using r.Attempts' memory again. Nothing in r
// points into payload afterwards. Times come back in UTC.
func decodeRecord(payload []byte, r *fleet.RequestRecord) error {
	if len(payload) < headAt || len(payload) > maxPayload || payload[0] != recordVersion {
		return errRecord
	}
	headLength := uint64(binary.LittleEndian.Uint32(payload[headLengthAt:]))
	if headLength > uint64(len(payload)-headAt) {
		return errRecord
	}
	head, bodies := payload[headAt:headAt+int(headLength)], payload[headAt+int(headLength):]
	d := decoder{rest: string(head)}
	flags := d.head(r)
	if d.bad || len(d.rest) > 0 || (flags&flagCapture == 0) != (len(bodies) == 0) {
		return errRecord
	}
	r.Stream = flags&flagStream != 0
	r.Capture = nil
	if flags&flagCapture != 0 {
		return decodeCapture(slices.Clone(bodies), flags, r)
	}
	return nil
}

func decodeCapture(bodies []byte, flags byte, r *fleet.RequestRecord) error {
	capture := &fleet.BodyCapture{
		RequestTruncated:  flags&flagRequestTruncated != 0,
		ResponseTruncated: flags&flagResponseTruncated != 0,
	}
	for _, body := range []*[]byte{&capture.Request, &capture.Response} {
		length, n := binary.Uvarint(bodies)
		if n <= 0 || length > maxBody || length > uint64(len(bodies)-n) {
			return errRecord
		}
		end := n + int(length)
		if length > 0 {
			*body = bodies[n:end:end]
		}
		bodies = bodies[end:]
	}
	if len(bodies) > 0 {
		return errRecord
	}
	r.Capture = capture
	return nil
}

// decoder takes values from the front of a head. After the first value that is not there everything reads as zero
// and bad stays set, so that only the end needs a check.
type decoder struct {
	rest string
	bad  bool
}

func (d *decoder) head(r *fleet.RequestRecord) (flags byte) {
	copy(r.ID[:], d.bytes(len(r.ID)))
	if f := d.bytes(1); f != "" {
		flags = f[0]
	}
	seconds, nanoseconds := d.varint(), d.uvarint(uint64(time.Second-1))
	r.StartedAt = time.Unix(seconds, int64(nanoseconds)).UTC()
	r.Duration = time.Duration(d.varint())
	r.TimeToFirstByte = time.Duration(d.varint())
	r.GroupID = fleet.GroupID(d.varint())
	r.GroupName = d.text(maxText)
	r.ParentID = fleet.GroupID(d.varint())
	r.ParentName = d.text(maxText)
	r.ProxyKeyFingerprint = d.text(maxText)
	r.ClientIP = d.text(maxText)
	r.UserAgent = d.text(maxText)
	r.Method = d.text(maxText)
	r.Path = d.text(maxText)
	r.ModelAsked = d.text(maxText)
	r.ModelSent = d.text(maxText)
	r.Status = int(d.varint())
	r.Class = fleet.Class(d.text(maxText))
	r.Error = d.text(maxText)
	r.RequestBytes = d.varint()
	r.ResponseBytes = d.varint()
	r.Attempts = r.Attempts[:0]
	for range d.uvarint(maxAttempts) {
		if d.bad {
			break
		}
		r.Attempts = append(r.Attempts, fleet.Attempt{
			GroupID:  fleet.GroupID(d.varint()),
			KeyID:    fleet.KeyID(d.varint()),
			KeyTail:  d.text(maxAttemptText),
			Upstream: d.text(maxAttemptText),
			Status:   int(d.varint()),
			Class:    fleet.Class(d.text(maxAttemptText)),
			Duration: time.Duration(d.varint()),
			Reason:   d.text(maxAttemptText),
		})
	}
	return flags
}

func (d *decoder) fail() {
	d.rest, d.bad = "", true
}

// uvarint reads a number of at most limit.
func (d *decoder) uvarint(limit uint64) uint64 {
	var value uint64
	for i := 0; i < len(d.rest) && i < binary.MaxVarintLen64; i++ {
		b := d.rest[i]
		if i == binary.MaxVarintLen64-1 && b > 1 {
			break // over 64 bits
		}
		value |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			if value > limit {
				break
			}
			d.rest = d.rest[i+1:]
			return value
		}
	}
	d.fail()
	return 0
}

func (d *decoder) varint() int64 {
	u := d.uvarint(1<<64 - 1)
	return int64(u>>1) ^ -int64(u&1) // zigzag, as in encoding/binary
}

func (d *decoder) bytes(n int) string {
	if n > len(d.rest) {
		d.fail()
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) text(limit int) string { return d.bytes(int(d.uvarint(uint64(limit)))) }
