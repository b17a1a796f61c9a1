package rediscluster

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"gpt-load/internal/cluster"
	"gpt-load/internal/fleet"
)

const (
	// maxMessage bounds a message's body in bytes; what is larger has no place on a bus.
	maxMessage = 1 << 20
	// maxQueued and maxQueuedBytes bound what waits for a slow receiver. Beyond that messages are dropped, and the receiver
	// hears that it has to look for itself, as after a lost connection.
	maxQueued      = 1024
	maxQueuedBytes = 16 << 20
	// resubscribe is the pause before listening again, with jitter: no more nodes at once than Redis likes after a restart.
	resubscribe = 500 * time.Millisecond
)

// bus is one Redis channel. Redis keeps nothing for those who are away (Redis manual, Pub/Sub, "Delivery semantics").
type bus struct{ client *Client }

// envelope is the first line of a message; the body follows behind the line's end.
type envelope struct {
	Kind   string         `json:"kind"`
	From   cluster.NodeID `json:"from"`
	SentAt int64          `json:"sent_at"` // microseconds since 1970 by the sender's clock
}

// channel has the number of the database in it, because channels belong to all databases of a server.
func (b *bus) channel() string {
	return b.client.key("bus:" + strconv.Itoa(b.client.option.SelectDB))
}

// Publish implements cluster.Bus.
func (b *bus) Publish(ctx context.Context, kind string, body []byte) error {
	if len(body) > maxMessage {
		return fleet.NewError(fleet.CodeTooLarge, fmt.Sprintf("%s: a message of %d bytes; the limit is %d", publishing, len(body), maxMessage), nil)
	}
	head, err := json.Marshal(envelope{Kind: kind, From: b.client.node, SentAt: time.Now().UnixMicro()})
	if err != nil {
		return fmt.Errorf("%s: %w", publishing, err)
	}
	message := string(append(append(head, '\n'), body...))
	_, err = call(ctx, b.client, publishing, callTimeout, func(ctx context.Context, redis rueidis.Client) (struct{}, error) {
		return struct{}{}, redis.Do(ctx, redis.B().Publish().Channel(b.channel()).Message(message).Build()).Error()
	})
	return err
}

// Run implements cluster.Bus.
func (b *bus) Run(ctx context.Context, receive func(cluster.Message), subscribed func()) error {
	queue := &busQueue{wake: make(chan struct{}, 1)}
	var listener sync.WaitGroup
	defer listener.Wait()
	listener.Go(func() { b.listen(ctx, queue) })
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-queue.wake:
		}
		for ctx.Err() == nil {
			message, resync, ok := queue.next()
			switch {
			case resync:
				subscribed()
			case ok:
				receive(message)
			}
			if !resync && !ok {
				break
			}
		}
	}
}

// listen keeps a subscription until ctx ends.
func (b *bus) listen(ctx context.Context, queue *busQueue) {
	for ctx.Err() == nil {
		begun := time.Now()
		err := b.subscribe(ctx, queue)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			b.client.health.failed(listening, begun, judge(err), err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(resubscribe/2 + rand.N(resubscribe)):
		}
	}
}

// subscribe listens until the connection is lost or ctx ends. The callbacks run where the answers to all other calls are
// read, so they only fill the queue.
func (b *bus) subscribe(ctx context.Context, queue *busQueue) error {
	connecting, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	redis, err := b.client.enter(connecting)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	hooked := rueidis.WithOnSubscriptionHook(ctx, func(s rueidis.PubSubSubscription) {
		if s.Kind == "subscribe" {
			b.client.health.succeeded(listening)
			queue.lost()
		}
	})
	go func() {
		defer b.client.calls.Done()
		ended <- redis.Receive(hooked, redis.B().Subscribe().Channel(b.channel()).Build(), func(m rueidis.PubSubMessage) {
			if message, ok := b.open(m.Message); ok {
				queue.add(message)
			}
		})
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

// open reads a message of another node. What no node wrote is passed over.
func (b *bus) open(text string) (cluster.Message, bool) {
	if len(text) > maxMessage+maxMessage/2 {
		return cluster.Message{}, false
	}
	head, body, found := bytes.Cut([]byte(text), []byte("\n"))
	var e envelope
	if !found || json.Unmarshal(head, &e) != nil || e.From == b.client.node || e.From == "" {
		return cluster.Message{}, false
	}
	return cluster.Message{Kind: e.Kind, From: e.From, SentAt: time.UnixMicro(e.SentAt), Body: body}, true
}

// busQueue is what was heard and not handed on yet.
type busQueue struct {
	wake chan struct{}

	mu       sync.Mutex
	messages []cluster.Message
	bytes    int
	resync   bool // listening began, or messages were dropped: tell before the messages that wait
}

// lost notes that messages may have been missed.
func (q *busQueue) lost() {
	q.mu.Lock()
	q.resync = true
	q.mu.Unlock()
	q.signal()
}

func (q *busQueue) add(m cluster.Message) {
	q.mu.Lock()
	if len(q.messages) >= maxQueued || q.bytes+len(m.Body) > maxQueuedBytes {
		// All that wait are covered by the look that follows.
		q.messages, q.bytes, q.resync = nil, 0, true
	} else {
		q.messages = append(q.messages, m)
		q.bytes += len(m.Body)
	}
	q.mu.Unlock()
	q.signal()
}

// next takes the first message, or the note that some were missed, which comes first.
func (q *busQueue) next() (m cluster.Message, resync, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.resync {
		q.resync = false
		return m, true, false
	}
	if len(q.messages) == 0 {
		q.messages = nil
		return m, false, false
	}
	m = q.messages[0]
	q.messages = q.messages[1:]
	q.bytes -= len(m.Body)
	return m, false, true
}

func (q *busQueue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
