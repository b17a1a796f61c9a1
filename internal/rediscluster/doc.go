// Package rediscluster joins the nodes of a fleet through Redis: it implements the ports of package cluster, and the way of
// request records from the nodes to the leader. It is the only package that speaks Redis.
//
// Redis is a hint and a carrier; the database is the truth. Nothing here is called for a proxied request, and whatever
// Redis loses is made up for from the database and the nodes' spools. A node sends a few commands a second, however many
// requests it serves.
//
// # What stands in Redis
//
// Every name begins with the prefix in braces, so that a Redis Cluster keeps all of it in one hash slot (Redis Cluster
// specification, "Hash tags"): scripts and pipelines over several keys work there as they do on one server.
//
//	{prefix}:lease         who leads: node and a random part, for 6 s (redsync)
//	{prefix}:term          how often anybody began to lead, for the log
//	{prefix}:bus:DB        channel of the messages; channels belong to all databases of a server, so it has the number
//	{prefix}:members       hash: node to what it announced, with the time of Redis
//	{prefix}:records       stream: batches of request records on their way to the leader, at most one of each node
//	{prefix}:stored:TOKEN  list: the leader's answer to one batch, for 2 minutes
//	{prefix}:check         that this node could write, for 10 s
//
// # The lease
//
// The holder renews the key every 2 s and trusts its lead until 5 s after the start of the last renewal that worked; the
// key lives for 6 s. Candidates try every second. All times are counted by the monotonic clock of the one who counts, so
// clocks may be wrong. There is no fencing: the leader's jobs are harmless when two do them, and what must not happen twice
// is guarded by the database.
//
// # The way of a batch of records
//
// A node appends the batch, whole and under a random token, and waits at the list of that name. The leader always reads the
// stream from its beginning, writes each batch to the database in one transaction with its position, answers, and then
// deletes the entry. The spool forgets the batch upon the answer, or when the database itself says that it has it. A
// refused record is answered as such, so that the node's spool singles it out as it does with a database of its own.
//
// # Failures
//
//	failure                           what happens
//	Redis away, frozen, link cut      calls end at their deadline, the leader stops after 5 s, records wait in the spools; one log line
//	Redis restarted empty, FLUSHALL   the lease is fought for again; a node finds its batch gone within 2 s and sends it again
//	Redis evicts keys                 the same for the evicted key
//	Redis full (maxmemory)            writes are refused: as away; one log line with the reason
//	failover (Sentinel, Cluster)      as away until the new master answers; what it had not replicated is as flushed
//	a frozen Redis goes on            it executes what waited in its sockets: an abandoned try may take the lease, and the next one frees it;
//	                                  a batch may be in the stream twice, and the database stores it once
//	message lost, receiver slow       subscribed is called after every subscription and overflow: nodes look into the database
//	leader killed                     its lease ends after at most 6 s, another node leads within 7.5 s and reads the stream from its beginning
//	leader stopped for a while        its trust has ended when it goes on, by the clock, before Redis is asked
//	machine suspended                 the monotonic clock may stand still too: the first renewal, at most 2 s later, tells
//	two leaders for a moment          batches are written once, by source and position; answers go to tokens, not to sources
//	database away                     batches stay in the stream, back-off up to 2 s; one log line
//	entry damaged or of a newer node  it is answered as unreadable and deleted; its node keeps the records and sends them again
//	node gone for ever                its last batch is stored; the answer ends by itself
//	wrong password, read-only replica Check answers fleet.CodeInvalid and names the setting; calls answer fleet.CodeUnavailable
//
// A batch is added twice only around a fault of Redis; the database finds the records that it has by their ids.
package rediscluster
