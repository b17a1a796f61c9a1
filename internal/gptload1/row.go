package gptload1

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// row is one row as a driver gives it. The three databases and their drivers disagree about the types of the same column, and
// SQLite keeps whatever was written, so each value is read by what it looks like.
type row struct {
	names []string
	cells []any
}

func (r row) cell(name string) any {
	i := slices.Index(r.names, name)
	if i < 0 {
		return nil
	}
	if raw, ok := r.cells[i].([]byte); ok {
		return string(raw)
	}
	return r.cells[i]
}

// text gives a column as text, and "" for NULL.
func (r row) text(name string) string {
	switch v := r.cell(name).(type) {
	case nil:
		return ""
	case string:
		return v
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	default:
		return fmt.Sprint(v)
	}
}

// integer gives a whole number; false for NULL and for what is none.
func (r row) integer(name string) (int64, bool) {
	switch v := r.cell(name).(type) {
	case int64:
		return v, true
	case int32:
		return int64(v), true
	case uint64:
		return int64(min(v, math.MaxInt64)), true // #nosec G115 -- bounded on this line
	case float64:
		return whole(v)
	case bool:
		if v {
			return 1, true
		}
		return 0, true
	case string:
		n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
		return n, err == nil
	}
	return 0, false
}

// whole takes a float that is a whole number within the bounds in which floats are exact.
func whole(f float64) (int64, bool) {
	const exact = 1 << 53
	if f != math.Trunc(f) || math.Abs(f) > exact {
		return 0, false
	}
	return int64(f), true
}

// boolean reads true, t and any number but 0 as true.
func (r row) boolean(name string) bool {
	if n, ok := r.integer(name); ok {
		return n != 0
	}
	b, _ := strconv.ParseBool(strings.TrimSpace(r.text(name)))
	return b
}

// timeLayouts are how SQLite drivers of 1.x wrote times.
var timeLayouts = []string{
	"2006-01-02 15:04:05.999999999-07:00", time.RFC3339Nano, "2006-01-02 15:04:05.999999999 -0700 MST", "2006-01-02 15:04:05.999999999",
}

// time gives the zero time for NULL and for what is none.
func (r row) time(name string) time.Time {
	switch v := r.cell(name).(type) {
	case time.Time:
		return v.UTC()
	case string:
		v, _, _ = strings.Cut(v, " m=") // a monotonic clock reading
		for _, layout := range timeLayouts {
			if t, err := time.Parse(layout, v); err == nil {
				return t.UTC()
			}
		}
	}
	return time.Time{}
}
