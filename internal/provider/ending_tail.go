package provider

import "bytes"

// Terminated is Ending.Terminated for a caller that kept only the last bytes of a body. It sees no mark that stands
// before them: response.completed repeats the whole answer, and so its beginning, which has its type, may be far away.
func Terminated(f Format, k Kind, tail []byte) bool {
	if k == KindJSONArray {
		return bytes.HasSuffix(bytes.TrimSpace(tail), []byte("\n]"))
	}
	e := NewEnding(f, k)
	e.sniffed = true
	e.Write(tail)
	return e.Terminated()
}

// ErrorEvent is Ending.ErrorEvent for a caller that kept only the last bytes of a body.
func ErrorEvent(f Format, k Kind, tail []byte, message, code string) []byte {
	e := NewEnding(f, k)
	e.sniffed = true
	e.Write(tail)
	return e.ErrorEvent(message, code)
}
