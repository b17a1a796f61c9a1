package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// Bounds of following records. A record is written when its request is over, so that it may have begun long before those
// that were seen already: every look goes back lookBack, which is longer than most requests and the usual interval of
// writing together.
const (
	lookBack     = 15 * time.Minute
	followEvery  = 2 * time.Second
	leastEvery   = 100 * time.Millisecond
	followedPage = 10 // pages of one look at most
)

func (a *app) tailRecordsCommand() *cobra.Command {
	var flags recordFlags
	lines, every := uint(0), time.Duration(0)
	c := a.leaf("tail", "Print new records as they are written, until Ctrl-C", nil, func(ctx context.Context, _ []string) error {
		if every < leastEvery {
			return usage(errors.New("--interval must be at least "+leastEvery.String()), "")
		}
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		filter, err := flags.build(ctx, client)
		if err != nil {
			return err
		}
		t := &tail{app: a, client: client, filter: filter, list: a.newRecordListing(), seen: map[string]time.Time{}}
		err = t.follow(ctx, int(lines), every)
		if ctx.Err() != nil {
			return nil // Ctrl-C is how it ends
		}
		return err
	})
	c.Long = "Prints the last records and then those that are new, oldest first. A record is written when its request is over and the\nnode hands its records to the database, within request_log_write_interval_minutes; 0 makes that a second. Requests that\nbegan more than 15 minutes before their record was written are left out, and so may be some that were long under way on\na server with more than 1,000 records in that time: filters narrow them down."
	flags.add(c, a)
	c.Flags().UintVarP(&lines, "lines", "n", 10, "`number` of records to begin with")
	c.Flags().DurationVar(&every, "interval", followEvery, "`while` between two looks")
	return c
}

// tail follows the records of a server.
type tail struct {
	app    *app
	client *adminclient.Client
	filter adminapi.RecordFilter
	list   recordListing
	seen   map[string]time.Time // start of each record that was printed or passed over, back to lookBack
	newest time.Time            // start of the newest record seen
	away   bool
}

func (t *tail) follow(ctx context.Context, lines int, every time.Duration) error {
	// The newest record says how far back the first look goes, which only notes what is there already. The last lines are
	// asked for after it: what is written in between is then among them, or new to the next look.
	head, err := t.latest(ctx, 1)
	if err != nil {
		return err
	}
	for _, r := range head {
		t.newest = r.StartedAt
	}
	if _, err := t.look(ctx); err != nil {
		return err
	}
	last, err := t.latest(ctx, lines)
	if err != nil {
		return err
	}
	for _, r := range last {
		t.remember(r)
	}
	if err := t.print(last); err != nil {
		return err
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		fresh, err := t.look(ctx)
		if t.hold(ctx, err) {
			continue
		}
		if err == nil {
			err = t.print(fresh)
		}
		if err != nil {
			return err
		}
	}
}

// hold tells whether a failed look is worth another one: the server may be restarting. It says so once.
func (t *tail) hold(ctx context.Context, err error) bool {
	var answer *adminclient.Error
	switch {
	case ctx.Err() != nil:
		return false
	case err == nil:
		if t.away {
			t.away = false
			t.app.note("the server answers again")
		}
		return false
	case errors.As(err, &answer) && answer.Code != adminapi.CodeUnavailable && answer.Code != adminapi.CodeInternal:
		return false
	}
	if !t.away {
		t.away = true
		message, _ := t.app.connection.explain(err)
		t.app.note("%s; trying again", message)
	}
	return true
}

// latest gets the newest records, oldest first.
func (t *tail) latest(ctx context.Context, lines int) ([]adminapi.Record, error) {
	var last []adminapi.Record
	if lines <= 0 {
		return nil, nil
	}
	err := eachRecordPage(ctx, t.client, t.filter, lines, func(page []adminapi.Record) (bool, error) {
		last = append(last, page...)
		return true, nil
	})
	slices.Reverse(last)
	return last, err
}

// look gets the records that are new since the last look, oldest first. It stops at a page without any: on a busy server
// it would otherwise read a quarter of an hour again and again.
func (t *tail) look(ctx context.Context) ([]adminapi.Record, error) {
	filter := t.filter
	if !t.newest.IsZero() {
		filter.From = t.newest.Add(-lookBack)
	}
	var fresh []adminapi.Record
	pages := 0
	err := eachRecordPage(ctx, t.client, filter, 0, func(page []adminapi.Record) (bool, error) {
		before := len(fresh)
		for _, r := range page {
			if _, known := t.seen[r.ID]; !known {
				fresh = append(fresh, r)
			}
		}
		pages++
		return len(fresh) > before && pages < followedPage, nil
	})
	if err != nil {
		return nil, err
	}
	for _, r := range fresh {
		t.remember(r)
	}
	t.forget()
	slices.Reverse(fresh)
	return fresh, nil
}

func (t *tail) remember(r adminapi.Record) {
	t.seen[r.ID] = r.StartedAt
	if r.StartedAt.After(t.newest) {
		t.newest = r.StartedAt
	}
}

// forget drops what no look asks for any more.
func (t *tail) forget() {
	for id, started := range t.seen {
		if started.Before(t.newest.Add(-lookBack)) {
			delete(t.seen, id)
		}
	}
}

func (t *tail) print(records []adminapi.Record) error {
	for _, r := range records {
		if err := t.list.addRecord(r); err != nil {
			return err
		}
	}
	return t.list.flush()
}
