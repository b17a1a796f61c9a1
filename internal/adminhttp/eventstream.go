package adminhttp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/internal/fleet"
	"gpt-load/pkg/adminapi"
)

const (
	// mostStreams bounds the event streams of a node: each is a connection and a goroutine.
	mostStreams = 64
	// streamBeat is between comments that keep proxies from closing a stream on which nothing happens.
	streamBeat = 15 * time.Second
	// streamAge bounds a stream, so that load balancers get to spread them anew.
	streamAge = time.Hour
	// streamPatience is how long one write may take.
	streamPatience = 10 * time.Second
	// streamRetry is how long a client is to wait before its next stream.
	streamRetry = time.Second
)

var topics = []string{
	adminapi.TopicRevision, adminapi.TopicKeys, adminapi.TopicOperations, adminapi.TopicNodes, adminapi.TopicTraffic, adminapi.TopicRecords,
}

// eventStream is one client that follows events.
type eventStream struct {
	topics  map[string]bool
	session string        // empty with AUTH_KEY
	ended   chan struct{} // closed when reason is set
	reason  string
}

// eventStreams are those of a node. It is safe for concurrent use.
type eventStreams struct {
	mu      sync.Mutex
	streams map[*eventStream]struct{}
	closed  bool
	look    chan struct{} // capacity 1: somebody is waiting for news, or sessions ended
}

func newEventStreams() *eventStreams {
	return &eventStreams{streams: make(map[*eventStream]struct{}), look: make(chan struct{}, 1)}
}

func (e *eventStreams) open(wanted []string, session string) (*eventStream, error) {
	s := &eventStream{topics: make(map[string]bool), session: session, ended: make(chan struct{})}
	if len(wanted) == 0 {
		wanted = topics
	}
	for _, topic := range wanted {
		s.topics[topic] = true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, fleet.NewError(fleet.CodeUnavailable, "this node is shutting down; begin the stream on another one", nil)
	}
	if len(e.streams) >= mostStreams {
		return nil, fleet.NewError(fleet.CodeUnavailable, fmt.Sprintf("this node has %d event streams, which is as many as it takes; close some, or try another node", mostStreams), nil)
	}
	e.streams[s] = struct{}{}
	e.wakeUp()
	return s, nil
}

func (e *eventStreams) wakeUp() {
	select {
	case e.look <- struct{}{}:
	default:
	}
}

// leave forgets a stream whose client is gone or was told the end.
func (e *eventStreams) leave(s *eventStream) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.streams, s)
}

// endThose ends the streams that which picks.
func (e *eventStreams) endThose(reason string, which func(*eventStream) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.streams {
		if s.reason == "" && which(s) {
			s.reason = reason
			close(s.ended)
		}
	}
}

// close ends all streams, and refuses others.
func (e *eventStreams) close() {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	e.endThose(adminapi.EndShutdown, func(*eventStream) bool { return true })
}

// count is how many streams are open, and how many of them belong to sessions.
func (e *eventStreams) count() (streams, ofSessions int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.streams {
		if s.session != "" {
			ofSessions++
		}
	}
	return len(e.streams), ofSessions
}

type eventQuery struct {
	Topics      []string `query:"topics" enum:"revision,keys,operations,nodes,traffic,records" doc:"Separated by commas. Absent means all."`
	LastEventID string   `header:"Last-Event-ID" maxLength:"64" doc:"The id of the last event that was seen, to go on behind it."`
}

func (a *API) mountEvents(api huma.API) {
	one := func(t reflect.Type) *huma.Schema { return api.OpenAPI().Components.Schemas.Schema(t, true, "") }
	data := []*huma.Schema{
		one(reflect.TypeFor[adminapi.StreamBegin]()), one(reflect.TypeFor[adminapi.RevisionEvent]()), one(reflect.TypeFor[adminapi.KeysEvent]()),
		one(reflect.TypeFor[adminapi.OperationsEvent]()), one(reflect.TypeFor[adminapi.NodeList]()), one(reflect.TypeFor[adminapi.TrafficEvent]()),
		one(reflect.TypeFor[adminapi.RecordsEvent]()), one(reflect.TypeFor[adminapi.StreamEnd]()),
	}
	route(api, huma.Operation{
		OperationID: "stream-events", Method: http.MethodGet, Path: "/events", Tags: []string{"events"}, Summary: "Follow what happens in the fleet, as server-sent events",
		Description: "The names of events are begin, the topics and end, and their data is JSON: StreamBegin, RevisionEvent, KeysEvent, OperationsEvent, NodeList (for nodes), TrafficEvent, RecordsEvent and StreamEnd. " +
			"A stream begins with begin and with what holds of revision, nodes and traffic. With Last-Event-ID it goes on behind that event, if the same node still has it. " +
			"A comment comes every 15 seconds. A stream ends with its session, with its node, after an hour, and when its client does not keep up; end says which. A node has 64 streams at most, and answers 503 beyond.",
		Responses: map[string]*huma.Response{"200": {Description: "The stream", Content: map[string]*huma.MediaType{
			"text/event-stream": {Schema: &huma.Schema{OneOf: data, Description: "The data of one event."}},
		}}},
	}, a.streamEvents)
}

func (a *API) streamEvents(ctx context.Context, in *eventQuery) (*huma.StreamResponse, error) {
	stream, err := a.streams.open(in.Topics, loginOf(ctx).session.ID)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		defer a.streams.leave(stream)
		c.SetHeader("Content-Type", "text/event-stream")
		c.SetHeader("X-Accel-Buffering", "no") // nginx would hold events back
		if c.Method() == http.MethodHead {
			return
		}
		call := callOf(c.Context())
		controller := http.NewResponseController(call.answer)
		_ = controller.SetReadDeadline(time.Time{}) // net/http would take it for a client that left
		a.follow(c.Context(), stream, in.LastEventID, func(p []byte) error {
			_ = controller.SetWriteDeadline(time.Now().Add(streamPatience))
			if _, err := c.BodyWriter().Write(p); err != nil {
				return err
			}
			return controller.Flush()
		})
	}}, nil
}

// follow writes events until the stream ends or its client is gone.
func (a *API) follow(ctx context.Context, s *eventStream, lastID string, write func([]byte) error) {
	beat, age := time.NewTicker(streamBeat), time.NewTimer(streamAge)
	defer beat.Stop()
	defer age.Stop()
	end := func(reason string) {
		_ = write(frame("", adminapi.EventEnd, mustJSON(adminapi.StreamEnd{Reason: reason}), streamRetry))
	}
	at, err := a.begin(s, lastID, write)
	for err == nil {
		events, upTo, more, kept := a.events.after(at, s.topics)
		if !kept {
			end(adminapi.EndSlow)
			return
		}
		var out []byte
		for _, e := range events {
			out = append(out, frame(a.events.id(e.number), e.topic, e.data, 0)...)
		}
		at = upTo
		if len(out) > 0 {
			if err = write(out); err != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.ended:
			end(s.reason)
			return
		case <-age.C:
			end(adminapi.EndAge)
			return
		case <-beat.C:
			err = write([]byte(":\n\n"))
		case <-more:
		}
	}
}

// begin writes the first event, and what holds now unless the stream goes on where another one was.
func (a *API) begin(s *eventStream, lastID string, write func([]byte) error) (at int64, err error) {
	at, resumed := a.events.number(lastID)
	if resumed {
		_, _, _, resumed = a.events.after(at, s.topics)
	}
	var states []loggedEvent
	if !resumed {
		states, at = a.events.states(s.topics)
	}
	out := frame(a.events.id(at), adminapi.EventBegin, mustJSON(adminapi.StreamBegin{Node: a.NodeName, Resumed: resumed}), streamRetry)
	for _, e := range states {
		out = append(out, frame(a.events.id(at), e.topic, e.data, 0)...)
	}
	return at, write(out)
}

// frame is an event as the wire has it.
func frame(id, name string, data []byte, retry time.Duration) []byte {
	var b bytes.Buffer
	if id != "" {
		b.WriteString("id: " + id + "\n")
	}
	b.WriteString("event: " + name + "\n")
	if retry > 0 {
		b.WriteString("retry: " + strconv.FormatInt(retry.Milliseconds(), 10) + "\n")
	}
	b.WriteString("data: ")
	b.Write(data) // JSON has no newlines
	b.WriteString("\n\n")
	return b.Bytes()
}

// mustJSON is for the two types that hold nothing but texts and a flag.
func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
