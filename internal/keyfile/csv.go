package keyfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// columnNames are the columns of CSV, and the members of objects, that say something of a key.
var columnNames = []string{"key", "weight", "notes", "tags", "state", "reason", "evidence", "failures", "cooldowns"}

// shownColumns are what GPT-Load shows of a key beside those. They are passed over.
var shownColumns = []string{"id", "group_id", "masked", "created_at", "updated_at"}

// delimiters of CSV: spreadsheets write semicolons where the comma parts decimals.
const delimiters = ",;\t"

// namesColumns reports whether a line is the first one of a CSV file: one of its cells is "key".
func namesColumns(line string) bool {
	_, cells := header(line)
	return slices.Contains(cells, "key")
}

// header parts a first line into the names of columns, by the delimiter that gives most of them.
func header(line string) (comma byte, names []string) {
	comma = ','
	for _, c := range []byte(delimiters) {
		if strings.Count(line, string(c)) > strings.Count(line, string(comma)) {
			comma = c
		}
	}
	cells, whole := cellsOf([]byte(line), comma)
	if !whole {
		return comma, nil
	}
	for _, cell := range cells {
		names = append(names, strings.ToLower(strings.TrimSpace(string(cell))))
	}
	return comma, names
}

// readLine reads a line with its end into the buffer, behind what is there. long says that it was cut at maxEntry. At the end of
// the file it returns io.EOF.
func (r *Reader) readLine() (long bool, err error) {
	for some := false; ; {
		part, err := r.in.ReadSlice('\n')
		some = some || len(part) > 0
		room := maxEntry - len(r.buffer)
		long = long || len(part) > room
		r.buffer = append(r.buffer, part[:min(len(part), room)]...)
		switch {
		case err == nil:
			r.line++
			return long, nil
		case errors.Is(err, bufio.ErrBufferFull):
			long = true // the buffer of the reader has maxEntry bytes
		case errors.Is(err, io.EOF) && some:
			return long, nil
		default:
			return long, err
		}
	}
}

// nextLine reads one key a line.
func (r *Reader) nextLine() (Entry, error) {
	for {
		e := Entry{Line: r.line}
		r.buffer = r.buffer[:0]
		long, err := r.readLine()
		if err != nil {
			return Entry{}, err
		}
		value := bytes.TrimSpace(r.buffer)
		if len(value) == 0 && !long {
			continue
		}
		e.Key.Value = secret.New(string(value[:min(len(value), MaxValueBytes+1)]))
		return e, nil
	}
}

// nextRow reads a row of CSV.
func (r *Reader) nextRow() (Entry, error) {
	if !r.begun {
		if err := r.readHeader(); err != nil {
			return Entry{}, err
		}
	}
	for {
		e := Entry{Line: r.line}
		cells, err := r.readCells()
		if err != nil {
			return Entry{}, err
		}
		if cells == nil {
			continue
		}
		e.Key, e.Fault = r.keyOfCells(cells)
		return e, nil
	}
}

func (r *Reader) readHeader() error {
	for len(r.columns) == 0 {
		r.buffer = r.buffer[:0]
		if _, err := r.readLine(); err != nil {
			if errors.Is(err, io.EOF) {
				return invalid("the CSV file is empty; its first line names the columns, one of them key")
			}
			return err
		}
		if text := strings.TrimSpace(string(r.buffer)); text != "" {
			r.comma, r.columns = header(strings.TrimRight(string(r.buffer), "\r\n"))
			if len(r.columns) == 0 {
				break
			}
		}
	}
	known := slices.Concat(columnNames, shownColumns)
	switch {
	case !slices.Contains(r.columns, "key"):
		return invalid("the first line of the CSV file names no column key; it must name the columns, which are " + strings.Join(columnNames, ", "))
	case slices.ContainsFunc(r.columns, func(name string) bool { return !slices.Contains(known, name) }):
		unknown := slices.IndexFunc(r.columns, func(name string) bool { return !slices.Contains(known, name) })
		return invalid(fmt.Sprintf("column %d of the CSV file has a name that means nothing here; remove it or call it one of %s", unknown+1, strings.Join(columnNames, ", ")))
	}
	for i, name := range r.columns {
		if slices.Contains(r.columns[:i], name) {
			return invalid("two columns of the CSV file are called " + name + "; keep one")
		}
	}
	r.begun = true
	return nil
}

// readCells reads a row, which goes on over the end of a line within quotation marks; nil for an empty line.
func (r *Reader) readCells() ([][]byte, error) {
	begin := r.line
	r.buffer = r.buffer[:0]
	for {
		before := len(r.buffer)
		long, err := r.readLine()
		if errors.Is(err, io.EOF) && before > 0 || long {
			return nil, invalid(fmt.Sprintf("line %d: a quotation mark of the CSV file is not closed within %d KiB", begin, maxEntry>>10))
		}
		if err != nil {
			return nil, err
		}
		row := bytes.TrimSuffix(bytes.TrimSuffix(r.buffer, []byte("\n")), []byte("\r"))
		if len(bytes.TrimSpace(row)) == 0 {
			return nil, nil
		}
		if cells, whole := cellsOf(row, r.comma); whole {
			return cells, nil
		}
	}
}

// cellsOf parts a row as RFC 4180 does; whole is false when its last quotation mark is open.
func cellsOf(row []byte, comma byte) (cells [][]byte, whole bool) {
	for {
		if len(row) > 0 && row[0] == '"' {
			var cell []byte
			row = row[1:]
			for {
				end := bytes.IndexByte(row, '"')
				if end < 0 {
					return nil, false
				}
				cell = append(cell, row[:end]...)
				row = row[end+1:]
				if len(row) == 0 || row[0] != '"' {
					break
				}
				cell = append(cell, '"')
				row = row[1:]
			}
			// What stands between the closing mark and the delimiter belongs to the cell, as spreadsheets take it.
			end := bytes.IndexByte(row, comma)
			if end < 0 {
				return append(cells, append(cell, row...)), true
			}
			cells = append(cells, append(cell, row[:end]...))
			row = row[end+1:]
			continue
		}
		end := bytes.IndexByte(row, comma)
		if end < 0 {
			return append(cells, row), true
		}
		cells = append(cells, row[:end])
		row = row[end+1:]
	}
}

func (r *Reader) keyOfCells(cells [][]byte) (k Key, fault string) {
	if len(cells) != len(r.columns) {
		return Key{}, fmt.Sprintf("has %d cells where the first line has %d; put cells that hold a delimiter between quotation marks", len(cells), len(r.columns))
	}
	for i, name := range r.columns {
		cell := string(cells[i])
		word := strings.TrimSpace(cell)
		switch name {
		case "key":
			k.Value = secret.New(word)
		case "notes":
			k.Notes = cell
		case "evidence":
			k.Evidence = cell
		case "tags":
			k.Tags = append(k.Tags, strings.FieldsFunc(cell, func(c rune) bool { return strings.ContainsRune(" ,;|\t\r\n", c) })...)
		case "state":
			k.State = fleet.KeyState(strings.ToLower(word))
		case "reason":
			k.Reason = word
		case "weight":
			if n, err := strconv.Atoi(word); word != "" {
				if k.Weight = n; err != nil || n < 1 {
					return Key{}, fmt.Sprintf("weight must be a whole number from 1 to %d", MaxWeight)
				}
			}
		case "failures":
			if n, err := strconv.Atoi(word); word != "" {
				if k.Failures = n; err != nil {
					return Key{}, "failures must be a whole number, 0 or more"
				}
			}
		case "cooldowns":
			var rests []cooldown
			if word != "" && json.Unmarshal([]byte(word), &rests) != nil {
				return Key{}, `cooldowns must be a JSON array such as [{"model":"gpt-4o","until":"2026-01-02T03:04:05Z","reason":"rate_limited"}]`
			}
			k.Cooldowns = restsOf(rests)
		}
	}
	return k, ""
}
