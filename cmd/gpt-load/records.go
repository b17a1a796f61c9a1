package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gpt-load/internal/terminal"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func (a *app) recordsCommand() *cobra.Command {
	return a.withConnection(a.branch("records", "List, follow and export the records of proxied requests", "",
		a.listRecordsCommand(), a.tailRecordsCommand(), a.exportRecordsCommand(), a.getRecordCommand()))
}

// recordFlags choose records.
type recordFlags struct {
	filter                      adminapi.RecordFilter
	group, parent, status       string
	onlyStream, onlyRetried     bool
	withoutStream, firstAttempt bool
}

func (f *recordFlags) add(c *cobra.Command, a *app) {
	flags := c.Flags()
	flags.StringVar(&f.group, "group", "", "the `group` that served or the aggregate that was asked")
	flags.StringVar(&f.parent, "parent", "", "the `aggregate` that was asked")
	flags.StringVar(&f.filter.Model, "model", "", "`model` asked or sent")
	flags.StringVar(&f.status, "status", "", "`status` that the client got: 429, 4xx or 400-499")
	flags.StringVar(&f.filter.Class, "class", "", "who ended the request: a `word` such as ok, client, limited, key_dead or upstream")
	flags.BoolVar(&f.onlyStream, "stream", false, "only streams")
	flags.BoolVar(&f.withoutStream, "no-stream", false, "no streams")
	flags.BoolVar(&f.onlyRetried, "retried", false, "only requests that took more than one attempt")
	flags.BoolVar(&f.firstAttempt, "no-retried", false, "only requests that took one attempt")
	flags.StringVar(&f.filter.KeyID, "key-id", "", "`id` of a key that any attempt used")
	flags.StringVar(&f.filter.KeyTail, "key-tail", "", "last `four` characters of a key that any attempt used")
	flags.StringVar(&f.filter.ProxyKey, "proxy-key", "", "`fingerprint` of the proxy key")
	flags.StringVar(&f.filter.ClientIP, "client-ip", "", "`address` of the client")
	flags.StringVar(&f.filter.Text, "text", "", "`part` of the error, the path or the request id")
	c.MarkFlagsMutuallyExclusive("stream", "no-stream")
	c.MarkFlagsMutuallyExclusive("retried", "no-retried")
	completeWith(c, "group", a.groupNames)
	completeWith(c, "parent", a.groupNames)
	complete(c, "status", "2xx", "4xx", "5xx", "401", "429", "499")
	complete(c, "class", "ok", "client", "canceled", "key_dead", "key_exhausted", "key_suspect", "limited", "model_denied", "upstream", "gateway")
}

// build finishes the filter.
func (f *recordFlags) build(ctx context.Context, client *adminclient.Client) (adminapi.RecordFilter, error) {
	filter := f.filter
	var err error
	if filter.StatusFrom, filter.StatusTo, err = parseStatus(f.status); err != nil {
		return filter, err
	}
	if f.onlyStream || f.withoutStream {
		filter.Stream = &f.onlyStream
	}
	if f.onlyRetried || f.firstAttempt {
		filter.Retried = &f.onlyRetried
	}
	return filter, groupIDs(ctx, client, groupWord{f.group, &filter.GroupID}, groupWord{f.parent, &filter.ParentID})
}

// parseStatus reads 429, 4xx or 400-499.
func parseStatus(word string) (from, to int, err error) {
	if word == "" {
		return 0, 0, nil
	}
	low, high, isRange := strings.Cut(word, "-")
	switch {
	case isRange:
	case len(word) == 3 && strings.EqualFold(word[1:], "xx"):
		low, high = word[:1]+"00", word[:1]+"99"
	default:
		high = low
	}
	from, errFrom := strconv.Atoi(low)
	to, errTo := strconv.Atoi(high)
	if err := errors.Join(errFrom, errTo); err != nil || from > to || from < 100 || to > 999 {
		return 0, 0, usage(fmt.Errorf("--status %q must be like 429, 4xx or 400-499", word), "")
	}
	return from, to, nil
}

// timeFlags are a span of time: --since back from now, or --from and --to.
type timeFlags struct {
	since    time.Duration
	from, to string
}

func (f *timeFlags) add(c *cobra.Command) {
	c.Flags().DurationVar(&f.since, "since", 0, "only the last `while`, such as 15m or 24h")
	c.Flags().StringVar(&f.from, "from", "", "from this `time` on: 2006-01-02, 2006-01-02 15:04, or RFC 3339")
	c.Flags().StringVar(&f.to, "to", "", "before this `time`")
	c.MarkFlagsMutuallyExclusive("since", "from")
}

func (f *timeFlags) span(now time.Time) (from, to time.Time, err error) {
	if from, err = parseTime("--from", f.from); err != nil {
		return from, to, err
	}
	if f.since < 0 {
		return from, to, usage(errors.New("--since must not be negative"), "")
	}
	if f.since > 0 {
		from = now.Add(-f.since)
	}
	to, err = parseTime("--to", f.to)
	return from, to, err
}

// parseTime reads a time of day in the zone of whoever typed it.
func parseTime(flag, word string) (time.Time, error) {
	if word == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateTime, "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, word, time.Local); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage(fmt.Errorf("%s %q must be like 2006-01-02, \"2006-01-02 15:04\" or 2006-01-02T15:04:05Z", flag, word), "")
}

func (a *app) listRecordsCommand() *cobra.Command {
	var flags recordFlags
	var span timeFlags
	limit := uint(0)
	c := a.leaf("list", "List records, newest first", nil, func(ctx context.Context, _ []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		filter, err := flags.build(ctx, client)
		if err != nil {
			return err
		}
		if filter.From, filter.To, err = span.span(time.Now()); err != nil {
			return err
		}
		list := a.newRecordListing()
		err = eachRecordPage(ctx, client, filter, int(limit), func(records []adminapi.Record) (bool, error) {
			for _, r := range records {
				if err := list.addRecord(r); err != nil {
					return false, err
				}
			}
			return true, list.flush()
		})
		if err != nil {
			return err
		}
		return list.end("records")
	})
	c.Long = "Lists the records of proxied requests, newest first. They reach the database within request_log_write_interval_minutes."
	flags.add(c, a)
	span.add(c)
	c.Flags().UintVar(&limit, "limit", 50, "`number` of records at most; 0 lists all")
	return c
}

// eachRecordPage hands over pages, newest first, at most limit records unless that is 0, until more is false.
func eachRecordPage(ctx context.Context, client *adminclient.Client, filter adminapi.RecordFilter, limit int, take func([]adminapi.Record) (more bool, err error)) error {
	filter.Limit = pageSize
	for left := limit; ; {
		if limit > 0 {
			filter.Limit = min(left, pageSize)
		}
		page, err := client.Records(ctx, filter)
		if err != nil {
			return err
		}
		more, err := take(page.Records)
		if err != nil || !more {
			return err
		}
		left -= len(page.Records)
		if filter.Cursor = page.NextCursor; filter.Cursor == "" || limit > 0 && left <= 0 {
			return nil
		}
	}
}

// recordListing is a list of records. Its columns have room for what comes later, since tail writes few rows at a time.
type recordListing struct{ *listing }

func (a *app) newRecordListing() recordListing {
	return recordListing{a.newListing(
		terminal.Column{Title: "STARTED", Least: len(time.DateTime)}, terminal.Column{Title: "GROUP", Least: 10}, terminal.Column{Title: "MODEL", Least: 16, Flexible: true},
		terminal.Column{Title: "STATUS", Right: true}, terminal.Column{Title: "CLASS", Least: len("key_exhausted")},
		terminal.Column{Title: "TOOK", Right: true, Least: len("12.34 s")}, terminal.Column{Title: "FIRST", Right: true, Least: len("12.34 s")},
		terminal.Column{Title: "TRIES", Right: true}, terminal.Column{Title: "KEY", Least: 4}, terminal.Column{Title: "CLIENT", Least: len("127.0.0.1")},
		terminal.Column{Title: "ERROR", Flexible: true},
	)}
}

func (l recordListing) addRecord(r adminapi.Record) error {
	group, model, tail := r.GroupName, r.ModelAsked, ""
	if r.ParentName != "" {
		group = r.ParentName + " > " + r.GroupName
	}
	if r.ModelSent != "" && r.ModelSent != r.ModelAsked {
		model += " > " + r.ModelSent
	}
	if n := len(r.Attempts); n > 0 {
		tail = r.Attempts[n-1].KeyTail
	}
	first := ""
	if r.FirstByteMS > 0 {
		first = milliseconds(r.FirstByteMS)
	}
	style := classStyle(r.Class)
	return l.add(r, text(localTime(r.StartedAt)), text(group), text(model), terminal.Cell{Text: statusInWords(r.Status), Style: style},
		terminal.Cell{Text: r.Class, Style: style}, text(milliseconds(r.DurationMS)), text(first), count(len(r.Attempts)), text(tail), text(r.ClientIP), text(r.Error))
}

func classStyle(class string) terminal.Style {
	switch class {
	case "ok":
		return terminal.Good
	case "client", "canceled":
		return terminal.Warning
	}
	return terminal.Bad
}

func (a *app) getRecordCommand() *cobra.Command {
	return a.leaf("get", "Show one record with all its attempts", []string{"ID"}, func(ctx context.Context, args []string) error {
		client, err := a.client(usualWait)
		if err != nil {
			return err
		}
		r, err := client.Record(ctx, args[0])
		if err != nil {
			return err
		}
		if a.wantsJSON() {
			return a.printJSON(r)
		}
		return a.showRecord(r)
	})
}

func (a *app) showRecord(r adminapi.Record) error {
	s := a.newSheet()
	s.field("id", r.ID)
	s.field("started", localTime(r.StartedAt))
	s.field("group", r.GroupName)
	s.field("asked as", r.ParentName)
	s.field("request", r.Method+" "+r.Path)
	s.field("model", r.ModelAsked)
	if r.ModelSent != r.ModelAsked {
		s.field("sent as", r.ModelSent)
	}
	s.field("stream", strconv.FormatBool(r.Stream))
	s.field("status", strconv.Itoa(r.Status)+" "+r.Class)
	s.field("error", r.Error)
	s.field("took", milliseconds(r.DurationMS))
	if r.FirstByteMS > 0 {
		s.field("first byte", milliseconds(r.FirstByteMS))
	}
	s.field("bytes", terminal.Bytes(r.RequestBytes)+" in, "+terminal.Bytes(r.ResponseBytes)+" out")
	s.field("client", joined(r.ClientIP, r.UserAgent))
	s.field("proxy key", r.ProxyKeyFingerprint)
	s.field("attempts", mapped(r.Attempts, func(t adminapi.Attempt) string {
		return joined(fmt.Sprintf("key %s (%s) at %s: %s %s in %s", t.KeyID, t.KeyTail, t.Upstream, statusInWords(t.Status), t.Class, milliseconds(t.DurationMS)), t.Reason)
	})...)
	if r.Capture != nil {
		s.field("bodies", "kept; --output json shows them")
	}
	return s.list.flush()
}
