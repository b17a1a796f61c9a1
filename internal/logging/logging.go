// Package logging builds the process's logger: where it writes, how it looks, and what it must never show.
package logging

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"gopkg.in/natefinch/lumberjack.v2"
)

// Rotation of the log file: 100 MB at a time and ten old ones, which gzip shrinks to about a tenth, stay near 200 MB.
const (
	rotateMegabytes = 100
	keepFiles       = 10
	keepDays        = 30
)

// Options say what New builds.
type Options struct {
	Level  string // debug, info, warn or error
	Format string // text for people, json for collectors
	// FilePath also logs to this file, rotated, mode 0600; empty does not.
	FilePath string
	Location *time.Location // of timestamps; nil is UTC
	Output   io.Writer      // nil is the standard error
	// Redact changes each finished line before it is written; nil leaves it. It is the last net under the rule that
	// no secret reaches a log, so it sees messages, fields and stacks alike. It must keep the line break.
	Redact func(line string) string
}

// Logger is the process's logger with what belongs to it.
type Logger struct {
	*zap.Logger
	// Level changes what is logged from now on.
	Level zap.AtomicLevel

	file *lumberjack.Logger
}

// New builds a logger. It opens the log file at once, so that a path that cannot be written stops the start and
// not the first line.
func New(o Options) (*Logger, error) {
	level, err := zap.ParseAtomicLevel(o.Level)
	if err != nil {
		return nil, fmt.Errorf("LOG_LEVEL must be debug, info, warn or error, not %q", o.Level)
	}
	encoder, err := newEncoder(o.Format, o.Location)
	if err != nil {
		return nil, err
	}
	output := o.Output
	if output == nil {
		output = os.Stderr
	}
	l := &Logger{Level: level}
	sinks := []zapcore.WriteSyncer{zapcore.AddSync(withoutSync{output})}
	if o.FilePath != "" {
		if l.file, err = openFile(o.FilePath); err != nil {
			return nil, err
		}
		sinks = append(sinks, zapcore.AddSync(l.file))
	}
	sink := zapcore.NewMultiWriteSyncer(sinks...)
	if o.Redact != nil {
		sink = redacting{WriteSyncer: sink, redact: o.Redact}
	}
	core := explaining{zapcore.NewCore(encoder, zapcore.Lock(sink), level)}
	l.Logger = zap.New(core, zap.AddCaller(), zap.AddStacktrace(zap.DPanicLevel))
	return l, nil
}

// Close flushes and closes the log file. Lines logged later open it again.
func (l *Logger) Close() error {
	err := l.Sync()
	if l.file != nil {
		err = errors.Join(err, l.file.Close())
	}
	return err
}

func openFile(path string) (*lumberjack.Logger, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the log file (LOG_FILE_PATH): %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("opening the log file (LOG_FILE_PATH): %w", err)
	}
	return &lumberjack.Logger{Filename: path, MaxSize: rotateMegabytes, MaxBackups: keepFiles, MaxAge: keepDays, Compress: true, LocalTime: true}, nil
}

func newEncoder(format string, location *time.Location) (zapcore.Encoder, error) {
	if location == nil {
		location = time.UTC
	}
	config := zap.NewProductionEncoderConfig()
	config.TimeKey, config.MessageKey = "time", "message"
	config.EncodeDuration = zapcore.StringDurationEncoder
	switch format {
	case "json":
		config.EncodeTime = timeIn(location, "2006-01-02T15:04:05.000Z07:00")
		return zapcore.NewJSONEncoder(config), nil
	case "text":
		config.EncodeTime = timeIn(location, "2006-01-02 15:04:05.000 Z07:00")
		config.EncodeLevel = paddedLevel
		config.ConsoleSeparator = "  "
		return zapcore.NewConsoleEncoder(config), nil
	}
	return nil, fmt.Errorf("LOG_FORMAT must be text or json, not %q", format)
}

func timeIn(location *time.Location, layout string) zapcore.TimeEncoder {
	return func(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
		enc.AppendString(t.In(location).Format(layout))
	}
}

// paddedLevel keeps the columns of text lines in place.
func paddedLevel(level zapcore.Level, enc zapcore.PrimitiveArrayEncoder) {
	enc.AppendString(fmt.Sprintf("%-5s", level.CapitalString()))
}

// withoutSync hides a Sync method: syncing a terminal or a pipe is an error on most systems, and means nothing.
type withoutSync struct{ io.Writer }

// redacting passes each line through a function.
type redacting struct {
	zapcore.WriteSyncer
	redact func(string) string
}

// Write reports the length of what it was given, since that is what its caller has to get rid of.
func (r redacting) Write(line []byte) (int, error) {
	if _, err := r.WriteSyncer.Write([]byte(r.redact(string(line)))); err != nil {
		return 0, err
	}
	return len(line), nil
}
