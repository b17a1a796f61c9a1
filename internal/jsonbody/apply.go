package jsonbody

import (
	"errors"
	"fmt"
	"strconv"
)

// Edit puts Value, which is raw JSON, at a path, or, with a nil Value, removes what stands there.
type Edit struct {
	Path  Path
	Value []byte
}

// ErrNotJSON is returned for a body that is not valid JSON: a splice into it could mean anything.
var ErrNotJSON = errors.New("the body is not valid JSON")

// Apply makes the edits one after the other, each on the outcome of the one before. Every byte that no edit names
// stays as it is: white space, spelling of numbers, order of members. The body itself is not changed; when no edit
// changes anything, it is returned.
//
// Where several members of one name stand on the way, all are followed, so that no reader sees the old value,
// whichever of them it takes. Objects that are missing on the way, or null, are made; a missing member goes to the
// end of its object, and the index one past the end of an array appends to it. Removing what is not there changes nothing.
//
// The error is ErrNotJSON or a *PathError: the path leads through a string, number or boolean, names a member of an
// array or an element beyond its end, or its Value is not valid JSON.
func Apply(body []byte, edits []Edit) ([]byte, error) {
	if len(edits) == 0 {
		return body, nil
	}
	if !Valid(body) {
		return nil, ErrNotJSON
	}
	for _, edit := range edits {
		e := editor{edit: edit}
		if len(edit.Path.steps) == 0 {
			return nil, e.fault("the path is empty")
		}
		if edit.Value != nil && !Valid(edit.Value) {
			return nil, e.fault("the value to put there is not valid JSON")
		}
		if err := e.visit(Parse(body), 0); err != nil {
			return nil, err
		}
		body = applySplices(body, e.splices)
	}
	return body, nil
}

// splice replaces a range of bytes. Splices are kept in ascending order and do not overlap.
type splice struct {
	Span
	with []byte
}

// applySplices returns body itself when there is nothing to do.
func applySplices(body []byte, splices []splice) []byte {
	if len(splices) == 0 {
		return body
	}
	size := len(body)
	for _, s := range splices {
		size += len(s.with) - (s.End - s.Start)
	}
	out := make([]byte, 0, size)
	at := 0
	for _, s := range splices {
		out = append(out, body[at:s.Start]...)
		out = append(out, s.with...)
		at = s.End
	}
	return append(out, body[at:]...)
}

// editor finds the splices of one edit in a valid body. It recurses once for each step of the path at most.
type editor struct {
	edit    Edit
	splices []splice
}

// visit finds the splices below v, which the first depth steps of the path lead to.
func (e *editor) visit(v Value, depth int) error {
	if depth == len(e.edit.Path.steps) {
		e.put(v.Span(), e.edit.Value)
		return nil
	}
	switch v.Kind() {
	case KindObject:
		if e.removesAt(depth) {
			e.removeMembers(v, depth)
			return nil
		}
		return e.enterObject(v, depth)
	case KindArray:
		if e.removesAt(depth) {
			e.removeElement(v, depth)
			return nil
		}
		return e.enterArray(v, depth)
	case KindNull:
		if e.edit.Value != nil && depth > 0 {
			e.put(v.Span(), e.missing(nil, depth))
			return nil
		}
	}
	if e.edit.Value == nil {
		return nil
	}
	where := "the body"
	if depth > 0 {
		where = "step " + strconv.Itoa(depth) + " (" + strconv.Quote(e.edit.Path.steps[depth-1].name) + ")"
	}
	return e.fault(fmt.Sprintf("%s is %s; only objects and arrays can be entered", where, v.Kind()))
}

func (e *editor) removesAt(depth int) bool {
	return e.edit.Value == nil && depth == len(e.edit.Path.steps)-1
}

func (e *editor) enterObject(v Value, depth int) error {
	name := e.edit.Path.steps[depth].name
	found, end := false, 0
	for n, value := range v.Members() {
		end = value.Span().End
		if !isNamed(n, name) {
			continue
		}
		found = true
		if err := e.visit(value, depth+1); err != nil {
			return err
		}
	}
	if found || e.edit.Value == nil {
		return nil
	}
	var with []byte
	if end == 0 { // no member yet
		end = v.At + 1
	} else {
		with = append(with, ',')
	}
	with = append(AppendQuoted(with, name), ':')
	e.put(Span{Start: end, End: end}, e.missing(with, depth+1))
	return nil
}

func (e *editor) enterArray(v Value, depth int) error {
	index := e.edit.Path.steps[depth].index
	count, end := 0, 0
	for element := range v.Elements() {
		if count == index {
			return e.visit(element, depth+1)
		}
		count, end = count+1, element.Span().End
	}
	switch {
	case e.edit.Value == nil:
		return nil
	case index < 0:
		return e.fault(fmt.Sprintf("step %d is a name, but an array stands there; its elements have indexes, counted from 0", depth+1))
	case index > count:
		return e.fault(fmt.Sprintf("step %d is beyond the end of an array of %d elements", depth+1, count))
	}
	var with []byte
	if count == 0 {
		end = v.At + 1
	} else {
		with = append(with, ',')
	}
	e.put(Span{Start: end, End: end}, e.missing(with, depth+1))
	return nil
}

// missing appends the value inside the objects that the rest of the path names.
func (e *editor) missing(dst []byte, depth int) []byte {
	rest := e.edit.Path.steps[depth:]
	for _, s := range rest {
		dst = append(AppendQuoted(append(dst, '{'), s.name), ':')
	}
	dst = append(dst, e.edit.Value...)
	for range rest {
		dst = append(dst, '}')
	}
	return dst
}

func (e *editor) removeMembers(v Value, depth int) {
	name := e.edit.Path.steps[depth].name
	r := removal{editor: e, leading: true}
	for n, value := range v.Members() {
		r.item(Span{Start: n.At, End: value.Span().End}, isNamed(n, name))
	}
	r.end()
}

func (e *editor) removeElement(v Value, depth int) {
	r := removal{editor: e, leading: true}
	index := 0
	for element := range v.Elements() {
		r.item(element.Span(), index == e.edit.Path.steps[depth].index)
		index++
	}
	r.end()
}

// removal takes items out of a list, with one comma each: the one before the item, or, as long as no item before it
// stays, the one behind it.
type removal struct {
	*editor
	leading  bool // no item stays so far
	gone     Span // the leading items that go
	previous int  // end of the item before
}

func (r *removal) item(at Span, goes bool) {
	switch {
	case goes && !r.leading:
		r.put(Span{Start: r.previous, End: at.End}, nil)
	case goes:
		if r.gone.End == 0 {
			r.gone.Start = at.Start
		}
		r.gone.End = at.End
	case r.leading:
		if r.gone.End > 0 {
			r.put(Span{Start: r.gone.Start, End: at.Start}, nil)
		}
		r.leading = false
	}
	r.previous = at.End
}

func (r *removal) end() {
	if r.leading && r.gone.End > 0 {
		r.put(r.gone, nil)
	}
}

func (e *editor) put(at Span, with []byte) {
	e.splices = append(e.splices, splice{Span: at, with: with})
}

func (e *editor) fault(reason string) error {
	return &PathError{Path: e.edit.Path.text, Reason: reason}
}

// isNamed compares a member's name, which may be written with escapes and may hold any character.
func isNamed(n Value, name string) bool {
	raw := n.Raw[1 : len(n.Raw)-1]
	if isPlain(raw) {
		return string(raw) == name
	}
	if len(raw) > len(name)*longestEscape {
		return false
	}
	decoded, ok := appendDecoded(nil, raw)
	return ok && string(decoded) == name
}
