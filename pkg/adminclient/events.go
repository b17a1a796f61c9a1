package adminclient

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gpt-load/pkg/adminapi"
)

// maxEvent bounds one line of the event stream, in bytes.
const maxEvent = 4 << 20

// Events follows what happens in the fleet, on some topics or, without any, on all. It begins with adminapi.EventBegin. lastID is
// the id of the last event that was seen, empty at first. The stream ends with an error, once: io.EOF when the server ended it,
// after an adminapi.EventEnd that says why; begin another one then. When the caller stops early, the stream is closed.
// A client with a timeout of its own, see WithHTTPClient, cuts the stream at that.
func (c *Client) Events(ctx context.Context, lastID string, topics ...string) iter.Seq2[adminapi.Event, error] {
	return func(yield func(adminapi.Event, error) bool) {
		query := url.Values{}
		add(query, "topics", strings.Join(topics, ","))
		r := request{method: http.MethodGet, path: at("events"), query: query, header: http.Header{}}
		if lastID != "" {
			r.header.Set("Last-Event-ID", lastID)
		}
		body, err := c.open(ctx, r)
		if err != nil {
			yield(adminapi.Event{}, err)
			return
		}
		defer body.Close()
		lines := bufio.NewScanner(body)
		lines.Buffer(make([]byte, 0, 4<<10), maxEvent)
		var e adminapi.Event
		for lines.Scan() {
			if len(lines.Bytes()) > 0 {
				eventField(&e, lines.Bytes())
				continue
			}
			if e.Name != "" && !yield(e, nil) {
				return
			}
			e = adminapi.Event{}
		}
		err = lines.Err()
		switch {
		case err == nil:
			err = io.EOF
		case errors.Is(err, bufio.ErrTooLong):
			err = fmt.Errorf("adminclient: an event is longer than %d MiB", maxEvent>>20)
		default:
			err = fmt.Errorf("adminclient: reading events: %w", err)
		}
		yield(adminapi.Event{}, err)
	}
}

// eventField takes one line of an event: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream.
func eventField(e *adminapi.Event, line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "id":
		e.ID = string(value)
	case "event":
		e.Name = string(value)
	case "data":
		e.Data = append(e.Data, json.RawMessage(value)...)
	case "retry":
		if ms, err := strconv.ParseInt(string(value), 10, 64); err == nil {
			e.Retry = time.Duration(ms) * time.Millisecond
		}
	}
}
