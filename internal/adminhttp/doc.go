// Package adminhttp is the control plane: the admin API under /api/v1 on echo and huma, and the health endpoints
// at the root. Every node serves it. Package adminapi has the wire types, package adminclient the typed client.
//
// One file holds one noun (groups, keys, settings, records, statistics, session, health), errors.go is the one
// place that turns an error into an answer, edge.go is what every request passes through first.
//
// # Who may call
//
// AUTH_KEY as bearer is for automation. POST /session trades it for a cookie that names a session of the database and holds a MAC under
// a key derived from AUTH_KEY: any node accepts it, a restart keeps it, and a change of AUTH_KEY ends every session. A node
// believes what it read of a session for a second, so that is how long one lives that was ended elsewhere.
//
// A browser's write with that cookie must come from the same origin: see fromHere. Bearer is not affected, because no site
// can make a browser send it. Wrong keys slow their sender down, each node by itself; other addresses are not affected.
//
//	attack                               what meets it
//	guessing AUTH_KEY                    five free tries, then a wait that doubles, by address or /64; counted before the answer
//	guessing from many addresses         4096 are remembered; AUTH_KEY has to be long enough: see config
//	an invented X-Forwarded-For          read from the near end, only from TRUSTED_PROXIES, up to the first that is not one
//	another site's form or script        SameSite=Strict, Origin and Sec-Fetch-Site, CORS off unless configured
//	a stolen cookie                      ends with the session: log out, log out everywhere, idle, a day
//	a copy of the database               holds ids of sessions, which are worth nothing without the MAC
//	a flood of wrong keys                30 events a minute, which count the others
//
// # Audit
//
// authenticate puts who acts into the context; the store writes the event of a change in its transaction. Only what changes nothing,
// secrets shown in clear and files handed out, is written down here, and before: what cannot be written down is not shown.
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
