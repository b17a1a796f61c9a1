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
// Services run side by side until the context ends or one of them fails. Shutdown goes against the direction of the data:
//
//	SIGTERM         /readyz says no, answers tell their connections to close; everything is still served (SERVER_SHUTDOWN_DELAY)
//	then            the port is closed, operations are left to other nodes; requests and streams go on
//	budget over     what still runs is ended with its protocol's error event (SERVER_GRACEFUL_SHUTDOWN_TIMEOUT)
//	then            the polls end, what is in memory is written (key states, request records), the lease is given up
//	                last, because the leader brings its own last records to the database too, and the store is closed
//
// Idle connections are closed only after the delay: a balancer that has not noticed yet may just be sending the next
// request on one of them, and nothing tells it that it may repeat that. A single node does not wait, and neither does Ctrl-C.
package node
