package fakeprovider

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"mime"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tidwall/gjson"
)

// ask is one request as this package understands it.
type ask struct {
	r       *http.Request
	call    *Call
	dialect dialect
	route   route
	model   string // without knobs; empty where the path and body name none
	action  string // Gemini's word behind the colon, or the last path segment of an id
	stream  bool
	key     string // in the format's own place

	buffer    *bytes.Buffer
	body      []byte // decoded; nil where it is streamed (echo)
	readError error
	invalid   bool // the body should be JSON and is not
	fields    map[string]gjson.Result

	delivered atomic.Bool // the last byte of the answer was written

	fault string // asked for by the caller
	inner string
	after string        // FlawAfter, as text, empty when not asked for
	delay time.Duration // before the headers
	wait  time.Duration // what a 429 hints at
	shape Shape
}

var errTooLarge = errors.New("the request body is over the limit")

func (a *ask) tooLarge() bool { return errors.Is(a.readError, errTooLarge) }

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// largestPooled is the capacity up to which a body buffer is used again: one 64 MB upload must not stay for ever.
const largestPooled = 4 << 20

// receive reads a request whole (but for echo, which streams) and finds out what it asks for.
func (p *Provider) receive(r *http.Request) *ask {
	a := &ask{r: r, call: &Call{At: p.opts.Now(), Method: r.Method, URI: r.RequestURI, Host: r.Host}}
	keeping := p.opts.KeepCalls > 0
	a.classify()
	a.call.Key, a.call.Path = a.key, r.URL.Path
	if keeping {
		a.call.Header = r.Header.Clone()
		a.call.Credentials = credentials(r)
	}
	query := queryKnobs(r.URL.RawQuery)
	blind := r.Header.Get("X-Fake-Blind") != ""
	switch {
	case a.route == routeEcho:
		a.readKnobs(query)
		return a // echo reads, hashes and answers by itself
	case blind:
		_, a.readError = io.Copy(io.Discard, r.Body)
	default:
		a.readBody(p, keeping)
	}
	a.readFields()
	a.readKnobs(query)
	a.call.Model, a.call.Stream = a.model, a.stream
	a.model = a.modelKnobs(a.model)
	return a
}

func (a *ask) release() {
	if a.buffer != nil && a.buffer.Cap() <= largestPooled {
		a.buffer.Reset()
		buffers.Put(a.buffer)
	}
	a.buffer, a.body, a.fields = nil, nil, nil
}

// readBody reads up to the bound, keeps the beginning for the record, and undoes Content-Encoding.
func (a *ask) readBody(p *Provider, keeping bool) {
	a.buffer, _ = buffers.Get().(*bytes.Buffer)
	var sum hash.Hash
	source := io.Reader(io.LimitReader(a.r.Body, p.opts.MaxBody+1))
	if keeping {
		sum = sha256.New()
		source = io.TeeReader(source, sum)
	}
	n, err := a.buffer.ReadFrom(source)
	a.body, a.readError, a.call.BodyBytes = a.buffer.Bytes(), err, n
	if n > p.opts.MaxBody {
		a.readError = errTooLarge
	}
	if keeping {
		a.call.BodySHA256 = hex.EncodeToString(sum.Sum(nil))
		if kept := min(n, int64(p.opts.KeepBody)); kept > 0 {
			a.call.Body = bytes.Clone(a.body[:kept])
		}
	}
	if encoding := a.r.Header.Get("Content-Encoding"); encoding != "" && a.readError == nil {
		if plain, err := decode(encoding, a.body, p.opts.MaxBody); err == nil {
			a.body = plain
		} else {
			a.invalid = true
		}
	}
}

// readFields finds the top-level members of a JSON body, the last of each name as providers do, and from them (or
// from the path) the model and whether a stream is asked for.
func (a *ask) readFields() {
	a.stream = a.action == "streamGenerateContent"
	if a.r.Header.Get("X-Fake-Blind") != "" {
		a.model = cmp.Or(a.model, a.r.Header.Get("X-Fake-Model"), "fake-model")
		a.stream = a.stream || a.r.Header.Get("X-Fake-Stream") != ""
		return
	}
	if !a.route.readsJSON() {
		if a.model == "" && a.route.readsForm() {
			a.model = formValue(a.r.Header.Get("Content-Type"), a.body, "model")
		}
		return
	}
	parsed := gjson.ParseBytes(a.body)
	if a.invalid || !parsed.IsObject() || !validJSON(a.body) {
		a.invalid = true
		return
	}
	a.fields = make(map[string]gjson.Result, 8)
	parsed.ForEach(func(name, value gjson.Result) bool {
		a.fields[name.Str] = value
		return true
	})
	if a.model == "" && a.fields["model"].Type == gjson.String {
		a.model = a.fields["model"].Str
	}
	a.stream = a.stream || a.fields["stream"].Type == gjson.True
}

// validJSON is gjson's quick check, but for bodies that might nest too deep for its recursion: encoding/json refuses
// those beyond 10,000 levels.
func validJSON(body []byte) bool {
	const deep = 10_000
	if bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) > deep {
		return json.Valid(body)
	}
	return gjson.ValidBytes(body)
}

// credentials finds every credential of a request, wherever a client may put one.
func credentials(r *http.Request) []Credential {
	var found []Credential
	for _, v := range r.Header["Authorization"] {
		if token, ok := bearer(v); ok {
			found = append(found, Credential{"bearer", token})
		}
	}
	for _, spot := range [...]string{"X-Api-Key", "X-Goog-Api-Key", "Api-Key"} {
		for _, v := range r.Header[spot] {
			found = append(found, Credential{strings.ToLower(spot), v})
		}
	}
	if strings.Contains(r.URL.RawQuery, "key=") {
		for _, v := range r.URL.Query()["key"] {
			found = append(found, Credential{"query", v})
		}
	}
	return found
}

func bearer(value string) (string, bool) {
	scheme, token, ok := strings.Cut(value, " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return "", false
	}
	return strings.TrimSpace(token), true
}

// nativeKey returns the credential that the format reads: the first place that holds one.
func nativeKey(d dialect, r *http.Request) string {
	token, _ := bearer(r.Header.Get("Authorization"))
	switch d {
	case dialectAnthropic:
		if k := r.Header.Get("X-Api-Key"); k != "" {
			return k
		}
	case dialectGemini:
		if k := r.Header.Get("X-Goog-Api-Key"); k != "" {
			return k
		}
		if strings.Contains(r.URL.RawQuery, "key=") {
			if k := r.URL.Query().Get("key"); k != "" {
				return k
			}
		}
	case dialectOpenAI, dialectResponses, dialectGeminiCompat:
		if token == "" {
			return r.Header.Get("Api-Key") // Azure OpenAI
		}
	}
	return token
}

// formValue reads one text field of a multipart or urlencoded body; empty when there is none.
func formValue(contentType string, body []byte, name string) string {
	kind, _, err := mime.ParseMediaType(contentType)
	if err != nil || kind != "multipart/form-data" {
		return ""
	}
	for part := range formParts(contentType, body) {
		if part.name == name && part.filename == "" {
			return string(part.data)
		}
	}
	return ""
}
