package logging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"gpt-load/internal/fleet"
	"gpt-load/internal/logging"
	"gpt-load/internal/secret"
)

func newLogger(t *testing.T, o logging.Options) *logging.Logger {
	t.Helper()
	l, err := logging.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestTextIsForPeople(t *testing.T) {
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	l := newLogger(t, logging.Options{Level: "info", Format: "text", Location: shanghai, Output: &out})
	l.Debug("below the level")
	l.Warn("upstream rested", zap.String("host", "api.example"), zap.Duration("for", 2*time.Second))
	line := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \+08:00  WARN   logging/logging_test\.go:\d+  upstream rested  {"host": "api.example", "for": "2s"}\n$`)
	if !line.MatchString(out.String()) {
		t.Errorf("got %q", out.String())
	}
}

func TestJSONIsForCollectors(t *testing.T) {
	var out bytes.Buffer
	l := newLogger(t, logging.Options{Level: "info", Format: "json", Output: &out})
	l.Error("writing records", zap.Error(errors.New("disk full")), zap.Stringer("key", secret.New("canary")))
	var got map[string]string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	if at, err := time.Parse(time.RFC3339, got["time"]); err != nil || time.Since(at) > time.Minute || !strings.HasSuffix(got["time"], "Z") {
		t.Errorf("time %q, %v", got["time"], err)
	}
	if got["level"] != "error" || got["message"] != "writing records" || got["error"] != "disk full" || got["key"] != secret.Redacted {
		t.Errorf("got %v", got)
	}
	if _, has := got["stacktrace"]; has {
		t.Error("an ordinary error carries a stack")
	}
}

func TestTheCauseIsForTheLog(t *testing.T) {
	var out bytes.Buffer
	l := newLogger(t, logging.Options{Level: "info", Format: "json", Output: &out})
	away := fleet.NewError(fleet.CodeUnavailable, "the database is away", errors.New("dial tcp: refused"))
	l.With(zap.Error(fmt.Errorf("reading keys: %w", away))).Debug("below the level")
	l.Warn("still away", zap.Error(fmt.Errorf("reading keys: %w", away)))
	l.Warn("no cause", zap.Error(errors.New("plain")))
	lines := strings.Split(out.String(), "\n")
	if !strings.Contains(lines[0], `"error":"reading keys: the database is away","error_cause":"dial tcp: refused"`) || strings.Contains(lines[1], "_cause") || len(lines) != 3 {
		t.Error(out.String())
	}
}

func TestTheLevelMayChange(t *testing.T) {
	var out bytes.Buffer
	l := newLogger(t, logging.Options{Level: "error", Format: "text", Output: &out})
	child := l.Named("proxy")
	child.Info("one")
	l.Level.SetLevel(zapcore.DebugLevel)
	child.Debug("two")
	if got := out.String(); strings.Contains(got, "one") || !strings.Contains(got, "two") {
		t.Errorf("got %q", got)
	}
}

func TestRedactSeesWholeLines(t *testing.T) {
	var out bytes.Buffer
	l := newLogger(t, logging.Options{
		Level: "debug", Format: "json", Output: &out,
		Redact: func(line string) string { return strings.ReplaceAll(line, "canary", secret.Redacted) },
	})
	l.With(zap.String("inherited", "canary")).Error("canary in words", zap.Error(errors.New("canary in a cause")), zap.Any("list", []string{"canary"}))
	if got := out.String(); strings.Contains(got, "canary") || strings.Count(got, secret.Redacted) != 4 || !strings.HasSuffix(got, "}\n") {
		t.Errorf("got %q", got)
	}
}

func TestFileIsPrivateAndAppended(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logs", "app.log")
	for _, words := range []string{"first start", "second start"} {
		var out bytes.Buffer
		l := newLogger(t, logging.Options{Level: "info", Format: "text", FilePath: path, Output: &out})
		l.Info(words)
		if !strings.Contains(out.String(), words) {
			t.Errorf("%q is not on the standard output too", words)
		}
	}
	content, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(content), "first start") || !strings.Contains(string(content), "second start") {
		t.Errorf("%q, %v", content, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestRefusals(t *testing.T) {
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for says, o := range map[string]logging.Options{
		"LOG_LEVEL":     {Level: "loud", Format: "text"},
		"LOG_FORMAT":    {Level: "info", Format: "xml"},
		"LOG_FILE_PATH": {Level: "info", Format: "text", FilePath: filepath.Join(blocked, "app.log")},
	} {
		if _, err := logging.New(o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want the name %s", o, err, says)
		}
	}
}
