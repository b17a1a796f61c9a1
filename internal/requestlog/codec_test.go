package requestlog

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gpt-load/internal/fleet"
)

func withBodies(n int) *fleet.RequestRecord {
	r := sample(n)
	r.Capture = &fleet.BodyCapture{Request: []byte(`{"model":"x"}`), Response: []byte("data: [DONE]\n\n"), ResponseTruncated: true}
	return r
}

func TestARecordComesBackAsItWent(t *testing.T) {
	hostile := sample(2)
	hostile.ModelAsked = "a\x00b\xff\xfe" + strings.Repeat("\U0001f600", 75)
	hostile.Status, hostile.RequestBytes, hostile.Duration = -1, -1, -time.Second
	for name, r := range map[string]*fleet.RequestRecord{
		"usual":      sample(1),
		"hostile":    hostile,
		"bodies":     withBodies(3),
		"no body":    {Capture: &fleet.BodyCapture{RequestTruncated: true}},
		"zero":       {},
		"far future": {StartedAt: time.Unix(1<<40, 999_999_999).UTC()},
	} {
		t.Run(name, func(t *testing.T) {
			payload := appendRecord(nil, r)
			got := sample(9) // a used record: nothing of it may be left
			if err := decodeRecord(payload, got); err != nil {
				t.Fatal(err)
			}
			if len(got.Attempts) == 0 {
				got.Attempts = nil
			}
			if !reflect.DeepEqual(got, r) {
				t.Errorf("got  %+v\nwant %+v", got, r)
			}
		})
	}
}

func TestWhatIsTooLongIsCut(t *testing.T) {
	r := sample(1)
	r.Path = strings.Repeat("é", maxText) // two bytes each
	r.Attempts = make([]fleet.Attempt, 2*maxAttempts)
	for i := range r.Attempts {
		r.Attempts[i] = fleet.Attempt{KeyTail: strings.Repeat("k", 9999), Upstream: strings.Repeat("u", 9999), Class: fleet.Class(strings.Repeat("c", 9999)), Reason: strings.Repeat("r", 9999)}
	}
	r.Capture = &fleet.BodyCapture{Request: make([]byte, maxBody+1), Response: make([]byte, maxBody)}
	for _, text := range []*string{
		&r.GroupName, &r.ParentName, &r.ProxyKeyFingerprint, &r.ClientIP, &r.UserAgent, &r.Method,
		&r.ModelAsked, &r.ModelSent, (*string)(&r.Class), &r.Error,
	} {
		*text = strings.Repeat("x", 1<<20)
	}
	payload := appendRecord(nil, r)
	if len(payload) > maxPayload {
		t.Fatalf("%d bytes, over the bound of %d", len(payload), maxPayload)
	}
	var got fleet.RequestRecord
	if err := decodeRecord(payload, &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Path) != maxText || !utf8.ValidString(got.Path) || len(got.Attempts) != maxAttempts || len(got.Attempts[0].Reason) != maxAttemptText {
		t.Errorf("path of %d bytes, %d attempts", len(got.Path), len(got.Attempts))
	}
	if c := got.Capture; len(c.Request) != maxBody || !c.RequestTruncated || len(c.Response) != maxBody || c.ResponseTruncated {
		t.Errorf("capture of %d and %d bytes, truncated %t and %t", len(c.Request), len(c.Response), c.RequestTruncated, c.ResponseTruncated)
	}
}

func TestNoPartOfARecordIsARecord(t *testing.T) {
	payload := appendRecord(nil, withBodies(1))
	var got fleet.RequestRecord
	for n := range payload {
		if decodeRecord(payload[:n], &got) == nil {
			t.Errorf("the first %d of %d bytes were taken for a record", n, len(payload))
		}
	}
	if decodeRecord(append(payload, 0), &got) == nil {
		t.Error("a record with a byte behind it was taken")
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendRecord(nil, &fleet.RequestRecord{}))
	f.Add(appendRecord(nil, sample(1)))
	f.Add(appendRecord(nil, withBodies(2)))
	f.Add(append(appendRecord(nil, sample(1))[:60], bytes.Repeat([]byte{0xff}, 60)...))
	f.Fuzz(func(t *testing.T, payload []byte) {
		var first, second fleet.RequestRecord
		if decodeRecord(payload, &first) != nil {
			return
		}
		if err := decodeRecord(appendRecord(nil, &first), &second); err != nil {
			t.Fatalf("what was decoded does not decode again: %v", err)
		}
		if !first.StartedAt.Equal(second.StartedAt) {
			t.Fatalf("started at %v, then %v", first.StartedAt, second.StartedAt)
		}
		first.StartedAt = second.StartedAt
		if !reflect.DeepEqual(first, second) {
			t.Errorf("got  %+v\nthen %+v", first, second)
		}
	})
}

// FuzzSegment reads arbitrary bytes behind a good header: it must end, never take what no writer wrote for a
// record, and keep what stands before the damage.
func FuzzSegment(f *testing.F) {
	frame := func(position int64, n int) []byte {
		b := appendFrame(nil, sample(n))
		sealFrame(b, position)
		return b
	}
	f.Add([]byte{}, uint8(0))
	f.Add(bytes.Repeat([]byte{0}, 100), uint8(1))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, uint8(2))
	f.Add(frame(50, 50)[:40], uint8(3))
	f.Add(append(frame(50, 50), frame(51, 51)...), uint8(3))
	f.Fuzz(func(t *testing.T, tail []byte, before uint8) {
		var data []byte
		for n := range int64(before) {
			data = append(data, frame(n+1, int(n))...)
		}
		good := int64(len(data))
		data = append(data, tail...)
		g := &segment{file: memoryFile{bytes.NewReader(data)}}
		small := make([]byte, 64)
		var count int64
		end, err := g.scan(0, int64(len(data)), &small, func(_ int64, payload []byte) bool {
			count++
			return len(payload) > 0
		})
		if count < int64(before) || end < good || end > int64(len(data)) {
			t.Fatalf("%d frames up to %d; %d up to %d were good", count, end, before, good)
		}
		if err == nil && end != int64(len(data)) {
			t.Errorf("ended at %d of %d without a reason", end, len(data))
		}
	})
}

type memoryFile struct{ *bytes.Reader }

func (memoryFile) Write([]byte) (int, error) { return 0, nil }
func (memoryFile) Truncate(int64) error      { return nil }
func (memoryFile) Sync() error               { return nil }
func (memoryFile) Close() error              { return nil }
