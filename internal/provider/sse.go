package provider

import "bytes"

// eventReader takes server-sent events out of the beginning of a stream, by the rules of the HTML standard ("Parsing
// an event stream"): lines end with LF, CR LF or CR; a byte order mark may stand first; a line that begins with a
// colon is a comment; the data lines of an event are joined with LF; an event without data is none. It keeps offsets
// only, so whoever holds the bytes may move them between calls.
type eventReader struct {
	begun   bool // the byte order mark is behind
	afterCR bool // an LF at line belongs to the end of the line before
	line    int  // where the line begins that has not been read
	sought  int  // up to here, that line has no end
	event   pendingEvent
}

// pendingEvent is an event whose empty line has not come yet.
type pendingEvent struct {
	start     int // of its first line
	name      [2]int
	data      [2]int // of the last data line
	dataLines int
}

// sseEvent shares the memory of the stream, except for data of several lines.
type sseEvent struct {
	name []byte
	data []byte
}

// next gives the next event; ok is false when none is complete in held, which is the stream from its beginning. With final
// set nothing more will come: a last line without its end, and a last event without its empty line, count as well,
// because official SDKs take them.
func (r *eventReader) next(held []byte, final bool) (e sseEvent, ok bool) {
	if !r.begun && !r.begin(held, final) {
		return sseEvent{}, false
	}
	for {
		if r.afterCR && r.line < len(held) {
			r.afterCR = false
			if held[r.line] == '\n' {
				if r.event.start == r.line {
					r.event.start++
				}
				r.line++
			}
		}
		end, found := lineEnd(held, max(r.line, r.sought))
		if !found {
			r.sought = end
			if !final {
				return sseEvent{}, false
			}
			if r.line == end {
				return r.dispatch(held, end)
			}
		}
		start := r.line
		r.line, r.afterCR = end, false
		if found {
			r.line, r.afterCR = end+1, held[end] == '\r'
		}
		if start < end {
			r.field(held, start, end)
			continue
		}
		if e, ok = r.dispatch(held, start); ok {
			return e, true
		}
	}
}

// begin passes over a byte order mark. It returns false while there may be one that has not arrived entirely.
func (r *eventReader) begin(held []byte, final bool) bool {
	if bytes.HasPrefix(held, byteOrderMark) {
		r.line = len(byteOrderMark)
	} else if !final && bytes.HasPrefix(byteOrderMark, held) {
		return false
	}
	r.begun = true
	r.event.start = r.line
	return true
}

// lineEnd finds the LF or CR that ends the line, or gives the end of held.
func lineEnd(held []byte, from int) (end int, found bool) {
	rest := held[from:]
	if n := bytes.IndexByte(rest, '\n'); n >= 0 {
		rest, found = rest[:n], true
	}
	if n := bytes.IndexByte(rest, '\r'); n >= 0 {
		rest, found = rest[:n], true
	}
	return from + len(rest), found
}

// field takes one line that is not empty.
func (r *eventReader) field(held []byte, start, end int) {
	name, value := splitField(held, start, end)
	switch name {
	case fieldData:
		r.event.data = value
		r.event.dataLines++
	case fieldEvent:
		r.event.name = value
	}
}

type fieldName uint8

const (
	fieldOther fieldName = iota
	fieldData
	fieldEvent
)

// splitField reads `name: value`; one space behind the colon is no part of the value.
func splitField(held []byte, start, end int) (name fieldName, value [2]int) {
	line := held[start:end]
	colon := bytes.IndexByte(line, ':')
	if colon < 0 {
		colon = len(line)
	}
	switch string(line[:colon]) {
	case "data":
		name = fieldData
	case "event":
		name = fieldEvent
	default:
		return fieldOther, value
	}
	at := min(colon+1, len(line))
	if at < len(line) && line[at] == ' ' {
		at++
	}
	return name, [2]int{start + at, end}
}

// dispatch ends the event before end; ok is false when it has no data.
func (r *eventReader) dispatch(held []byte, end int) (e sseEvent, ok bool) {
	p := r.event
	r.event = pendingEvent{start: r.line}
	if p.dataLines == 0 {
		return sseEvent{}, false
	}
	e = sseEvent{name: held[p.name[0]:p.name[1]], data: held[p.data[0]:p.data[1]]}
	if p.dataLines > 1 {
		e.data = joinData(held[:end], p.start)
	}
	return e, true
}

// joinData reads the lines of an event once more; providers hardly ever send data of several lines.
func joinData(held []byte, line int) []byte {
	var joined []byte
	for first := true; line < len(held); {
		end, _ := lineEnd(held, line)
		if name, value := splitField(held, line, end); name == fieldData {
			if !first {
				joined = append(joined, '\n')
			}
			first = false
			joined = append(joined, held[value[0]:value[1]]...)
		}
		line = end + 1 // the LF of a CR LF gives an empty line, which holds no data
	}
	return joined
}
