package provider

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
)

type plainEvent struct{ name, data string }

// readEvents feeds the stream in pieces that end at cuts.
func readEvents(stream []byte, cuts ...int) []plainEvent {
	var r eventReader
	var events []plainEvent
	take := func(held []byte, final bool) {
		for {
			e, ok := r.next(held, final)
			if !ok {
				return
			}
			events = append(events, plainEvent{string(e.name), string(e.data)})
		}
	}
	for _, cut := range cuts {
		take(bytes.Clone(stream[:cut]), false) // a clone, because held may move between calls
	}
	take(stream, false)
	take(stream, true)
	return events
}

func everyByte(stream []byte) []int {
	cuts := make([]int, len(stream))
	for i := range cuts {
		cuts[i] = i
	}
	return cuts
}

func TestEventReader(t *testing.T) {
	for name, test := range map[string]struct {
		stream string
		want   []plainEvent
	}{
		"LF":                      {"data: 1\n\ndata: 2\n\n", []plainEvent{{"", "1"}, {"", "2"}}},
		"CR LF":                   {"event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", []plainEvent{{"a", "1"}, {"", "2"}}},
		"CR":                      {"event: a\rdata: 1\r\rdata: 2\r\r", []plainEvent{{"a", "1"}, {"", "2"}}},
		"mixed":                   {"data: 1\r\n\ndata: 2\n\rdata: 3\r\r\ndata: 4\n\n", []plainEvent{{"", "1"}, {"", "2"}, {"", "3"}, {"", "4"}}},
		"byte order mark":         {"\ufeffdata: 1\n\n", []plainEvent{{"", "1"}}},
		"mark in the middle":      {"data: 1\n\n\ufeffdata: 2\n\n", []plainEvent{{"", "1"}}},
		"comments":                {": ping\n\n:\ndata: 1\n: more\n\n", []plainEvent{{"", "1"}}},
		"several lines":           {"data: a\ndata:b\ndata\ndata:  c\n\n", []plainEvent{{"", "a\nb\n\n c"}}},
		"several lines, CR LF":    {"data: a\r\nid: 7\r\ndata: b\r\n\r\n", []plainEvent{{"", "a\nb"}}},
		"several lines, CR":       {"data: a\rdata: b\r\r", []plainEvent{{"", "a\nb"}}},
		"event without data":      {"event: a\n\ndata: 1\n\n", []plainEvent{{"", "1"}}},
		"last name counts":        {"event: a\nevent: b\ndata: 1\n\n", []plainEvent{{"b", "1"}}},
		"unknown fields":          {"id: 1\nretry: 5\nDATA: x\n data: y\ndata: 1\n\n", []plainEvent{{"", "1"}}},
		"no end of the last line": {"data: 1\n\ndata: 2", []plainEvent{{"", "1"}, {"", "2"}}},
		"no empty line":           {"data: 1\n\ndata: 2\n", []plainEvent{{"", "1"}, {"", "2"}}},
		"nothing":                 {"", nil},
		"empty lines":             {"\n\r\n\r\r", nil},
		"half a mark":             {"\xef\xbb", nil},
	} {
		stream := []byte(test.stream)
		if got := readEvents(stream); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %q gives %q, want %q", name, stream, got, test.want)
		}
		if got := readEvents(stream, everyByte(stream)...); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s, byte by byte: %q gives %q, want %q", name, stream, got, test.want)
		}
	}
}

// FuzzEventReader holds the reader, fed in three pieces, against a plain reading of the whole stream.
func FuzzEventReader(f *testing.F) {
	for _, seed := range []string{
		"data: 1\r\ndata: 2\r\rdata: 3\n\nevent: x\ndata: 4\n\n", "\ufeff:c\ndata\n\n", "data: a\r\n\r\ndata", "event:e\rdata:\r\n\n", "\r\n\r", "\xef\xbbdata: 1\n\n",
	} {
		f.Add([]byte(seed), uint16(3), uint16(9))
	}
	f.Fuzz(func(t *testing.T, stream []byte, a, b uint16) {
		first := int(a) % (len(stream) + 1)
		second := first + int(b)%(len(stream)-first+1)
		want := plainRead(string(stream))
		if got := readEvents(stream, first, second); !reflect.DeepEqual(got, want) {
			t.Errorf("%q cut at %d and %d gives %q, want %q", stream, first, second, got, want)
		}
	})
}

// plainRead does what the HTML standard says, step by step, and ends the last event as the reader does.
func plainRead(stream string) []plainEvent {
	stream = strings.TrimPrefix(stream, "\ufeff")
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	var events []plainEvent
	var e plainEvent
	hasData := false
	for line := range strings.SplitSeq(stream+"\n\n", "\n") {
		if line == "" {
			if hasData {
				e.data = strings.TrimSuffix(e.data, "\n")
				events = append(events, e)
			}
			e, hasData = plainEvent{}, false
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			e.name = value
		case "data":
			e.data, hasData = e.data+value+"\n", true
		}
	}
	return events
}
