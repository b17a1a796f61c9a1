package fleet

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// Class says who a request or an attempt ended by: the table is in DESIGN terms "who is blamed".
type Class string

// The classes of verdicts and records.
const (
	ClassOK           Class = "ok"
	ClassClient       Class = "client"        // the client's mistake
	ClassCanceled     Class = "canceled"      // the client went away; recorded with status 499
	ClassKeyDead      Class = "key_dead"      // the key is revoked, suspended or wrong
	ClassKeyExhausted Class = "key_exhausted" // no money or quota left
	ClassKeySuspect   Class = "key_suspect"   // refused, but not surely for ever
	ClassLimited      Class = "limited"       // rate limited
	ClassModelDenied  Class = "model_denied"  // this key lacks this model
	ClassUpstream     Class = "upstream"      // the provider or the way to it
	ClassGateway      Class = "gateway"       // refused here: credentials, limits, no usable key
)

// StatusClientGone is recorded when the client closed before it had its answer (nginx's code).
const StatusClientGone = 499

// RecordID is a UUID version 7: unique, and ordered by the millisecond it was made in.
type RecordID [16]byte

// NewRecordID makes an id for a request that started at t.
func NewRecordID(t time.Time) RecordID {
	var id RecordID
	_, _ = rand.Read(id[6:]) // crypto/rand.Read never fails since Go 1.24
	ms := uint64(t.UnixMilli())
	binary.BigEndian.PutUint16(id[0:2], uint16(ms>>32))
	binary.BigEndian.PutUint32(id[2:6], uint32(ms))
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}

// String gives the usual 36 characters.
func (id RecordID) String() string {
	var out [36]byte
	hex.Encode(out[0:8], id[0:4])
	hex.Encode(out[9:13], id[4:6])
	hex.Encode(out[14:18], id[6:8])
	hex.Encode(out[19:23], id[8:10])
	hex.Encode(out[24:36], id[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

// ParseRecordID reads what String wrote.
func ParseRecordID(s string) (RecordID, error) {
	var id RecordID
	if len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' {
		plain := s[0:8] + s[9:13] + s[14:18] + s[19:23] + s[24:36]
		if _, err := hex.Decode(id[:], []byte(plain)); err == nil {
			return id, nil
		}
	}
	return RecordID{}, NewError(CodeInvalid, "a record id is a UUID of 36 characters", nil)
}

// RequestRecord is what is kept of one proxied request: one record, whatever happened, with every attempt in it.
type RequestRecord struct {
	ID        RecordID
	StartedAt time.Time
	Duration  time.Duration
	// TimeToFirstByte is from the start to the first body byte that went to the client; 0 when none went.
	TimeToFirstByte time.Duration

	GroupID    GroupID // the group that served (a member, for an aggregate); 0 when unknown
	GroupName  string
	ParentID   GroupID // the aggregate that was asked; 0 when none
	ParentName string

	ProxyKeyFingerprint string // never the key
	ClientIP            string
	UserAgent           string
	Method              string
	Path                string // below /proxy/{group}, without the query, where credentials may stand
	ModelAsked          string
	ModelSent           string
	Stream              bool

	Status        int // what the client got, or StatusClientGone
	Class         Class
	Error         string // redacted, at most 500 bytes; empty when all went well
	RequestBytes  int64
	ResponseBytes int64

	Attempts []Attempt
	Capture  *BodyCapture // only with enable_request_body_logging
}

// Attempt is one try at one key and one upstream.
type Attempt struct {
	GroupID  GroupID
	KeyID    KeyID
	KeyTail  string // last four characters
	Upstream string // host and port
	Status   int    // 0 when no answer came
	Class    Class
	Duration time.Duration
	// Reason says why it ended like this and why the request went on, in stable words and at most 200 bytes.
	Reason string
}

// BodyCapture holds the beginning of both bodies, as sent, at most the capture bound each.
type BodyCapture struct {
	Request           []byte
	Response          []byte
	RequestTruncated  bool
	ResponseTruncated bool
}
