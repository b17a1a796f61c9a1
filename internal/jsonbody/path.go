package jsonbody

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Bounds of a path.
const (
	maxPathBytes = 512
	maxPathSteps = 16
)

// Path is one place in a JSON body. The zero Path is no place.
type Path struct {
	text  string
	steps []step
}

// step names a member, and, when it is a number, an element of an array.
type step struct {
	name  string
	index int // -1 when the step is not a number
}

// ParsePath reads a path: steps with dots between them, each the name of a member or, where an array stands, the
// index of an element, counted from 0. A backslash before a dot or a backslash takes it as it is. A path has at
// most 16 steps and 512 bytes, and no step is empty.
func ParsePath(text string) (Path, error) {
	switch {
	case text == "":
		return Path{}, errors.New("the path is empty; name a member, such as temperature or stream_options.include_usage")
	case len(text) > maxPathBytes:
		return Path{}, fmt.Errorf("the path has %d bytes; the limit is %d", len(text), maxPathBytes)
	case !utf8.ValidString(text):
		return Path{}, errors.New("the path is not valid UTF-8, so no member can have its name")
	}
	p := Path{text: text}
	var name []byte
	for i := 0; i <= len(text); i++ {
		if i == len(text) || text[i] == '.' {
			if len(name) == 0 {
				return Path{}, fmt.Errorf("the path has an empty step at byte %d; \\. stands for a dot that belongs to a name", i)
			}
			if len(p.steps) == maxPathSteps {
				return Path{}, fmt.Errorf("the path has more than %d steps", maxPathSteps)
			}
			p.steps = append(p.steps, newStep(string(name)))
			name = name[:0]
			continue
		}
		if text[i] == '\\' {
			if i++; i == len(text) || (text[i] != '.' && text[i] != '\\') {
				return Path{}, fmt.Errorf("the path has a backslash at byte %d that stands before neither a dot nor a backslash; write a backslash as \\\\", i-1)
			}
		}
		name = append(name, text[i])
	}
	return p, nil
}

// String gives the path as it was written.
func (p Path) String() string { return p.text }

// newStep reads an index as a number without sign or leading zeros and of at most nine digits.
func newStep(name string) step {
	s := step{name: name, index: -1}
	if len(name) > 9 || (name[0] == '0' && len(name) > 1) {
		return s
	}
	for _, c := range []byte(name) {
		if c < '0' || c > '9' {
			return s
		}
	}
	s.index, _ = strconv.Atoi(name)
	return s
}

// PathError says why an edit does not fit a body. The body's sender, or whoever wrote the path, can mend it.
type PathError struct {
	Path   string
	Reason string
}

// Error implements error.
func (e *PathError) Error() string { return strconv.Quote(e.Path) + ": " + e.Reason }
