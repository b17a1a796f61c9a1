package rediscluster

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
)

const (
	// drainEntries is how many entries are read at a time. A batch is at most 8 MiB, so
	// this bounds the leader's memory.
	drainEntries = 4
	// drainBlock is how long a read waits in Redis for an entry.
	drainBlock = time.Second
	// storeTimeout bounds the writing of one batch.
	storeTimeout = time.Minute
	// Back-off while Redis or the database does not work.
	shortestBackOff = 100 * time.Millisecond
	longestBackOff  = 2 * time.Second
	// longestRefusal bounds the words of a refusal in an answer, in bytes.
	longestRefusal = 500
)

// DrainStats counts what a leader did with the entries of the record stream since the start of the process.
type DrainStats struct {
	Batches int64 // stored in the database, those included that it had already
	Records int64 // in them
	Refused int64 // batches in which the database refused a record as invalid; their nodes single it out
	// Unreadable are the entries that this version could not read. Nothing is lost by them: their nodes keep the records
	// and send them again.
	Unreadable int64
}

type drainCounters struct{ batches, records, refused, unreadable atomic.Int64 }

// DrainStats returns the counters of DrainRecords.
func (c *Client) DrainStats() DrainStats {
	return DrainStats{
		Batches: c.drain.batches.Load(), Records: c.drain.records.Load(),
		Refused: c.drain.refused.Load(), Unreadable: c.drain.unreadable.Load(),
	}
}

// DrainRecords moves the batches that nodes put into the stream to sink, the database, and answers each to its node, until
// ctx ends; then it returns nil. Only a leader calls it, and two that overlap harm nothing: the database knows by source and
// position what it has. It survives the loss of Redis and of the database; batches wait meanwhile.
func (c *Client) DrainRecords(ctx context.Context, sink requestlog.Sink) error {
	d := &drainer{client: c, sink: sink}
	var backOff time.Duration
	for ctx.Err() == nil {
		d.measure(ctx)
		entries, err := d.read(ctx)
		if err == nil {
			err = d.store(ctx, entries)
		}
		if err == nil {
			backOff = 0
			continue
		}
		backOff = min(longestBackOff, max(shortestBackOff, 2*backOff))
		select {
		case <-ctx.Done():
		case <-time.After(backOff/2 + rand.N(backOff/2)):
		}
	}
	return nil
}

type drainer struct {
	client *Client
	sink   requestlog.Sink

	batch   requestlog.Batch // its memory is used again
	waiting bool             // the database did not take the last batch
	odd     bool             // an entry that could not be read was logged

	measured time.Time // see measure
}

// read returns the first entries of the stream, waiting for one. It always begins at the beginning: what is done with is
// deleted, and after a failover or a restart Redis may give lower ids than before.
func (d *drainer) read(ctx context.Context) ([]rueidis.XRangeEntry, error) {
	key := d.client.key("records")
	return call(ctx, d.client, receiving, drainBlock+2*callTimeout, func(ctx context.Context, redis rueidis.Client) ([]rueidis.XRangeEntry, error) {
		command := redis.B().Xread().Count(drainEntries).Block(drainBlock.Milliseconds()).Streams().Key(key).Id("0").Build()
		streams, err := redis.Do(ctx, command).AsXRead()
		if rueidis.IsRedisNil(err) {
			return nil, nil
		}
		return streams[key], err
	})
}

// store writes the entries to the database, one after the other: side by side they would be there hardly sooner, and take all
// cores of a small machine from the requests meanwhile.
func (d *drainer) store(ctx context.Context, entries []rueidis.XRangeEntry) error {
	answers := make([]string, len(entries)) // "" leaves the entry where it is
	var errs []error
	stuck := make(map[string]bool) // by source: what follows must not overtake what was not stored
	for i, e := range entries {
		if err := requestlog.DecodeBatch([]byte(e.FieldValues[fieldBatch]), &d.batch); err != nil {
			answers[i] = answerUnreadable
			d.unreadable(e.ID)
			continue
		}
		source := d.batch.Source
		if stuck[source] {
			continue
		}
		answer, err := d.write(ctx, &d.batch)
		if err != nil {
			errs, stuck[source] = append(errs, err), true
		}
		answers[i] = answer
	}
	// Also when some were not stored: those that were need not wait for them.
	return errors.Join(append(errs, d.answer(ctx, entries, answers))...)
}

// write stores one batch and returns what to answer.
func (d *drainer) write(ctx context.Context, b *requestlog.Batch) (string, error) {
	limited, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err := d.sink.WriteRecords(limited, *b)
	if ctx.Err() != nil && err != nil {
		return "", err
	}
	switch {
	case err == nil:
		d.client.drain.batches.Add(1)
		d.client.drain.records.Add(int64(len(b.Records)))
	case fleet.CodeOf(err) == fleet.CodeInvalid:
		d.client.drain.refused.Add(1)
		text := err.Error()
		return answerRefused + text[:min(len(text), longestRefusal)], nil
	default:
		if !d.waiting {
			d.waiting = true
			d.client.log.Warn("the database does not take the fleet's request records; they wait in Redis and in the nodes' spools", zap.Error(err))
		}
		return "", err
	}
	if d.waiting {
		d.waiting = false
		d.client.log.Info("the database takes the fleet's request records again")
	}
	return answerStored, nil
}

func (d *drainer) unreadable(id string) {
	d.client.drain.unreadable.Add(1)
	if !d.odd {
		d.odd = true
		d.client.log.Warn("request records of a node cannot be read; it keeps them and sends them again. Does it run a newer version than this leader?",
			zap.String("entry", id))
	}
}

// answer tells the nodes and deletes what is done with, in this order: an entry that is gone has its answer.
func (d *drainer) answer(ctx context.Context, entries []rueidis.XRangeEntry, answers []string) error {
	var ids []string
	for i, e := range entries {
		if answers[i] != "" {
			ids = append(ids, e.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := call(ctx, d.client, confirming, callTimeout, func(ctx context.Context, redis rueidis.Client) (struct{}, error) {
		var commands rueidis.Commands
		for i, e := range entries {
			token := e.FieldValues[fieldToken]
			if answers[i] == "" || token == "" {
				continue
			}
			key := d.client.answerKey(token)
			commands = append(commands, redis.B().Rpush().Key(key).Element(answers[i]).Build(),
				redis.B().Pexpire().Key(key).Milliseconds(answerLife.Milliseconds()).Build())
		}
		commands = append(commands, redis.B().Xdel().Key(d.client.key("records")).Id(ids...).Build())
		for _, r := range redis.DoMulti(ctx, commands...) {
			if err := r.Error(); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	return err
}
