package adminapi

import "time"

// NodeList is the fleet, as the node that was asked sees it.
type NodeList struct {
	Nodes []Node `json:"nodes" doc:"By id. A node that is gone without a word leaves the list after 15 seconds."`
	// Complete is false when the others cannot be asked: then the list is the one node that answered.
	Complete bool   `json:"complete" doc:"False when Redis does not answer: then only the node that was asked is listed."`
	Message  string `json:"message,omitempty" doc:"Why the list is not complete."`
}

// Node is one node of the fleet.
type Node struct {
	ID      string `json:"id"`
	Self    bool   `json:"self" doc:"The node that answered."`
	Role    string `json:"role" enum:"single,leader,candidate,follower"`
	Version string `json:"version"`
	Address string `json:"address"`
	Ready   bool   `json:"ready"`
	// ServingFrom is "store", or "local copy" while the database is away since the start.
	ServingFrom string `json:"serving_from" enum:"store,local copy"`

	Revision       int64 `json:"revision" doc:"Of settings and groups in use."`
	RevisionLag    int64 `json:"revision_lag" doc:"How many revisions the furthest node is ahead."`
	KeyRevision    int64 `json:"key_revision" doc:"Of the keys in use."`
	KeyRevisionLag int64 `json:"key_revision_lag" doc:"How many revisions the furthest node is ahead."`

	InFlight       int64 `json:"in_flight" doc:"Proxied requests under way."`
	RecordsWaiting int64 `json:"records_waiting" doc:"Request records on their way to the database."`
	RecordsDropped int64 `json:"records_dropped" doc:"Since the start, at the bounds of memory and disk."`

	StartedAt     time.Time `json:"started_at"`
	SeenAt        time.Time `json:"seen_at"`
	ClockOffsetMS int64     `json:"clock_offset_ms" doc:"How far its clock is ahead of the database's."`
}
