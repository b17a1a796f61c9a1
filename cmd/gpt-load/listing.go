package main

import (
	"bufio"
	"encoding/json"
	"fmt"

	"gpt-load/internal/terminal"
)

// The forms of the output.
const (
	outputTable = "table"
	outputJSON  = "json"
)

// rowsAtOnce is how many rows of a table are kept before they are written: a page of the API.
const rowsAtOnce = 1000

func (a *app) wantsJSON() bool { return a.output == outputJSON }

// printJSON writes one line of JSON.
func (a *app) printJSON(v any) error {
	encoder := json.NewEncoder(a.Out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}

// note tells something beside the output.
func (a *app) note(format string, args ...any) {
	fmt.Fprintln(a.Err, terminal.Clean(fmt.Sprintf(format, args...)))
}

// say writes a line for people, where people read the output.
func (a *app) say(format string, args ...any) error {
	if _, err := fmt.Fprintln(a.Out, terminal.Clean(fmt.Sprintf(format, args...))); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}

// listing writes a list as a table or as lines of JSON.
type listing struct {
	json    *json.Encoder // nil for a table
	out     *bufio.Writer // of json
	table   *terminal.Table
	app     *app
	waiting int
	any     bool
}

func (a *app) newListing(columns ...terminal.Column) *listing {
	if !a.wantsJSON() {
		return &listing{app: a, table: a.NewTable(columns...)}
	}
	l := &listing{app: a, out: bufio.NewWriter(a.Out)}
	l.json = json.NewEncoder(l.out)
	l.json.SetEscapeHTML(false)
	return l
}

// add writes an item: item as JSON, or the cells as a row. Rows of a table wait for the next flush.
func (l *listing) add(item any, row ...terminal.Cell) error {
	l.any = true
	if l.json != nil {
		if err := l.json.Encode(item); err != nil {
			return fmt.Errorf("writing the output: %w", err)
		}
	} else {
		l.table.Row(row...)
	}
	if l.waiting++; l.waiting < rowsAtOnce {
		return nil
	}
	return l.flush()
}

// flush writes what waits.
func (l *listing) flush() error {
	l.waiting = 0
	var err error
	if l.json != nil {
		err = l.out.Flush()
	} else {
		err = l.table.Flush()
	}
	if err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}

// end writes what waits, and tells people when the list is empty.
func (l *listing) end(items string) error {
	if err := l.flush(); err != nil {
		return err
	}
	if !l.any && l.json == nil {
		l.app.note("no %s", items)
	}
	return nil
}

// text is a cell without a style.
func text(s string) terminal.Cell { return terminal.Cell{Text: s} }

// count is a cell with a whole number.
func count[T int | int64](n T) terminal.Cell { return terminal.Cell{Text: terminal.Count(int64(n))} }

// styled is count, with a style unless the number is 0.
func styled[T int | int64](n T, style terminal.Style) terminal.Cell {
	c := count(n)
	if n != 0 {
		c.Style = style
	}
	return c
}
