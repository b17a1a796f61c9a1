package sqlstore

import (
	"database/sql"
	"strconv"
	"time"
)

// Bounds of the work with a server.
const (
	// statementPatience bounds a statement or transaction whose caller set no deadline.
	statementPatience = 10 * time.Second
	// connectPatience bounds making a connection, with TLS, the password and the session's settings.
	connectPatience = 5 * time.Second
	// lockPatience is how long a statement waits for another's lock. A client that went away waits on, unnoticed, until then.
	lockPatience = 5 * time.Second
	// idlePatience is how long a transaction may stay without a statement before the server ends it: a node that is
	// frozen in the middle of one must not keep the others from writing.
	idlePatience = 15 * time.Second
	// maxConnections of one node. PostgreSQL takes 100 by default: twelve nodes.
	maxConnections = 8
	// connectionAge and connectionRest bound the life of a connection, so that a node finds the server that took over after
	// a failover, even when the old one still answers. connectionRest is shorter than idlePatience, which on MySQL counts
	// for connections in the pool too.
	connectionAge  = time.Minute
	connectionRest = 10 * time.Second
)

// bound limits the pool of a server's connections.
func bound(db *sql.DB) {
	db.SetMaxOpenConns(maxConnections)
	db.SetMaxIdleConns(maxConnections)
	db.SetConnMaxLifetime(connectionAge)
	db.SetConnMaxIdleTime(connectionRest)
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
