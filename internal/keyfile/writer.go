package keyfile

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Writer writes keys, one after the other. It buffers: Close writes what is left.
type Writer struct {
	out    *bufio.Writer
	format Format
	rows   *csv.Writer
	count  int
}

// NewWriter makes a writer of Text, CSV, JSON or JSONLines.
func NewWriter(to io.Writer, format Format) (*Writer, error) { return ContinueWriter(to, format, 0) }

// ContinueWriter makes a writer of what follows so many keys of a file, which another one wrote and flushed.
func ContinueWriter(to io.Writer, format Format, keys int) (*Writer, error) {
	w := &Writer{out: bufio.NewWriter(to), format: format, count: keys}
	switch format {
	case Text, JSONLines:
	case CSV:
		w.rows = csv.NewWriter(w.out)
		if keys == 0 {
			return w, w.rows.Write(columnNames)
		}
	case JSON:
		if keys == 0 {
			_, err := w.out.WriteString("[")
			return w, err
		}
	default:
		return nil, invalid(fmt.Sprintf("the format of an export must be %s, %s, %s or %s", Text, CSV, JSON, JSONLines))
	}
	return w, nil
}

// ContentType is the media type of a format.
func ContentType(f Format) string {
	switch f {
	case CSV:
		return "text/csv; charset=utf-8"
	case JSON:
		return "application/json"
	case JSONLines:
		return "application/jsonl"
	}
	return "text/plain; charset=utf-8"
}

// Write adds a key.
func (w *Writer) Write(k *Key) error {
	w.count++
	switch w.format {
	case CSV:
		return w.writeRow(k)
	case Text:
		_, err := w.out.WriteString(quoted(k.Value.Reveal()) + "\n")
		return err
	}
	line, err := marshal(objectOf(k))
	if err != nil {
		return err
	}
	if w.format == JSON {
		separator := ",\n"
		if w.count == 1 {
			separator = "\n"
		}
		_, err = w.out.WriteString(separator)
	}
	if err == nil {
		_, err = w.out.Write(line)
	}
	if err == nil && w.format == JSONLines {
		err = w.out.WriteByte('\n')
	}
	return err
}

func (w *Writer) writeRow(k *Key) error {
	cooldowns := ""
	if len(k.Cooldowns) > 0 {
		text, err := marshal(cooldownsOf(k.Cooldowns))
		if err != nil {
			return err
		}
		cooldowns = string(text)
	}
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	return w.rows.Write([]string{
		k.Value.Reveal(), number(k.Weight), k.Notes, strings.Join(k.Tags, " "), string(k.State), k.Reason, k.Evidence, number(k.Failures), cooldowns,
	})
}

// Close ends the file. It does not close what is written to.
func (w *Writer) Close() error {
	if w.format == JSON {
		if _, err := w.out.WriteString("\n]\n"); err != nil {
			return err
		}
	}
	return w.Flush()
}

// Flush writes what is buffered.
func (w *Writer) Flush() error {
	if w.rows != nil {
		w.rows.Flush()
		if err := w.rows.Error(); err != nil {
			return err
		}
	}
	return w.out.Flush()
}

// marshal leaves <, > and & as they are: nobody puts this into HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// quoted is a value as a text has it: as it is, or as a JSON string where a reader would take it for something else.
func quoted(value string) string {
	plain := !strings.ContainsFunc(value, func(r rune) bool { return r < 0x80 && isSeparator(byte(r)) }) && !strings.ContainsAny(value[:min(1, len(value))], `"{#[`)
	if plain && !strings.EqualFold(value, "key") && !strings.HasPrefix(value, "\ufeff") {
		return value
	}
	text, err := marshal(value)
	if err != nil { // a string always marshals
		return value
	}
	if strings.EqualFold(value, "key") { // the first key of a text must not look like the first line of CSV
		return fmt.Sprintf(`"\u%04x%s"`, value[0], value[1:])
	}
	return string(text)
}
