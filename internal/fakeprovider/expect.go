package fakeprovider

import (
	"fmt"
	"strings"
	"time"

	"gpt-load/internal/secret"
)

// TB is the part of testing.TB that is used here.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
}

// TestingT is what Serve needs of a *testing.T, *testing.B or *testing.F.
type TestingT interface {
	TB
	Cleanup(func())
}

// Serve starts a provider that is closed when the test ends. In strict mode its unexpected calls fail the test.
func Serve(t TestingT, o Options) *Provider {
	t.Helper()
	if o.Test == nil {
		o.Test = t
	}
	p := New(o)
	p.Start()
	t.Cleanup(p.Close)
	return p
}

// ExpectCalls fails the test with a dump unless exactly n calls have arrived since the start or the last Reset.
func (p *Provider) ExpectCalls(t TB, n int) {
	t.Helper()
	if got := p.Stats().Calls; got != n {
		t.Errorf("the provider was called %d times, want %d\n%s", got, n, p.Dump())
	}
}

// ExpectCallsFor does the same for one key.
func (p *Provider) ExpectCallsFor(t TB, key string, n int) {
	t.Helper()
	if got := p.Stats().ByKey[key].Calls; got != n {
		t.Errorf("the provider was called %d times with key %s, want %d\n%s", got, tail(key), n, p.Dump())
	}
}

// ExpectCallsForModel does the same for one model.
func (p *Provider) ExpectCallsForModel(t TB, model string, n int) {
	t.Helper()
	if got := p.Stats().ByModel[model].Calls; got != n {
		t.Errorf("the provider was called %d times for model %q, want %d\n%s", got, model, n, p.Dump())
	}
}

// Dump lists the kept calls for people, the last 50 of them, with keys by their tails only.
func (p *Provider) Dump() string {
	const shown = 50
	var out strings.Builder
	calls := p.Calls()
	if len(calls) > shown {
		fmt.Fprintf(&out, "  ... %d earlier calls\n", len(calls)-shown)
		calls = calls[len(calls)-shown:]
	}
	for i := range calls {
		fmt.Fprintf(&out, "  %s\n", calls[i].Line())
	}
	if len(calls) == 0 {
		out.WriteString("  no kept calls\n")
	}
	return out.String()
}

// Line is the call in one line, its key by the tail only.
func (c *Call) Line() string {
	var out strings.Builder
	fmt.Fprintf(&out, "#%d %s %s", c.Seq, c.Method, c.Path)
	if c.Upstream != "" {
		out.WriteString(" at " + c.Upstream)
	}
	fmt.Fprintf(&out, " key %s", tail(c.Key))
	if c.Model != "" {
		fmt.Fprintf(&out, " model %q", c.Model)
	}
	if c.Stream {
		out.WriteString(" stream")
	}
	fmt.Fprintf(&out, " -> %d", c.Status)
	if c.Fault != "" {
		out.WriteString(" " + c.Fault)
	}
	if c.Rule != "" {
		fmt.Fprintf(&out, " by %q", c.Rule)
	}
	switch {
	case c.Unexpected:
		out.WriteString(" UNEXPECTED")
	case c.Canceled:
		fmt.Fprintf(&out, " canceled after %s", c.CanceledAt.Sub(c.At).Round(time.Millisecond))
	case !c.Done:
		out.WriteString(" in flight")
	}
	return out.String()
}

// tail shows a key by its last four bytes, and by stars alone when that would be a good part of it.
func tail(key string) string {
	if key == "" {
		return "(none)"
	}
	if end := secret.New(key).Tail(); end != "" {
		return "..." + end
	}
	return "****"
}
