package secret

import (
	"crypto/subtle"
	"fmt"
	"io"
)

// Redacted is what a secret shows wherever something tries to print it.
const Redacted = "[redacted]"

// Text is a string that cannot print itself: every formatting verb, JSON, YAML and structured
// logging see Redacted. Only Reveal gives the value, so a search for Reveal finds every place
// where a secret can leave.
//
// It holds a pointer because fmt calls no methods on unexported fields: printing a struct with a Text in one would
// print a string, and prints an address. So Texts are compared with Equal, not with ==.
type Text struct {
	_     [0]func() // forbids ==
	value *string
}

// New wraps a value. The empty string gives the zero Text.
func New(value string) Text {
	if value == "" {
		return Text{}
	}
	return Text{value: &value}
}

// At wraps a value where it lies, without a copy; it must not change as long as the Text is used.
func At(value *string) Text {
	if *value == "" {
		return Text{}
	}
	return Text{value: value}
}

// Reveal returns the value itself.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// IsEmpty reports whether nothing is held.
func (t Text) IsEmpty() bool { return t.value == nil }

// Len is the length of the value in bytes.
func (t Text) Len() int { return len(t.Reveal()) }

// Equal compares in time that depends only on the lengths.
func (t Text) Equal(other Text) bool {
	return subtle.ConstantTimeCompare([]byte(t.Reveal()), []byte(other.Reveal())) == 1
}

// Tail returns the last four bytes for people to recognise a key by, and nothing for values shorter
// than 12 bytes, where four would be a good part of the secret. Bytes outside printable ASCII become '?'.
func (t Text) Tail() string {
	const shown, shortest = 4, 12
	value := t.Reveal()
	if len(value) < shortest {
		return ""
	}
	tail := []byte(value[len(value)-shown:])
	for i, c := range tail {
		if c < 0x21 || c > 0x7e {
			tail[i] = '?'
		}
	}
	return string(tail)
}

// String implements fmt.Stringer without the value.
func (t Text) String() string {
	if t.IsEmpty() {
		return ""
	}
	return Redacted
}

// GoString implements fmt.GoStringer without the value.
func (t Text) GoString() string { return `secret.Text("` + t.String() + `")` }

// Format implements fmt.Formatter so that %x, %q and %d give nothing away either.
func (t Text) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// MarshalText implements encoding.TextMarshaler without the value.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
