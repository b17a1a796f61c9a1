package adminapi

import (
	"encoding/json"
	"time"
)

// The topics of the event stream, which are the names of its events, too.
const (
	TopicRevision   = "revision"
	TopicKeys       = "keys"
	TopicOperations = "operations"
	TopicNodes      = "nodes"
	TopicTraffic    = "traffic"
	TopicRecords    = "records"
)

// The events that every stream has, whatever its topics.
const (
	EventBegin = "begin"
	EventEnd   = "end"
)

// Event is one event of the stream. Data is the JSON of the type that belongs to its name: see Decode.
type Event struct {
	ID   string // send the newest one as Last-Event-ID to go on behind it; empty when the event has none
	Name string // a topic, EventBegin or EventEnd
	Data json.RawMessage
	// Retry is how long the server asks to wait before the next stream; 0 when it does not say.
	Retry time.Duration
}

// Decode reads the data of an event into out: a *StreamBegin, *StreamEnd, *RevisionEvent, *KeysEvent, *OperationsEvent,
// *NodeList, *TrafficEvent or *RecordsEvent.
func (e Event) Decode(out any) error { return json.Unmarshal(e.Data, out) }

// StreamBegin is the first event of a stream.
type StreamBegin struct {
	Node    string `json:"node" doc:"The node that answers."`
	Resumed bool   `json:"resumed" doc:"What came after Last-Event-ID follows. When it is false, read anew what you show: events may have been missed."`
}

// The reasons of StreamEnd.
const (
	EndSession  = "session"  // it is over, or was ended anywhere
	EndShutdown = "shutdown" // the node leaves
	EndAge      = "age"      // the stream is as old as one may be
	EndSlow     = "slow"     // the client did not keep up
)

// StreamEnd is the last event of a stream that the server ends.
type StreamEnd struct {
	Reason string `json:"reason" enum:"session,shutdown,age,slow" doc:"After session log in again; after any other begin a new stream with Last-Event-ID."`
}

// RevisionEvent says that settings, groups or memberships changed.
type RevisionEvent struct {
	Revision int64 `json:"revision" doc:"Of the configuration that the node serves by."`
}

// KeysEvent is what became of keys on any node since the event before.
type KeysEvent struct {
	Changes []KeyEvent `json:"changes" doc:"The newest standing of each key, at most 100 keys."`
	Omitted int        `json:"omitted" doc:"Changes beyond those; read the keys of the groups anew."`
	Groups  []string   `json:"groups" doc:"Every group of which keys changed, were added or were deleted, at most 1000."`
}

// KeyEvent is the new standing of one key.
type KeyEvent struct {
	GroupID   string     `json:"group_id"`
	KeyID     string     `json:"key_id"`
	State     string     `json:"state" enum:"active,cooling,invalid,disabled"`
	Reason    string     `json:"reason"`
	Cooldowns []Cooldown `json:"cooldowns" doc:"Rests that are not over yet, at most 20. That a rest is over is no event: its end is known."`
	At        time.Time  `json:"at"`
}

// OperationsEvent has the operations that began, came further or ended.
type OperationsEvent struct {
	Operations []Operation `json:"operations" doc:"Newest first, at most 50."`
}

// RecordsEvent says that request records reached the database.
type RecordsEvent struct {
	Count  int64  `json:"count" doc:"Of any group, since the event before; at least so many when some are not remembered any more."`
	Cursor string `json:"cursor" doc:"Of GET /records/tail behind them."`
}

// TrafficEvent is what the fleet served, as far as records reached the database.
type TrafficEvent struct {
	From    time.Time      `json:"from"`
	To      time.Time      `json:"to" doc:"A whole minute. The youngest minutes may still grow: see request_log_write_interval_minutes."`
	Minutes []ChartPoint   `json:"minutes" doc:"Every minute of that time."`
	Groups  []TrafficGroup `json:"groups" doc:"Over that time, the most requests first, at most 100."`
}

// TrafficGroup is the traffic of one group.
type TrafficGroup struct {
	GroupID               string  `json:"group_id" doc:"Empty for requests that no group served."`
	RequestsPerSecond     float64 `json:"requests_per_second"`
	SucceededPerSecond    float64 `json:"succeeded_per_second"`
	ClientFaultsPerSecond float64 `json:"client_faults_per_second"`
	FailedPerSecond       float64 `json:"failed_per_second"`
}
