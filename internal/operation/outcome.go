package operation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// The outcomes of an entry of an import.
const (
	Added     = "added"
	Duplicate = "duplicate" // already in the group, or repeated in the file
	Rejected  = "rejected"
)

// outcomeRun is what became of some entries one after the other: entries Entry to Entry+Count-1, on the lines Line, Line+Step and
// so on. A million keys that were added, one a line, take two thousand runs instead of a million rows.
type outcomeRun struct {
	Entry   int    `json:"e"`
	Line    int    `json:"l"`
	Step    int    `json:"s,omitempty"`
	Count   int    `json:"n"`
	Outcome string `json:"o"`
	Reason  string `json:"r,omitempty"`
}

// outcomes gathers runs.
type outcomes struct{ runs []outcomeRun }

func (o *outcomes) add(entry, line int, outcome, reason string) {
	if n := len(o.runs); n > 0 {
		last := &o.runs[n-1]
		if last.Outcome == outcome && last.Reason == reason && last.Entry+last.Count == entry &&
			(last.Count == 1 || line == last.Line+last.Step*last.Count) {
			last.Step = line - (last.Line + last.Step*(last.Count-1))
			last.Count++
			return
		}
	}
	o.runs = append(o.runs, outcomeRun{Entry: entry, Line: line, Count: 1, Outcome: outcome, Reason: reason})
}

// encode is the stored form: one JSON array.
func (o *outcomes) encode() []byte {
	text, err := json.Marshal(o.runs)
	if err != nil { // words and numbers always marshal
		return nil
	}
	return text
}

// expandRuns writes stored runs as JSON lines, one for each entry.
func expandRuns(stored []byte, to io.Writer) error {
	var runs []outcomeRun
	if err := json.Unmarshal(stored, &runs); err != nil {
		return fmt.Errorf("reading the result of an operation: %w", err)
	}
	var b bytes.Buffer
	for _, r := range runs {
		tail := `,"outcome":"` + r.Outcome + `"}`
		if r.Reason != "" {
			reason, err := json.Marshal(r.Reason)
			if err != nil { // a string always marshals
				return err
			}
			tail = `,"outcome":"` + r.Outcome + `","reason":` + string(reason) + "}"
		}
		for i := range r.Count {
			fmt.Fprintf(&b, "{\"line\":%d,\"entry\":%d%s\n", r.Line+i*r.Step, r.Entry+i, tail)
		}
		if b.Len() > ChunkBytes {
			if _, err := b.WriteTo(to); err != nil {
				return err
			}
		}
	}
	_, err := b.WriteTo(to)
	return err
}
