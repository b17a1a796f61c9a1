package logging

import (
	"errors"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"gpt-load/internal/fleet"
)

// explaining adds the cause of a fleet.Error beside its message, which is written for a caller and leaves the cause to
// the log.
type explaining struct{ zapcore.Core }

// With implements zapcore.Core.
func (c explaining) With(fields []zapcore.Field) zapcore.Core {
	return explaining{c.Core.With(explain(fields))}
}

// Check implements zapcore.Core.
func (c explaining) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c explaining) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	return c.Core.Write(entry, explain(fields))
}

func explain(fields []zapcore.Field) []zapcore.Field {
	for _, f := range fields {
		err, ok := f.Interface.(error)
		if f.Type != zapcore.ErrorType || !ok {
			continue
		}
		var known *fleet.Error
		if errors.As(err, &known) && known.Cause != nil {
			// Appended to a copy: the caller's slice is not ours.
			return append(fields[:len(fields):len(fields)], zap.String(f.Key+"_cause", known.Cause.Error()))
		}
	}
	return fields
}
