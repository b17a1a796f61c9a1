package adminhttp

import (
	"crypto/rand"
	"encoding/json"
	"strconv"
	"strings"
	"sync"

	"gpt-load/pkg/adminapi"
)

// keptEvents bounds what a stream may be behind and what a client can resume: a minute at the pace of busy keys. The largest
// events, of keys, are 30 KiB, so all are some MiB at most.
const keptEvents = 256

// loggedEvent is one event as streams write it.
type loggedEvent struct {
	number int64
	topic  string
	data   []byte
}

// eventLog is the last events of a node. Streams read it each at its own pace, so that none holds anything up and none has a
// queue of its own. It is safe for concurrent use.
type eventLog struct {
	mu     sync.Mutex
	epoch  string        // changes with what ids are good for: with the node, and while nobody looks for news
	kept   []loggedEvent // in the order of number, without gaps
	last   int64
	latest map[string]loggedEvent // of the topics that tell a state as a whole
	more   chan struct{}          // closed at the next event
}

func newEventLog() *eventLog {
	return &eventLog{epoch: newEpoch(), latest: make(map[string]loggedEvent), more: make(chan struct{})}
}

func newEpoch() string { return strings.ToLower(rand.Text()[:8]) }

// whole reports whether an event of a topic says everything, so that only the newest one counts.
func whole(topic string) bool {
	return topic == adminapi.TopicRevision || topic == adminapi.TopicNodes || topic == adminapi.TopicTraffic
}

func (l *eventLog) add(topic string, event any) error {
	data, err := json.Marshal(event)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	e := loggedEvent{number: l.last, topic: topic, data: data}
	if len(l.kept) == keptEvents {
		l.kept = append(l.kept[:0], l.kept[1:]...)
	}
	l.kept = append(l.kept, e)
	if whole(topic) {
		l.latest[topic] = e
	}
	close(l.more)
	l.more = make(chan struct{})
	return nil
}

// after lists the events of topics behind a number, only the newest of those that say everything, with the number to go on from
// and a channel that closes at the next event. It is not ok when some are not kept any more.
func (l *eventLog) after(number int64, topics map[string]bool) (events []loggedEvent, upTo int64, more <-chan struct{}, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last-number > int64(len(l.kept)) || number > l.last {
		return nil, l.last, l.more, false
	}
	for _, e := range l.kept[int64(len(l.kept))-(l.last-number):] {
		if topics[e.topic] && (!whole(e.topic) || l.latest[e.topic].number == e.number) {
			events = append(events, e)
		}
	}
	return events, l.last, l.more, true
}

// states are the newest events of the topics that say everything, and the number to go on from.
func (l *eventLog) states(topics map[string]bool) (events []loggedEvent, upTo int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, topic := range []string{adminapi.TopicRevision, adminapi.TopicNodes, adminapi.TopicTraffic} {
		if e, told := l.latest[topic]; told && topics[topic] {
			events = append(events, e)
		}
	}
	return events, l.last
}

// restart forgets what nobody kept up to date: no client can go on behind it.
func (l *eventLog) restart() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch, l.kept = newEpoch(), nil
	delete(l.latest, adminapi.TopicNodes)
	delete(l.latest, adminapi.TopicTraffic)
}

// id is what clients know an event by.
func (l *eventLog) id(number int64) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoch + "-" + strconv.FormatInt(number, 10)
}

// number is the reverse of id; not ok for one of another node or another start.
func (l *eventLog) number(id string) (number int64, ok bool) {
	epoch, text, _ := strings.Cut(id, "-")
	number, err := strconv.ParseInt(text, 10, 64)
	l.mu.Lock()
	defer l.mu.Unlock()
	return number, err == nil && number >= 0 && epoch == l.epoch
}
