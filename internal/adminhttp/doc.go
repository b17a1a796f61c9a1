// Package adminhttp is the control plane: the admin API under /api/v1 on echo and huma, and the health endpoints
// at the root. Every node serves it. Package adminapi has the wire types, package adminclient the typed client.
//
// One file holds one noun (groups, keys, settings, records, statistics, session, health), errors.go is the one
// place that turns an error into an answer, edge.go is what every request passes through first.
//
// # Who may call
//
// AUTH_KEY as bearer is for automation. POST /session trades it for a cookie that holds an expiry and a MAC under a
// key derived from AUTH_KEY: any node accepts it, none stores it, and a change of AUTH_KEY ends every session.
// A browser's write with that cookie must come from the same origin. Wrong keys slow their sender down.
//
// # What a write promises
//
// A write is validated as a whole (fleet.ValidateGroup and the settings table, every fault at once), committed, and
// this node serves by it before the answer goes out; other nodes follow by revision. The answer carries the new
// revision. What can fail, and how:
//
//	the database is away             503 unavailable, nothing is changed
//	committed, not yet served here   503 unavailable, the message says that it is saved and as which revision
//	somebody else changed it first   412 precondition_failed with the present revision when If-Match was sent; without it the
//	                                 change is applied on top
//	the client goes away             the transaction that runs is rolled back; half a file of an import changes nothing; an
//	                                 operation that has begun goes on without its client
//	a defect                         500 internal with a request id; the panic's text stays out of answer and log
package adminhttp
