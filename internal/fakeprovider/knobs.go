package fakeprovider

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// queryKnobs returns the fake-* members of a query, without their prefix; nil when there are none.
func queryKnobs(raw string) map[string]string {
	if !strings.Contains(raw, "fake-") {
		return nil
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil
	}
	knobs := map[string]string{}
	for name, v := range values {
		if knob, ok := strings.CutPrefix(name, "fake-"); ok && len(v) > 0 {
			knobs[knob] = v[0]
		}
	}
	return knobs
}

// readKnobs takes x-fake-* headers, then fake-* query members. A knob that cannot be read is left out: a
// person sees that nothing happened, and a proxied header that is none of ours does no harm.
func (a *ask) readKnobs(query map[string]string) {
	for name, values := range a.r.Header {
		if knob, ok := strings.CutPrefix(name, "X-Fake-"); ok && len(values) > 0 {
			a.knob(strings.ToLower(knob), values[0])
		}
	}
	for name, value := range query {
		a.knob(name, value)
	}
}

// modelKnobs takes "+knob=value" off a model name, and reads the magic name fault-NAME.
func (a *ask) modelKnobs(model string) string {
	if !strings.Contains(model, "+") && !strings.HasPrefix(model, "fault-") {
		return model
	}
	parts := strings.Split(model, "+")
	for i, part := range parts[1:] {
		name, value, ok := strings.Cut(part, "=")
		if !ok || !a.knob(name, value) {
			parts[0] += "+" + parts[i+1] // part of the name itself
		}
	}
	if name, ok := strings.CutPrefix(parts[0], "fault-"); ok && a.fault == "" {
		a.fault = name
	}
	return parts[0]
}

// knob reads one knob and reports whether it could.
func (a *ask) knob(name, value string) bool {
	var err error
	s := a.shape
	switch name {
	case "fault":
		a.fault = value
	case "inner":
		a.inner = value
	case "after":
		_, err = strconv.Atoi(value)
		a.after = value
	case "delay":
		a.delay, err = time.ParseDuration(value)
	case "wait":
		a.wait, err = time.ParseDuration(value)
	case "size":
		s.Size, err = parseSize(value)
	case "chunk-size":
		s.ChunkSize, err = parseSize(value)
	case "chunks":
		s.Chunks, err = strconv.Atoi(value)
	case "burst":
		s.Burst, err = strconv.Atoi(value)
	case "ttft":
		s.FirstToken, err = time.ParseDuration(value)
	case "gap":
		s.Gap, err = time.ParseDuration(value)
	case "text":
		s.Text = value
	case "encoding":
		s.Encoding = value
	default:
		return false
	}
	if err == nil {
		err = s.check("")
	}
	if err == nil {
		a.shape = s
	}
	return err == nil
}

// parseSize reads bytes, with k, m or their kb, kib, mb, mib spellings for powers of 1024.
func parseSize(text string) (int, error) {
	digits := strings.TrimRight(strings.ToLower(text), "kmib")
	shift := 0
	switch strings.ToLower(text)[len(digits):] {
	case "", "b":
	case "k", "kb", "kib":
		shift = 10
	case "m", "mb", "mib":
		shift = 20
	default:
		return 0, fmt.Errorf("size %q: write bytes, or a number with k or m", text)
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n > maxAnswer>>shift {
		return 0, fmt.Errorf("size %q: must be a number up to %d bytes", text, maxAnswer)
	}
	return n << shift, nil
}
