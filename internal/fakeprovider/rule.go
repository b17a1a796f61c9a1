package fakeprovider

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Rule says what happens to some calls. The zero When fires for every call, the zero Then is a healthy answer.
type Rule struct {
	Name  string // for dumps; empty takes the rule's number
	Match Match
	When  When
	Then  Then
}

// Match selects calls; empty fields accept everything. Model and Path may hold '*' for any run of characters.
type Match struct {
	Key      string // the credential in the format's own place, exact
	Model    string // as the caller wrote it, knobs included
	Method   string
	Path     string // decoded, without the /at/NAME prefix
	Upstream string // NAME of /at/NAME/
	Stream   *bool  // whether the caller asked for a stream
	// If is asked last, for Go users only. It must not call the Provider.
	If func(Call) bool
}

// When narrows a rule to some of the calls that its Match accepts; every field set must agree.
type When struct {
	Nth   int // this one only, counted from 1
	Every int // each n-th
	First int // the first n
	After int // all but the first n

	// Probability fires for this share of calls, 0 < p < 1, drawn from Seed (0 is taken as 1), so that a run repeats.
	Probability float64
	Seed        uint64

	From time.Duration // not before this long after the script was set
	For  time.Duration // and for this long; 0 is for ever

	// Per counts apart for each key, each model or each pair. Empty counts all together.
	Per Scope
}

// Scope says what a rule counts apart.
type Scope string

// The scopes.
const (
	PerRule     Scope = ""
	PerKey      Scope = "key"
	PerModel    Scope = "model"
	PerKeyModel Scope = "key+model"
)

// Then is what happens. A catalogued Fault sets a whole behaviour; the other fields add to it or replace parts.
type Then struct {
	Fault      string        // a name of the catalogue (see Faults); empty is none
	RetryAfter time.Duration // the wait that a 429 fault hints at; 0 takes 20 s
	Inner      string        // the fault told inside a 200; empty takes "503"

	// Status, Header and Body write an answer by hand. A Status of 0 keeps what would have been sent.
	// Headers are added, or replace those of the same name.
	Status int
	Header http.Header
	Body   string

	Delay time.Duration // before the first header byte
	// Hold keeps the call until Provider.Release(Hold): before the headers, or, with FlawStall, where it stalls.
	Hold string

	Break     Break // what the connection does instead of an answer
	Flaw      Flaw  // what goes wrong within the body
	FlawAfter int   // content pieces let through before it; -1 is before anything at all
	// RefuseFor is how long BreakRefuse keeps the listener closed; 0 takes one second.
	RefuseFor time.Duration

	Shape

	// Handler answers instead, for Go users only. The body can be read again.
	Handler http.Handler

	// What only the catalogue sets.
	verbatimType string // Content-Type of a Body that may be empty
	nothing      bool   // the answer holds no content
	blocked      bool   // Gemini says that it blocked the prompt
	huge         bool   // an error of Size bytes
}

// Break is a connection-level fault before the first header byte.
type Break string

// The breaks.
const (
	BreakNone    Break = ""
	BreakReset   Break = "reset"          // RST
	BreakEOF     Break = "eof"            // FIN
	BreakHeaders Break = "eof-in-headers" // FIN within the response headers
	BreakGarbage Break = "garbage"        // bytes that are not HTTP
	BreakHang    Break = "hang"           // silence until the caller leaves
	BreakRefuse  Break = "refused"        // RST, and the listener refuses connections for a while
)

// Flaw is what goes wrong after the headers of an otherwise healthy answer.
type Flaw string

// The flaws.
const (
	FlawNone        Flaw = ""
	FlawReset       Flaw = "cut-reset"    // RST within the body
	FlawClose       Flaw = "cut-close"    // FIN within a chunk, or short of Content-Length
	FlawCleanEnd    Flaw = "cut-clean"    // proper end of the HTTP message, but the answer is cut
	FlawNoEnd       Flaw = "no-end"       // everything but the last proof: [DONE], message_stop, response.completed, finishReason
	FlawStall       Flaw = "stall"        // silence until the caller leaves
	FlawFraming     Flaw = "bad-framing"  // a chunk size that is not a number
	FlawEvent       Flaw = "bad-event"    // an event whose data is not JSON, then goes on
	FlawError       Flaw = "error-event"  // the format's own error event, then a clean end
	FlawFailed      Flaw = "failed-event" // response.failed in the responses API, as FlawError elsewhere
	FlawRouterError Flaw = "router-error" // a chunk with a numeric error.code, as OpenRouter sends
)

// Shape is the size and pace of a healthy answer. Zero values take the defaults: one short sentence, no pauses.
type Shape struct {
	Size      int    // bytes of a whole body (never less than its frame), or of a stream's text in all
	Chunks    int    // content events of a stream, pieces of a whole body
	ChunkSize int    // bytes of text in each event
	Burst     int    // content events for each flush; 0 is 1
	Text      string // what the model says

	FirstToken time.Duration // between headers and first content; before the headers of a whole answer
	Gap        time.Duration // between content events or pieces

	Encoding string // gzip, br, zstd or deflate: compressed whether or not the caller accepts it
}

// Check says what is wrong with a rule, and nil when nothing is.
func (r Rule) Check() error {
	if _, ok := faultNamed(r.Then.Fault); !ok {
		return fmt.Errorf("rule %q: then.fault %q is not in the catalogue: one of %s", r.Name, r.Then.Fault, faultNames())
	}
	if f, ok := faultNamed(r.Then.Inner); !ok || (r.Then.Inner != "" && f.say == nil) {
		return fmt.Errorf("rule %q: then.inner %q is not an error of the catalogue", r.Name, r.Then.Inner)
	}
	switch r.Then.Break {
	case BreakNone, BreakReset, BreakEOF, BreakHeaders, BreakGarbage, BreakHang, BreakRefuse:
	default:
		return fmt.Errorf("rule %q: then.break %q is unknown", r.Name, r.Then.Break)
	}
	switch r.Then.Flaw {
	case FlawNone, FlawReset, FlawClose, FlawCleanEnd, FlawNoEnd, FlawStall, FlawFraming, FlawEvent, FlawError, FlawFailed, FlawRouterError:
	default:
		return fmt.Errorf("rule %q: then.flaw %q is unknown", r.Name, r.Then.Flaw)
	}
	switch r.When.Per {
	case PerRule, PerKey, PerModel, PerKeyModel:
	default:
		return fmt.Errorf("rule %q: when.per %q must be key, model or key+model", r.Name, r.When.Per)
	}
	if p := r.When.Probability; p < 0 || p >= 1 {
		return fmt.Errorf("rule %q: when.probability %v must be from 0 to below 1", r.Name, p)
	}
	if s := r.Then.Status; s != 0 && (s < 200 || s > 599) {
		return fmt.Errorf("rule %q: then.status %d must be from 200 to 599", r.Name, s)
	}
	return r.Then.Shape.check(r.Name)
}

// maxAnswer bounds what one answer may be asked to hold: 256 MiB, four times the largest body that is tested.
const maxAnswer = 256 << 20

func (s Shape) check(rule string) error {
	if s.Size < 0 || s.Size > maxAnswer || s.ChunkSize < 0 || s.ChunkSize > maxAnswer {
		return fmt.Errorf("rule %q: size and chunk_size must be from 0 to %d bytes", rule, maxAnswer)
	}
	if s.Chunks < 0 || s.Chunks > 1<<24 || s.Burst < 0 {
		return fmt.Errorf("rule %q: chunks must be from 0 to %d and burst not below 0", rule, 1<<24)
	}
	switch s.Encoding {
	case "", "gzip", "br", "zstd", "deflate":
		return nil
	}
	return fmt.Errorf("rule %q: encoding %q must be gzip, br, zstd or deflate", rule, s.Encoding)
}

// over returns s with what it leaves open taken from below.
func (s Shape) over(below Shape) Shape {
	pick(&s.Size, below.Size)
	pick(&s.Chunks, below.Chunks)
	pick(&s.ChunkSize, below.ChunkSize)
	pick(&s.Burst, below.Burst)
	pick(&s.Text, below.Text)
	pick(&s.FirstToken, below.FirstToken)
	pick(&s.Gap, below.Gap)
	pick(&s.Encoding, below.Encoding)
	return s
}

func pick[T comparable](own *T, below T) {
	var zero T
	if *own == zero {
		*own = below
	}
}

// accepts reports whether the rule's Match takes the call.
func (m Match) accepts(c *Call) bool {
	return (m.Key == "" || m.Key == c.Key) &&
		(m.Method == "" || m.Method == c.Method) &&
		(m.Upstream == "" || m.Upstream == c.Upstream) &&
		(m.Model == "" || glob(m.Model, c.Model)) &&
		(m.Path == "" || glob(m.Path, c.Path)) &&
		(m.Stream == nil || *m.Stream == c.Stream) &&
		(m.If == nil || m.If(*c))
}

// glob matches text against a pattern in which '*' stands for any run of characters, slashes included.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	if !strings.HasPrefix(text, parts[0]) {
		return false
	}
	text = text[len(parts[0]):]
	for _, part := range parts[1 : len(parts)-1] {
		at := strings.Index(text, part)
		if at < 0 {
			return false
		}
		text = text[at+len(part):]
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}
