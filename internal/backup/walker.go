package backup

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// walker reads nodes, and keeps everything that is wrong with them.
type walker struct {
	reader *Reader
	lines  map[string]int
	faults []Fault
	fatal  error // of the passphrase
}

func (w *walker) end() error {
	if w.fatal != nil {
		return w.fatal
	}
	if len(w.faults) > 0 {
		return &FileError{Faults: w.faults}
	}
	return nil
}

func (w *walker) fault(n *yaml.Node, place, format string, args ...any) {
	w.faults = append(w.faults, Fault{Line: n.Line, Place: place, Message: fmt.Sprintf(format, args...)})
}

// fields are the members that a mapping may have.
type fields map[string]func(n *yaml.Node, place string)

// fields reads a mapping and refuses members that nobody knows.
func (w *walker) fields(n *yaml.Node, place string, known fields) {
	w.each(n, place, func(name string, n *yaml.Node, place string) {
		read, ok := known[name]
		if !ok {
			w.fault(n, place, "is not known; there are %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
			return
		}
		read(n, place)
	})
}

// each reads a mapping, and refuses members that stand there twice.
func (w *walker) each(n *yaml.Node, place string, read func(name string, n *yaml.Node, place string)) {
	w.lines[place] = n.Line
	if n.Kind != yaml.MappingNode {
		w.fault(n, place, "must be a list of members with their names, not %s", whatIs(n))
		return
	}
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		name := n.Content[i]
		if name.Kind != yaml.ScalarNode || name.ShortTag() != "!!str" {
			w.fault(name, place, "has a member whose name is no text")
			continue
		}
		at := strings.TrimPrefix(place+"."+clip(name.Value), ".")
		if seen[name.Value] {
			w.fault(name, at, "stands there twice")
			continue
		}
		seen[name.Value] = true
		value := n.Content[i+1]
		w.lines[at] = value.Line
		read(name.Value, value, at)
	}
}

// member finds one member of a mapping, and leaves everything else to fields.
func (w *walker) member(n *yaml.Node, name string, read func(*yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			read(n.Content[i+1])
			return
		}
	}
}

func (w *walker) items(n *yaml.Node, place string, read func(n *yaml.Node, place string)) {
	if n.Kind != yaml.SequenceNode {
		w.fault(n, place, "must be a list, not %s", whatIs(n))
		return
	}
	for i, item := range n.Content {
		at := place + "[" + strconv.Itoa(i) + "]"
		w.lines[at] = item.Line
		read(item, at)
	}
}

// textTags are what the parser finds in values without a tag: any of them is a text where one is wanted.
var textTags = []string{"!!str", "!!int", "!!float", "!!bool", "!!timestamp"}

func (w *walker) text(n *yaml.Node, place string, into *string) bool {
	w.lines[place] = n.Line
	switch tag := n.ShortTag(); {
	case n.Kind != yaml.ScalarNode || tag == "!!null":
		w.fault(n, place, "must be a text, not %s", whatIs(n))
		return false
	case tag == sealedTag || tag == omittedTag:
		w.fault(n, place, "is no secret, and must stand there as it is")
		return false
	case !slices.Contains(textTags, tag):
		w.fault(n, place, "has the tag %s; there are only %s and %s", clip(tag), sealedTag, omittedTag)
		return false
	}
	*into = n.Value
	return true
}

func (w *walker) integer(n *yaml.Node, place string, into *int) {
	number, err := strconv.ParseInt(n.Value, 10, 32)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!int" || err != nil {
		w.fault(n, place, "must be a whole number, not %s", whatIs(n))
		return
	}
	*into = int(number)
}

func (w *walker) boolean(n *yaml.Node, place string, into *bool) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!bool" {
		w.fault(n, place, "must be true or false, not %s", whatIs(n))
		return
	}
	*into = strings.EqualFold(n.Value, "true")
}

// whatIs names a kind of node for people.
func whatIs(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a list of members"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias; write the value out"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!int":
		return "this number"
	case "!!float":
		return "a number with a fraction"
	case "!!bool":
		return "true or false"
	}
	return "this text"
}

// clip keeps a message about a huge name readable.
func clip(s string) string {
	const longest = 80
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "..."
	}
	return s
}
