package fleet

import (
	"errors"
	"fmt"
	"strings"
)

// Code is a stable error code. Each has one HTTP status, mapped in adminhttp.
type Code string

// The codes that the domain and the stores use.
const (
	CodeInvalid      Code = "invalid"      // a value is wrong; Fields says which
	CodeNotFound     Code = "not_found"    // no such thing
	CodeConflict     Code = "conflict"     // a name or key is taken, or what there is does not allow it now
	CodeUnauthorized Code = "unauthorized" // no valid credential
	CodeForbidden    Code = "forbidden"    // a valid credential that may not do this
	CodeTooLarge     Code = "too_large"    // over a stated limit
	CodeRateLimited  Code = "rate_limited" // too many tries
	CodeGone         Code = "gone"         // it was there and is not remembered any more: start again from the whole
	CodeUnavailable  Code = "unavailable"  // a store or a peer is away; trying again may help
	CodeInternal     Code = "internal"     // a defect of ours

	CodePreconditionFailed Code = "precondition_failed" // somebody else changed it first; Revision is what it is at now
)

// FieldError says what is wrong with one field, naming the limit and the remedy.
type FieldError struct {
	Field   string
	Message string
}

// Error is an error with a code. Message is for the caller; Cause is for the log only.
type Error struct {
	Code    Code
	Message string
	Fields  []FieldError
	Cause   error
	// Revision is, with CodePreconditionFailed, the revision that the thing is at now.
	Revision int64
}

// Error implements error; it leaves Cause to the log.
func (e *Error) Error() string {
	if len(e.Fields) == 0 {
		return e.Message
	}
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Field + ": " + f.Message
	}
	if e.Message == "" {
		return strings.Join(parts, "; ")
	}
	return e.Message + ": " + strings.Join(parts, "; ")
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf-like constructors would hide which part may be shown to a caller; these two take it whole.

// NewError makes an error with a message for the caller and a cause for the log (nil for none).
func NewError(code Code, message string, cause error) *Error {
	return &Error{Code: code, Message: message, Cause: cause}
}

// CheckRevision returns CodePreconditionFailed when a change was made for another revision of a thing than it is at now. 0 was
// made for any. thing is its name for people, such as "the group".
func CheckRevision(thing string, seen, now int64) error {
	if seen == 0 || seen == now {
		return nil
	}
	return &Error{
		Code: CodePreconditionFailed, Revision: now,
		Message: fmt.Sprintf("somebody else changed %s: the revision is %d now, not %d; read it again and repeat the change", thing, now, seen),
	}
}

// InvalidFields makes a CodeInvalid error, or returns nil when there is nothing wrong.
func InvalidFields(fields []FieldError) error {
	if len(fields) == 0 {
		return nil
	}
	return &Error{Code: CodeInvalid, Message: "some values are not valid", Fields: fields}
}

// CodeOf returns the code of the first *Error in err's chain, and CodeInternal for any other error.
func CodeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}
