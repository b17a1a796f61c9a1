package rediscluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
)

const (
	// mostEntries bounds the stream. Each node has at most one entry in it, so it is reached only by the entries that
	// nodes left behind which never came back, while nobody leads; a node whose entry is pushed out sends it again.
	mostEntries = 1024
	// patience is how long a node waits for an answer before it looks whether its entry is still there. It bounds how long
	// a Redis that forgot everything goes unnoticed.
	patience = 2 * time.Second
	// answerLife is how long an answer waits for a node that went away.
	answerLife = 2 * time.Minute
	// keepBuffer bounds the memory that is kept from batch to batch, in bytes; only batches with bodies need more.
	keepBuffer = 1 << 20
	// slowestLink is the bytes per second that a connection must carry at least for a batch to get through in time.
	slowestLink = 1 << 20
)

// The fields of an entry.
const (
	fieldToken = "t"
	fieldBatch = "b"
)

// Answers of the leader to an entry. What follows answerRefused is why.
const (
	answerStored     = "stored"
	answerUnreadable = "unreadable"
	answerRefused    = "refused "
)

// errLost says that a batch is not in the stream and has no answer.
var errLost error = fleet.NewError(fleet.CodeUnavailable, awaiting+": Redis lost them; they are sent again", nil)

// PositionSource knows how far the database is with a spool.
type PositionSource interface {
	// Position returns the stored position of a source, 0 for one never heard of.
	Position(ctx context.Context, source string) (int64, error)
}

// RecordSink is where the spool of a node delivers to in a fleet. WriteRecords puts the batch into a Redis stream and waits
// until the leader says that the database has it; Position asks the database itself. So a spool forgets only what the
// database committed. Errors of Redis and of waiting have code fleet.CodeUnavailable; fleet.CodeInvalid is the database's
// refusal, passed on by the leader.
func (c *Client) RecordSink(positions PositionSource) requestlog.Sink {
	return &recordSink{client: c, positions: positions}
}

type recordSink struct {
	client    *Client
	positions PositionSource

	mu      sync.Mutex // one batch at a time
	buffer  []byte
	pending *entry // the batch that the last call left in the stream, or nil
}

// entry is a batch in the stream.
type entry struct {
	id       string // that Redis gave it
	token    string // names the list with its answer
	source   string
	position int64
	size     int // in bytes, encoded
}

func (s *recordSink) streamKey() string         { return s.client.key("records") }
func (c *Client) answerKey(token string) string { return c.key("stored:" + token) }
func (e *entry) is(b requestlog.Batch, size int) bool {
	return e.source == b.Source && e.position == b.Position && e.size == size
}

// Position implements requestlog.Sink.
func (s *recordSink) Position(ctx context.Context, source string) (int64, error) {
	return s.positions.Position(ctx, source)
}

// WriteRecords implements requestlog.Sink.
func (s *recordSink) WriteRecords(ctx context.Context, b requestlog.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := requestlog.EncodeBatch(s.buffer[:0], b)
	s.buffer = data
	if s.pending != nil && !s.pending.is(b, len(data)) {
		s.withdraw(ctx)
	}
	answer, err := "", errLost
	if s.pending != nil { // of an earlier call
		answer, err = s.await(ctx)
	}
	if errors.Is(err, errLost) {
		if s.pending, err = s.add(ctx, b, data); err != nil {
			s.buffer, s.pending = nil, nil // a call that was given up may still read the buffer
			return err
		}
		answer, err = s.await(ctx)
	}
	if err != nil {
		return err
	}
	s.pending = nil
	if cap(s.buffer) > keepBuffer {
		s.buffer = nil
	}
	switch refusal, refused := strings.CutPrefix(answer, answerRefused); {
	case answer == answerStored:
		return nil
	case refused:
		return fleet.NewError(fleet.CodeInvalid, "the database refuses a request record: "+refusal, nil)
	case answer == answerUnreadable:
		return fleet.NewError(fleet.CodeUnavailable, sending+": the leader cannot read them; if it runs an older version, they wait until it is upgraded", nil)
	}
	return fleet.NewError(fleet.CodeUnavailable, sending+": the leader gave an answer that this version does not know", nil)
}

// add puts the batch into the stream, over a connection that nothing else waits for.
func (s *recordSink) add(ctx context.Context, b requestlog.Batch, data []byte) (*entry, error) {
	e := &entry{token: rand.Text(), source: b.Source, position: b.Position, size: len(data)}
	timeout := callTimeout + time.Duration(len(data)/slowestLink)*time.Second
	id, err := call(ctx, s.client, sending, timeout, func(ctx context.Context, redis rueidis.Client) (string, error) {
		command := redis.B().Arbitrary("XADD").Keys(s.streamKey()).
			Args("MAXLEN", "~", strconv.Itoa(mostEntries), "*", fieldToken, e.token, fieldBatch, rueidis.BinaryString(data))
		return redis.Do(ctx, command.Blocking()).ToString()
	})
	e.id = id
	return e, err
}

// await waits for the answer to the pending entry.
func (s *recordSink) await(ctx context.Context) (string, error) {
	for {
		answer, err := s.pop(ctx, patience)
		if err != nil || answer != "" {
			return answer, outOfTime(err)
		}
		there, err := s.there(ctx)
		if err != nil {
			return "", outOfTime(err)
		}
		if there {
			continue
		}
		// The answer is written before the entry is deleted, so it is there now unless Redis lost both.
		answer, err = s.pop(ctx, 0)
		if err != nil || answer != "" {
			return answer, outOfTime(err)
		}
		s.pending = nil
		return "", errLost
	}
}

// outOfTime says why waiting ended when it was the caller's deadline.
func outOfTime(err error) error {
	if errors.Is(err, errHaste) {
		return fleet.NewError(fleet.CodeUnavailable, awaiting+": it has not yet; no node leads, or the database is away. They stay in the spool", err)
	}
	return err
}

// pop takes the answer, waiting for it when wait is not 0; "" says that there is none.
func (s *recordSink) pop(ctx context.Context, wait time.Duration) (string, error) {
	key := s.client.answerKey(s.pending.token)
	return call(ctx, s.client, awaiting, wait+callTimeout, func(ctx context.Context, redis rueidis.Client) (string, error) {
		if wait == 0 {
			return orNone(redis.Do(ctx, redis.B().Lpop().Key(key).Build()).ToString())
		}
		pair, err := redis.Do(ctx, redis.B().Blpop().Key(key).Timeout(wait.Seconds()).Build()).AsStrSlice()
		if rueidis.IsRedisNil(err) {
			return "", nil
		}
		if err == nil && len(pair) != 2 {
			err = fmt.Errorf("BLPOP answered with %d texts", len(pair))
		}
		if err != nil {
			return "", err
		}
		return pair[1], nil
	})
}

// orNone turns the answer for a key that is not there into "".
func orNone(text string, err error) (string, error) {
	if rueidis.IsRedisNil(err) {
		return "", nil
	}
	return text, err
}

// thereScript says whether an entry is in the stream without sending it back.
var thereScript = rueidis.NewLuaScript(`return #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])`)

func (s *recordSink) there(ctx context.Context) (bool, error) {
	id := s.pending.id
	return call(ctx, s.client, awaiting, callTimeout, func(ctx context.Context, redis rueidis.Client) (bool, error) {
		n, err := thereScript.Exec(ctx, redis, []string{s.streamKey()}, []string{id}).AsInt64()
		return n > 0, err
	})
}

// withdraw takes the pending entry out of the stream: the spool has another batch to deliver, and the leader may be done
// with this one or never come to it.
func (s *recordSink) withdraw(ctx context.Context) {
	id := s.pending.id
	s.pending = nil
	_, _ = call(ctx, s.client, sending, callTimeout, func(ctx context.Context, redis rueidis.Client) (struct{}, error) {
		return struct{}{}, redis.Do(ctx, redis.B().Xdel().Key(s.streamKey()).Id(id).Build()).Error()
	})
}
