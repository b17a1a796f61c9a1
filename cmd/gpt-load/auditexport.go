package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func (a *app) exportAuditCommand() *cobra.Command {
	var flags auditFlags
	path, format, limit := "", "", uint(0)
	c := a.leaf("export", "Write the audit log as CSV or JSON lines, newest first", nil, func(ctx context.Context, _ []string) error {
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
		filter.Limit = int(limit)
		if path == "" {
			return copyAudit(ctx, client, filter, format, a.Out)
		}
		return toNewFile(path, func(to io.Writer) error { return copyAudit(ctx, client, filter, format, to) })
	})
	c.Long = "Writes all events that match, newest first, as they come from the server. JSON lines hold what `gpt-load audit list --output\njson` does; CSV has what changed as JSON in its last columns, and an apostrophe before a text that a spreadsheet would take for\na formula. Secrets are masked."
	flags.add(c, a)
	formats := []string{adminapi.RecordsJSONL, adminapi.RecordsCSV}
	c.Flags().Var(&choice{value: &format, of: formats}, "format", "`format`: jsonl (also when left out) or csv")
	complete(c, "format", formats...)
	c.Flags().UintVar(&limit, "limit", 0, "`number` of events at most; 0 writes all")
	c.Flags().StringVar(&path, "file", "", "write to this `file`, with mode 0600, whole or not at all; it must not exist")
	return c
}

func copyAudit(ctx context.Context, client *adminclient.Client, filter adminapi.AuditFilter, format string, to io.Writer) (err error) {
	events, err := client.ExportAudit(ctx, filter, format)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, events.Close()) }()
	if _, err := io.Copy(to, events); err != nil {
		return fmt.Errorf("downloading the audit log: %w", err)
	}
	return nil
}
