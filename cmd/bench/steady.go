package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gpt-load/internal/testenv"
)

const (
	steadyRequests = 10_000
	// steadyWindow is how long each count goes on. It is some periods of the slowest poll, 5 s, and several times as long
	// as the requests and the delivery of their records take.
	steadyWindow = 30 * time.Second
)

// benchSteady counts what Redis and PostgreSQL are asked while a follower serves requests, and while it serves none.
func benchSteady(ctx context.Context, r *report, s settings) (err error) {
	r.title(fmt.Sprintf("Redis commands and SQL statements for %d requests through a follower", steadyRequests))
	f, err := startFleet(ctx, s, fleetOptions{followers: 1, preload: "pg_stat_statements"})
	defer func() { err = errors.Join(err, f.stop()) }()
	if err != nil {
		return err
	}
	if _, err := f.postgres.SQL(ctx, "postgres", "CREATE EXTENSION pg_stat_statements;"); err != nil {
		return err
	}
	// As many batches as there can be.
	if err := deliverEverySecond(ctx, f.nodes[0]); err != nil {
		return err
	}
	requests := load{url: f.node(1).addr, key: testenv.AuthKey, size: 1 << 10, workers: 16, count: steadyRequests}
	serve := func() error {
		_, err := requests.run(ctx)
		return err
	}
	nothing := func() error { return nil }
	// The first window makes connections and prepares statements.
	var windows [4]asked
	for i, do := range []func() error{serve, nothing, serve, nothing} {
		if windows[i], err = f.countWindow(ctx, do); err != nil {
			return f.explain(ctx, err)
		}
	}
	if stored, err := f.stored(ctx); err != nil || stored != 2*steadyRequests {
		return fmt.Errorf("%d records of %d requests are in the database: %w", stored, 2*steadyRequests, err)
	}
	reportSteady(r, "Redis commands", balance(windows[2].redis, []tally{windows[1].redis, windows[3].redis}, recordCommand))
	reportSteady(r, "SQL statements", balance(windows[2].sql, []tally{windows[1].sql, windows[3].sql}, recordStatement))
	return nil
}

// steadyLimit is what 0 per request means: less than one in 1,000 requests. The timers of the nodes have jitter, so that an
// idle window differs from the next by some; whatever a request asks for would be 10,000.
const steadyLimit = steadyRequests / 1000

// reportSteady prints what was asked beyond what time alone costs, and the share of the record batches in it.
func reportSteady(r *report, what string, b balanced) {
	r.figure(what+", idle", "%.0f in %v (%d to %d)", b.idle, steadyWindow, b.quietest, b.busiest)
	r.figure(what+", busy", "%d in %v", b.busy, steadyWindow)
	r.figure("  of these for the record batches", "%.0f: %s", b.batches, strings.Join(b.batchKinds, ", "))
	if len(b.newKinds) > 0 {
		r.figure("  of these that no idle window had", "%s", strings.Join(b.newKinds, ", "))
	}
	r.promise("  left per request: 0", b.rest < steadyLimit, "%.3f (%.0f in all)", max(b.rest/steadyRequests, 0), b.rest)
}

// asked is what both servers were asked in a window.
type asked struct{ redis, sql tally }

// tally counts by kind: a Redis command, or an SQL statement without its values.
type tally map[string]int64

// since is what was added to an earlier tally.
func (t tally) since(before tally) tally {
	added := tally{}
	for kind, n := range t {
		if n -= before[kind]; n != 0 {
			added[kind] = n
		}
	}
	return added
}

func (t tally) total() (sum int64) {
	for _, n := range t {
		sum += n
	}
	return sum
}

// countWindow counts for steadyWindow, in which do runs.
func (f *benchFleet) countWindow(ctx context.Context, do func() error) (asked, error) {
	before, err := f.asked(ctx)
	if err != nil {
		return asked{}, err
	}
	begun := time.Now()
	if err := do(); err != nil {
		return asked{}, err
	}
	if err := pause(ctx, steadyWindow-time.Since(begun)); err != nil {
		return asked{}, err
	}
	after, err := f.asked(ctx)
	return asked{redis: after.redis.since(before.redis), sql: after.sql.since(before.sql)}, err
}

// asked reads the servers' counters. Reading them is in none.
func (f *benchFleet) asked(ctx context.Context) (asked, error) {
	info, err := f.redis.Do(ctx, "INFO", "commandstats")
	if err != nil {
		return asked{}, err
	}
	rows, err := f.postgres.SQL(ctx, "postgres", `SELECT calls, regexp_replace(query, '\s+', ' ', 'g') FROM pg_stat_statements
		WHERE dbid = (SELECT oid FROM pg_database WHERE datname = '`+fleetDatabase+`');`)
	if err != nil {
		return asked{}, err
	}
	redis, err := parseCommandStats(info)
	if err != nil {
		return asked{}, err
	}
	sql, err := parseStatements(rows)
	return asked{redis: redis, sql: sql}, err
}

// stored counts the records in the database.
func (f *benchFleet) stored(ctx context.Context) (int64, error) {
	text, err := f.postgres.SQL(ctx, fleetDatabase, "SELECT count(*) FROM request_records;")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// ownCommands are those that the counting itself needs.
var ownCommands = []string{"info", "auth"}

// parseCommandStats reads lines such as "cmdstat_xadd:calls=21,usec=...": https://redis.io/docs/latest/commands/info/.
func parseCommandStats(info string) (tally, error) {
	counts := tally{}
	for line := range strings.Lines(info) {
		rest, is := strings.CutPrefix(line, "cmdstat_")
		name, figures, found := strings.Cut(rest, ":calls=")
		if !is || !found || slices.Contains(ownCommands, name) {
			continue
		}
		calls, _, _ := strings.Cut(figures, ",")
		n, err := strconv.ParseInt(calls, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading the command statistics of Redis: %q: %w", line, err)
		}
		counts[name] = n
	}
	return counts, nil
}

// parseStatements reads lines of calls and statement, parted by |.
func parseStatements(rows string) (tally, error) {
	counts := tally{}
	for line := range strings.Lines(rows) {
		calls, statement, _ := strings.Cut(strings.TrimSpace(line), "|")
		n, err := strconv.ParseInt(calls, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading the statistics of PostgreSQL: %q: %w", line, err)
		}
		counts[statement] += n
	}
	return counts, nil
}

// recordCommand is the name of a Redis command if it is one of the way of request records, or "".
func recordCommand(name string) string {
	if slices.Contains([]string{"xadd", "xread", "xrange", "xdel", "blpop", "lpop", "rpush", "pexpire"}, name) {
		return name
	}
	return ""
}

var recordTables = regexp.MustCompile(`\b(request_records|record_bodies|record_sources|record_batches|hourly_stats|minute_stats|hourly_key_stats|key_usage)\b`)

// recordStatement is a short form of an SQL statement if it is one of the writing of request records, or "". A transaction
// of something else would show by what is in it.
func recordStatement(statement string) string {
	if statement == "begin" || statement == "commit" {
		return statement
	}
	table := recordTables.FindString(statement)
	if table == "" {
		return ""
	}
	verb, _, _ := strings.Cut(statement, " ")
	return verb + " " + table
}

// balanced is where the counts of a busy window come from.
type balanced struct {
	idle              float64 // mean of the idle windows
	quietest, busiest int64   // of the idle windows
	busy              int64
	batches           float64  // what the busy window had more of the kinds that record batches need
	rest              float64  // what is left when idle and batches are taken away
	batchKinds        []string // the kinds of batches, each with its number
	newKinds          []string // the other kinds that no idle window had, each with its number
}

// balance compares a busy window with idle ones of the same length. ofRecords names the kinds that record batches need.
func balance(busy tally, idle []tally, ofRecords func(kind string) string) balanced {
	b := balanced{busy: busy.total(), quietest: idle[0].total(), busiest: idle[0].total()}
	for _, window := range idle {
		b.idle += float64(window.total()) / float64(len(idle))
		b.quietest, b.busiest = min(b.quietest, window.total()), max(b.busiest, window.total())
	}
	ofBatches := map[string]float64{}
	for _, kind := range slices.Sorted(maps.Keys(busy)) {
		var usual float64
		for _, window := range idle {
			usual += float64(window[kind]) / float64(len(idle))
		}
		more := float64(busy[kind]) - usual
		if short := ofRecords(kind); short != "" {
			b.batches += more
			ofBatches[short] += more
		} else if usual == 0 {
			b.newKinds = append(b.newKinds, fmt.Sprintf("%.60s %.0f", kind, more))
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(ofBatches)) {
		b.batchKinds = append(b.batchKinds, fmt.Sprintf("%s %.0f", kind, ofBatches[kind]))
	}
	b.rest = float64(b.busy) - b.idle - b.batches
	return b
}
