package adminhttp

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/pkg/adminapi"
)

func newEventAPI() *API {
	return &API{Options: Options{Clock: time.Now}, events: newEventLog(), streams: newEventStreams(), keyEvents: newKeyEvents()}
}

func TestStreamBeatsAndEndsByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newEventAPI()
		s, err := a.streams.open(nil, "")
		if err != nil {
			t.Fatal(err)
		}
		var written strings.Builder
		begun := time.Now()
		a.follow(t.Context(), s, "", func(p []byte) error {
			written.Write(p)
			return nil
		})
		if took := time.Since(begun); took != streamAge {
			t.Errorf("a stream took %v", took)
		}
		// The last beat and the end fall together, and either may come first.
		if beats := strings.Count(written.String(), ":\n\n"); beats < 239 || beats > 240 {
			t.Errorf("%d beats in an hour", beats)
		}
		if !strings.HasSuffix(written.String(), "event: end\nretry: 1000\ndata: {\"reason\":\"age\"}\n\n") {
			t.Errorf("it ends with %q", written.String()[max(0, written.Len()-100):])
		}
	})
}

func TestSlowStreamIsEndedAndHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newEventAPI()
		s, err := a.streams.open([]string{adminapi.TopicRecords}, "")
		if err != nil {
			t.Fatal(err)
		}
		blocked := make(chan struct{})
		var written strings.Builder
		done := make(chan struct{})
		go func() {
			defer close(done)
			a.follow(t.Context(), s, "", func(p []byte) error {
				<-blocked
				written.Write(p)
				return nil
			})
		}()
		synctest.Wait()
		for i := range 10 * keptEvents {
			a.tell(adminapi.TopicRecords, adminapi.RecordsEvent{Count: int64(i)})
		}
		if len(a.events.kept) != keptEvents {
			t.Errorf("%d events are kept", len(a.events.kept))
		}
		close(blocked)
		<-done
		if !strings.Contains(written.String(), `{"reason":"slow"}`) {
			t.Errorf("it ends with %q", written.String())
		}
	})
}

func TestOnlyTheNewestStateIsWritten(t *testing.T) {
	l := newEventLog()
	all := map[string]bool{adminapi.TopicRevision: true, adminapi.TopicRecords: true}
	for revision := range int64(5) {
		if err := l.add(adminapi.TopicRevision, adminapi.RevisionEvent{Revision: revision}); err != nil {
			t.Fatal(err)
		}
	}
	if events, upTo, _, ok := l.after(0, all); !ok || upTo != 5 || len(events) != 1 || string(events[0].data) != `{"revision":4}` {
		t.Errorf("got %+v up to %d", events, upTo)
	}
	id := l.id(3)
	if number, ok := l.number(id); !ok || number != 3 {
		t.Errorf("%s is %d", id, number)
	}
	l.restart()
	if _, ok := l.number(id); ok {
		t.Error("an id outlives what it is good for")
	}
}

func TestStreamsAndKeyEventsAreBounded(t *testing.T) {
	a := newEventAPI()
	var first *eventStream
	for range mostStreams {
		s, err := a.streams.open(nil, "")
		if err != nil {
			t.Fatal(err)
		}
		first = s
	}
	if _, err := a.streams.open(nil, ""); err == nil {
		t.Error("there is no bound of streams")
	}
	a.streams.leave(first)
	if _, err := a.streams.open(nil, ""); err != nil {
		t.Error(err)
	}
	for i := range 2 * keysTold {
		a.KeysChanged(1, fleet.KeyChange{KeyID: fleet.KeyID(i + 1), GroupID: 1, State: fleet.KeyInvalid, At: time.Now()})
	}
	event := a.keyEvents.take(time.Now())
	if len(event.Changes) != keysTold || event.Omitted != keysTold || len(event.Groups) != 1 {
		t.Errorf("%d changes, %d omitted, groups %v", len(event.Changes), event.Omitted, event.Groups)
	}
}
