// Package node puts one process together and runs it: it is the composition root, and the only package that knows
// every concrete part.
//
// Start: open the store, migrate, unlock its secrets, load settings, groups and keys, then listen. Nothing is
// served before all of it is there; nothing shared is ever wiped.
//
// Services run side by side until the context ends or one of them fails. Shutdown goes against the direction of the
// data, under one budget (SERVER_GRACEFUL_SHUTDOWN_TIMEOUT): stop accepting and let requests end, end those
// that have not, then the jobs, then write what is still in memory (key states, request records), then close the store.
package node
