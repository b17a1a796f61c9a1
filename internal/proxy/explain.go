package proxy

import (
	"strconv"
	"strings"
	"time"

	"gpt-load/internal/fleet"
)

// What a client that sends "X-Gpt-Load-Explain: 1" gets to know about its request: where the time went until the header of the
// answer (Server-Timing, which browsers and their tools show), every attempt with its status, class and time, and the id of
// its record. Neither keys nor addresses are told.
const (
	explainHeader  = "X-Gpt-Load-Explain" // as net/http spells it
	attemptsHeader = "X-Gpt-Load-Attempts"
	idHeader       = "X-Gpt-Load-Request-Id"
)

// explain sets the headers of an answer whose client asked for them.
func (x *exchange) explain() {
	if !x.explains {
		return
	}
	if x.record.ID == (fleet.RecordID{}) {
		x.record.ID = fleet.NewRecordID(x.started)
	}
	var upstream time.Duration
	var trail []byte
	for i, a := range x.record.Attempts {
		upstream += a.Duration
		if i > 0 {
			trail = append(trail, ", "...)
		}
		status := "-" // no answer came
		if a.Status > 0 {
			status = strconv.Itoa(a.Status)
		}
		trail = append(trail, status+" "+string(a.Class)+" "+strconv.FormatInt(a.Duration.Milliseconds(), 10)+"ms"...)
	}
	own := max(time.Since(x.started)-x.queued-x.bodyTook-upstream, 0)
	var timing strings.Builder
	for _, part := range []struct {
		name string
		took time.Duration
	}{{"queue", x.queued}, {"body", x.bodyTook}, {"upstream", upstream}, {"gateway", own}} {
		if timing.Len() > 0 {
			timing.WriteString(", ")
		}
		timing.WriteString(part.name + ";dur=" + strconv.FormatFloat(float64(part.took.Microseconds())/1000, 'f', 3, 64))
	}
	header := x.w.Header()
	header["Server-Timing"] = append(header["Server-Timing"], timing.String()) // beside the provider's
	header[idHeader] = []string{x.record.ID.String()}
	if len(trail) > 0 {
		header[attemptsHeader] = []string{string(trail)}
	}
}
