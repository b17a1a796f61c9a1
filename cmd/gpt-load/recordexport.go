package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func (a *app) exportRecordsCommand() *cobra.Command {
	var flags recordFlags
	var span timeFlags
	path, format, limit := "", "", uint(0)
	c := a.leaf("export", "Write records as CSV or JSON lines, newest first", nil, func(ctx context.Context, _ []string) error {
		if path != "" {
			if err := mustNotExist(path); err != nil {
				return err
			}
		}
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
		filter.Limit = int(limit)
		if path == "" {
			return copyRecords(ctx, client, filter, format, a.Out)
		}
		return toNewFile(path, func(to io.Writer) error { return copyRecords(ctx, client, filter, format, to) })
	})
	c.Long = "Writes all records that match, newest first, as they come from the server. JSON lines hold what `gpt-load records list --output\njson` does; CSV has the attempts as JSON in its last column, and an apostrophe before a text that a spreadsheet would take for\na formula. Bodies are in no export."
	flags.add(c, a)
	span.add(c)
	formats := []string{adminapi.RecordsJSONL, adminapi.RecordsCSV}
	c.Flags().Var(&choice{value: &format, of: formats}, "format", "`format`: jsonl (also when left out) or csv")
	complete(c, "format", formats...)
	c.Flags().UintVar(&limit, "limit", 0, "`number` of records at most; 0 writes all")
	c.Flags().StringVar(&path, "file", "", "write to this `file`, with mode 0600, whole or not at all; it must not exist")
	return c
}

func copyRecords(ctx context.Context, client *adminclient.Client, filter adminapi.RecordFilter, format string, to io.Writer) (err error) {
	records, err := client.ExportRecords(ctx, filter, format)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, records.Close()) }()
	if _, err := io.Copy(to, records); err != nil {
		return fmt.Errorf("downloading the records: %w", err)
	}
	return nil
}
