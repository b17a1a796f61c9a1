package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// Bounds of following records.
const (
	followEvery = 2 * time.Second
	leastEvery  = 100 * time.Millisecond
	mostLines   = 1000 // to begin with
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
		t := &tail{app: a, client: client, filter: filter, list: a.newRecordListing()}
		err = t.follow(ctx, int(lines), every)
		if ctx.Err() != nil {
			return nil // Ctrl-C is how it ends
		}
		return err
	})
	c.Long = "Prints the last records and then those that are new, oldest first. A record is written when its request is over and the\nnode hands its records to the database, within request_log_write_interval_minutes; 0 makes that a second. Each record is\nprinted once, however long its request took."
	flags.add(c, a)
	c.Flags().UintVarP(&lines, "lines", "n", 10, "`number` of records to begin with, 1,000 at most")
	c.Flags().DurationVar(&every, "interval", followEvery, "`while` between two looks")
	return c
}

// tail follows the records of a server.
type tail struct {
	app    *app
	client *adminclient.Client
	filter adminapi.RecordFilter // with the cursor
	list   recordListing
	away   bool
}

func (t *tail) follow(ctx context.Context, lines int, every time.Duration) error {
	last, err := t.begin(ctx, max(lines, 1))
	if err != nil {
		return err
	}
	if err := t.print(last[len(last)-min(lines, len(last)):]); err != nil {
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
		for more := true; more; {
			var fresh []adminapi.Record
			fresh, more, err = t.look(ctx)
			if t.hold(ctx, err) {
				break
			}
			if err == nil {
				err = t.print(fresh)
			}
			if err != nil {
				return err
			}
		}
	}
}

// begin gets the newest records, oldest first, and the cursor after them.
func (t *tail) begin(ctx context.Context, lines int) ([]adminapi.Record, error) {
	t.filter.Cursor, t.filter.Limit = "", min(lines, mostLines)
	begin, err := t.client.TailRecords(ctx, t.filter)
	t.filter.Cursor = begin.Cursor // none after an error: the next look begins once more
	return begin.Records, err
}

// look gets what is new, and tells whether there may be more already.
func (t *tail) look(ctx context.Context) (fresh []adminapi.Record, more bool, err error) {
	next, err := t.client.TailRecords(ctx, t.filter)
	if adminclient.CodeOf(err) == adminapi.CodeGone {
		t.app.note("more was written meanwhile than the server remembers the order of: `gpt-load records list` has what is left out here")
		_, err = t.begin(ctx, 1)
		return nil, false, err
	}
	if err != nil {
		return nil, false, err
	}
	t.filter.Cursor = next.Cursor
	// Records are written in bunches, whose order says nothing; ids are in the order in which requests began.
	slices.SortFunc(next.Records, func(a, b adminapi.Record) int { return strings.Compare(a.ID, b.ID) })
	return next.Records, next.More, nil
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

func (t *tail) print(records []adminapi.Record) error {
	for _, r := range records {
		if err := t.list.addRecord(r); err != nil {
			return err
		}
	}
	return t.list.flush()
}
