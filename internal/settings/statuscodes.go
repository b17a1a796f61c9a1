package settings

import (
	"fmt"
	"strconv"
	"strings"
)

// StatusCodes is a set of HTTP status codes from 100 to 599. The zero value is the empty set.
type StatusCodes struct{ bits [10]uint64 }

const lowestStatus, highestStatus = 100, 599

// ParseStatusCodes reads a comma-separated list of codes and ranges such as "429,500-504". Spaces are
// allowed around each part; an empty text is the empty set.
func ParseStatusCodes(text string) (StatusCodes, error) {
	var set StatusCodes
	if strings.TrimSpace(text) == "" {
		return set, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		low, err := parseStatus(from)
		if err != nil {
			return StatusCodes{}, fmt.Errorf("%q: %w", clip(part), err)
		}
		high, err := parseStatus(to)
		if err != nil {
			return StatusCodes{}, fmt.Errorf("%q: %w", clip(part), err)
		}
		if low > high {
			return StatusCodes{}, fmt.Errorf("%q: a range goes from the lower code to the higher", clip(part))
		}
		for code := low; code <= high; code++ {
			set.bits[(code-lowestStatus)/64] |= 1 << ((code - lowestStatus) % 64)
		}
	}
	return set, nil
}

func parseStatus(text string) (int, error) {
	text = strings.TrimSpace(text)
	code, err := strconv.Atoi(text)
	if err != nil || len(text) != 3 || code < lowestStatus || code > highestStatus {
		return 0, fmt.Errorf("a status code is a number from %d to %d; write codes and ranges such as 429,500-504", lowestStatus, highestStatus)
	}
	return code, nil
}

// clip keeps an error about a huge value readable.
func clip(s string) string {
	const longest = 40
	if len(s) > longest {
		return s[:longest] + "..."
	}
	return s
}

// Contains reports whether code is in the set.
func (s StatusCodes) Contains(code int) bool {
	if code < lowestStatus || code > highestStatus {
		return false
	}
	return s.bits[(code-lowestStatus)/64]&(1<<((code-lowestStatus)%64)) != 0
}

// IsEmpty reports whether no code is in the set.
func (s StatusCodes) IsEmpty() bool { return s == StatusCodes{} }

// String gives the shortest text that ParseStatusCodes reads back as the same set.
func (s StatusCodes) String() string {
	var parts []string
	for code := lowestStatus; code <= highestStatus; code++ {
		if !s.Contains(code) {
			continue
		}
		start := code
		for s.Contains(code + 1) {
			code++
		}
		if start == code {
			parts = append(parts, strconv.Itoa(start))
		} else {
			parts = append(parts, strconv.Itoa(start)+"-"+strconv.Itoa(code))
		}
	}
	return strings.Join(parts, ",")
}
