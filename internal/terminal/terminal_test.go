package terminal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain text, 你好":       "plain text, 你好",
		"two\nlines\tand\r":    `two\nlines\tand\u000d`,
		"\x1b[31mred\x1b[0m":   `\u001b[31mred\u001b[0m`,
		"\u009b31m, \u202etxt": `\u009b31m, \u202etxt`,
		"\xff\xfe":             "\ufffd\ufffd",
		"\u2028":               `\u2028`,
	} {
		if got := Clean(in); got != want {
			t.Errorf("%q became %q, not %q", in, got, want)
		}
	}
}

func TestCellsAndCut(t *testing.T) {
	for text, want := range map[string]int{"": 0, "abc": 3, "你好": 4, "e\u0301": 1, "ｆ": 2, "é": 1, "…": 1} {
		if got := cells(text); got != want {
			t.Errorf("%q has %d cells, not %d", text, got, want)
		}
	}
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"你好吗", 6, "你好吗"}, {"你好吗", 5, "你好…"}, {"你好吗", 4, "你…"}, {"e\u0301e\u0301e\u0301", 2, "e\u0301…"}} {
		if got := cut(c.text, c.limit); got != c.want {
			t.Errorf("%q in %d cells is %q, not %q", c.text, c.limit, got, c.want)
		}
	}
}

func TestTable(t *testing.T) {
	fill := func(s *Streams) {
		table := s.NewTable(Column{Title: "NAME", Flexible: true}, Column{Title: "KEYS", Right: true}, Column{Title: "WHY", Flexible: true})
		table.Row(Cell{Text: "一二三四五"}, Cell{Text: "7", Style: Good}, Cell{Text: "the provider said \x1b[2J no"})
		table.Row(Cell{Text: "b"}, Cell{Text: "12345"}, Cell{})
		if err := table.Flush(); err != nil {
			t.Error(err)
		}
		table.Row(Cell{Text: "later"}, Cell{Text: "1"}, Cell{Text: "x"})
		if err := table.Flush(); err != nil {
			t.Error(err)
		}
	}
	for name, c := range map[string]struct {
		streams Streams
		want    string
	}{
		"file": {Streams{}, "" +
			"NAME         KEYS  WHY\n" +
			"一二三四五      7  the provider said \\u001b[2J no\n" +
			"b           12345\n" +
			"later           1  x\n"},
		"window": {Streams{Width: 30}, "" +
			"NAME         KEYS  WHY\n" +
			"一二三四五      7  the provid…\n" +
			"b           12345\n" +
			"later           1  x\n"},
		"colours": {Streams{Colours: true}, "" +
			"\x1b[1mNAME\x1b[0m         \x1b[1mKEYS\x1b[0m  \x1b[1mWHY\x1b[0m\n" +
			"一二三四五      \x1b[32m7\x1b[0m  the provider said \\u001b[2J no\n" +
			"b           12345\n" +
			"later           1  x\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			c.streams.Out = &out
			fill(&c.streams)
			if out.String() != c.want {
				t.Errorf("got\n%s\nwant\n%s", out.String(), c.want)
			}
		})
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestTableTellsThatItCouldNotWrite(t *testing.T) {
	table := (&Streams{Out: full{}}).NewTable(Column{})
	table.Row(Cell{Text: "x"})
	if err := table.Flush(); err == nil {
		t.Error("a full disk went unnoticed")
	}
	if err := (&Streams{Out: full{}}).NewTable(Column{Title: "NAME"}).Flush(); err != nil {
		t.Errorf("a table without rows wrote: %v", err)
	}
}

func TestProgress(t *testing.T) {
	var err bytes.Buffer
	now := time.Unix(0, 0)
	s := &Streams{Err: &err, ShowsProgress: true}
	p := s.NewProgress("importing", 4096, Bytes)
	p.now, p.started = func() time.Time { return now }, now
	now = now.Add(2 * time.Second)
	if n, e := io.Copy(io.Discard, p.Reader(strings.NewReader(strings.Repeat("x", 1024)))); n != 1024 || e != nil {
		t.Errorf("read %d, %v", n, e)
	}
	p.Clear()
	p.Clear()
	want := "\rimporting [======                  ]  25%  1.0 KiB of 4.0 KiB  512 B/s\x1b[K\r\x1b[K"
	if err.String() != want {
		t.Errorf("drew %q, not %q", err.String(), want)
	}
	err.Reset()
	unknown := s.NewProgress("reading", 0, Count)
	unknown.Add(1234567)
	if err.String() != "\rreading 1,234,567\x1b[K" {
		t.Errorf("drew %q", err.String())
	}
	err.Reset()
	s.ShowsProgress = false
	quiet := s.NewProgress("importing", 1, Bytes)
	quiet.Add(1)
	quiet.Clear()
	if err.Len() > 0 {
		t.Errorf("drew %q where there is no terminal", err.String())
	}
}

func TestAmounts(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 5 << 20: "5.0 MiB", 3 << 40: "3.0 TiB", 5000 << 40: "5000.0 TiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d bytes are %q, not %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -123456: "-123,456", -1234567: "-1,234,567"} {
		if got := Count(n); got != want {
			t.Errorf("%d is %q, not %q", n, got, want)
		}
	}
}

func TestConfirm(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "YES\n": true, "n\n": false, "\n": false, "": false, "yes": true, "sure\n": false} {
		s := &Streams{In: strings.NewReader(answer), Err: io.Discard, AsksPeople: true}
		if got, err := s.Confirm(t.Context(), "Delete?"); err != nil || got != want {
			t.Errorf("%q means %v, %v", answer, got, err)
		}
	}
	if _, err := (&Streams{In: strings.NewReader("y\n")}).Confirm(t.Context(), "Delete?"); !errors.Is(err, ErrNobodyToAsk) {
		t.Errorf("without a terminal: %v", err)
	}
	if _, err := (&Streams{}).ReadSecret(t.Context(), "Key:"); !errors.Is(err, ErrNobodyToAsk) {
		t.Errorf("without a terminal: %v", err)
	}
	reader, writer := io.Pipe()
	defer func() { _ = writer.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if ok, err := (&Streams{In: reader, Err: io.Discard, AsksPeople: true}).Confirm(ctx, "Delete?"); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v, %v", ok, err)
	}
}
