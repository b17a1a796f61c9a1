// Package node puts one process together and runs it: it is the composition root, and the only package that knows
// every concrete part.
//
// Start: everything is made, then schema, secrets, keys, settings and groups are read, and only then the port is opened: a
// load balancer takes a refused connection to another node. Nothing shared is ever wiped. While a database
// server is away the node serves from its local copy of the last configuration, or waits where there is none, because
// orchestrators start everything at once; a wrong password or key ends the process.
//
// A fleet: what an operator changes is committed with a new revision, used here at once, and told to the other nodes, which
// read what is newer. What a verdict changes is used here at once, told to the others, and written to the database. Each of
// these also comes by a poll of the revisions every few seconds, so a message that is lost delays and loses nothing. The
// node that holds the lease runs the jobs and brings the records of all nodes to the database. Without Redis the same
// parts run with the implementations for a node that is alone.
//
// Services run side by side until the context ends or one of them fails. Shutdown goes against the direction of the
// data, under one budget (SERVER_GRACEFUL_SHUTDOWN_TIMEOUT): stop accepting and let requests end, end those
// that have not, then the polls, then write what is still in memory (key states, request records), then give up leading,
// because the leader brings its own last records to the database too, then close the store.
package node
