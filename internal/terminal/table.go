package terminal

import (
	"bufio"
	"io"
	"slices"
	"strings"
)

// Style is how a cell looks where there are colours.
type Style int

// The styles.
const (
	Plain Style = iota
	Good
	Warning
	Bad
	Faint
	Strong
)

// The colours are those of ECMA-48, "Select Graphic Rendition", which every palette makes readable.
var styleCodes = map[Style]string{Good: "32", Warning: "33", Bad: "31", Faint: "2", Strong: "1"}

// Column is one column of a table.
type Column struct {
	Title string
	Right bool // numbers stand below each other
	// Flexible columns give way, the widest first, where the table is wider than the window.
	Flexible bool
	// Least width in cells, for tables whose later rows are not known yet.
	Least int
}

// Cell is one cell of a table.
type Cell struct {
	Text  string
	Style Style
}

// leastFlexible is what stays of a column that gives way.
const leastFlexible = 8

const gap = "  "

// Table aligns rows below a head line. Rows are kept until Flush, which may be called again and again: later rows go on
// below the earlier ones, in columns at least as wide.
type Table struct {
	columns []Column
	out     *bufio.Writer
	width   int
	colours bool

	widths []int
	rows   [][]Cell
	headed bool
}

// NewTable makes a table on the output. A table without a single title has no head line.
func (s *Streams) NewTable(columns ...Column) *Table {
	t := &Table{columns: columns, out: bufio.NewWriter(s.Out), width: s.Width, colours: s.Colours, widths: make([]int, len(columns)), headed: true}
	for i, c := range columns {
		t.widths[i] = max(c.Least, cells(c.Title))
		t.headed = t.headed && c.Title == ""
	}
	return t
}

// Row adds a row, a cell for each column. The texts are cleaned.
func (t *Table) Row(row ...Cell) {
	row = slices.Clone(row)
	for i := range row {
		row[i].Text = Clean(row[i].Text)
		t.widths[i] = max(t.widths[i], cells(row[i].Text))
	}
	t.rows = append(t.rows, row)
}

// Flush writes the rows that wait, and the head line before the first; without any row it writes nothing.
func (t *Table) Flush() error {
	if len(t.rows) == 0 {
		return nil
	}
	widths := t.fit()
	if !t.headed {
		t.headed = true
		head := make([]Cell, len(t.columns))
		for i, c := range t.columns {
			head[i] = Cell{Text: c.Title, Style: Strong}
		}
		t.write(head, widths)
	}
	for _, row := range t.rows {
		t.write(row, widths)
	}
	t.rows = t.rows[:0]
	return t.out.Flush()
}

// fit narrows the flexible columns until the table fits the window, or nothing more gives way.
func (t *Table) fit() []int {
	widths := slices.Clone(t.widths)
	if t.width == 0 {
		return widths
	}
	over := len(gap)*(len(widths)-1) - t.width
	for _, w := range widths {
		over += w
	}
	for ; over > 0; over-- {
		widest := -1
		for i, c := range t.columns {
			if c.Flexible && widths[i] > leastFlexible && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

// write keeps its error in the buffered writer, where Flush finds it.
func (t *Table) write(row []Cell, widths []int) {
	var line strings.Builder
	for i, cell := range row {
		text := cell.Text
		if t.columns[i].Flexible {
			text = cut(text, widths[i])
		}
		pad := strings.Repeat(" ", max(0, widths[i]-cells(text)))
		if i > 0 {
			line.WriteString(gap)
		}
		if code := styleCodes[cell.Style]; t.colours && code != "" && text != "" {
			text = "\x1b[" + code + "m" + text + "\x1b[0m"
		}
		if t.columns[i].Right {
			text = pad + text
		} else {
			text += pad
		}
		line.WriteString(text)
	}
	_, _ = io.WriteString(t.out, strings.TrimRight(line.String(), " ")+"\n")
}
