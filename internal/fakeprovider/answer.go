package fakeprovider

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// answer is what a healthy provider sends. A whole body stands in three parts, so that a large text is never copied.
type answer struct {
	status      int // 0 is 200
	contentType string
	header      [][2]string
	chunked     bool // no Content-Length, as trailers need it
	edge        bool // from something in front of the provider, without its headers

	before, text, after []byte

	stream *stream // instead of a whole body
}

// stream is a streamed answer in its parts.
type stream struct {
	head   [][]byte                       // events before any content
	event  func(dst []byte, i int) []byte // appends content event i
	events int                            // content events
	tail   []byte                         // closes the answer: finish_reason, usage
	end    []byte                         // the protocol's proof that nothing is missing
}

// speech is what the model says in a stream.
type speech struct {
	pieces int
	piece  func(i int) []byte // JSON-escaped
}

const sentence = "Hello! I am a fake provider, and every word of this answer is made up."

// say prepares the text of a whole body whose frame takes overhead bytes. The result is JSON-escaped.
func (s Shape) say(overhead int) []byte {
	switch {
	case s.Text != "":
		return escaped(s.Text)
	case s.Size > 0:
		return filler(max(s.Size-overhead, 1))
	case s.ChunkSize > 0:
		return filler(s.ChunkSize * max(s.Chunks, 1))
	}
	return []byte(sentence)
}

// streamed prepares the text of a stream: Chunks pieces of ChunkSize bytes, or Size bytes in all.
func (s Shape) streamed() speech {
	const usualPiece = 64 // bytes of text in an event when only the total is asked for
	if s.Size == 0 && s.ChunkSize == 0 && s.Chunks == 0 {
		text := s.Text
		if text == "" {
			text = sentence
		}
		words := strings.SplitAfter(text, " ")
		return speech{pieces: len(words), piece: func(i int) []byte { return escaped(words[i]) }}
	}
	size, chunks := s.ChunkSize, s.Chunks
	if size == 0 {
		size = usualPiece
		if s.Size > 0 && chunks > 0 {
			size = max(s.Size/chunks, 1)
		}
	}
	if chunks == 0 {
		chunks = max(s.Size/size, 1)
	}
	same := filler(size)
	return speech{pieces: chunks, piece: func(int) []byte { return same }}
}

// text joins what a stream says in all: its last events repeat it.
func (s speech) text() []byte {
	var out bytes.Buffer
	for i := range s.pieces {
		out.Write(s.piece(i))
	}
	return out.Bytes()
}

// escaped is text as it stands between the quotes of a JSON string.
func escaped(text string) []byte {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "?")
	}
	quoted := quote(text)
	return []byte(quoted[1 : len(quoted)-1])
}

var (
	slab     []byte
	slabOnce sync.Once
)

// filler returns n bytes of words that need no escaping. Up to 1 MiB costs nothing; the result is shared and
// must not be changed.
func filler(n int) []byte {
	const prepared = 1 << 20
	slabOnce.Do(func() {
		words := []byte("the quick brown fox jumps over the lazy dog and a fake model goes on talking about it ")
		slab = bytes.Repeat(words, prepared/len(words)+1)
	})
	if n <= len(slab) {
		return slab[:n]
	}
	return bytes.Repeat(slab, n/len(slab)+1)[:n]
}

// answer makes the healthy answer of the route.
func (a *ask) answer(d *delivery) answer {
	shape := d.pl.then.Shape
	switch a.route {
	case routeChat:
		return a.chat(&d.pl.then)
	case routeCompletions:
		return a.completion(shape)
	case routeResponses:
		return a.response(&d.pl.then)
	case routeResponseGet:
		return a.storedResponse()
	case routeEmbeddings:
		return a.embeddings()
	case routeModerations:
		return a.moderation()
	case routeModels:
		return a.modelList(d.p.models(a.dialect))
	case routeModel:
		return a.modelOf()
	case routeImages, routeImageEdits:
		return a.image(shape)
	case routeSpeech:
		return a.speech(shape)
	case routeTranscription:
		return a.transcription()
	case routeFileUpload, routeFiles, routeFile, routeFileContent:
		return a.file(shape)
	case routeMessages:
		return a.messages(&d.pl.then)
	case routeCountTokens:
		return jsonAnswer(`{"input_tokens":` + strconv.Itoa(a.tokens()) + `}`)
	case routeGenerate:
		return a.generate(&d.pl.then)
	case routeGeminiCount, routeGeminiEmbed, routeGeminiBatchEmbed:
		return a.geminiExtra()
	case routeUnknown, routeEcho, routeWrongMethod:
	}
	return answer{status: http.StatusNotFound}
}

func jsonAnswer(body string) answer {
	return answer{contentType: "application/json", before: []byte(body)}
}

// tokens estimates the request's size at four bytes a token, as good a guess as any.
func (a *ask) tokens() int { return max(len(a.body)/4, 1) }

func (a *ask) created() string { return strconv.FormatInt(a.call.At.Unix(), 10) }

// id makes an identifier that is unique within the process and says which call it belongs to.
func (a *ask) id(prefix string) string {
	const width = 24
	digits := strconv.Itoa(a.call.Seq)
	return prefix + strings.Repeat("0", max(width-len(digits), 0)) + digits
}

func (a *ask) requestID() string { return a.id("req_fake") }

// usualHeaders sets what each provider sends beside the body, repeated headers among them. Errors carry no limits:
// on a 429 they would be a hint.
func (a *ask) usualHeaders(h http.Header, failed bool) {
	switch a.dialect {
	case dialectAnthropic:
		h["Request-Id"] = []string{a.requestID()}
		h["Anthropic-Organization-Id"] = []string{"00000000-0000-4000-8000-00000000fa4e"}
	case dialectGemini, dialectGeminiCompat:
		h["Server"] = []string{"scaffolding on HTTPServer2"}
		h["Vary"] = []string{"Origin", "X-Origin", "Referer"}
		h["X-Content-Type-Options"] = []string{"nosniff"}
	case dialectOpenAI, dialectResponses:
		h["X-Request-Id"] = []string{a.requestID()}
		h["Openai-Organization"] = []string{"org-fake"}
		h["Openai-Version"] = []string{"2020-10-01"}
		h["Openai-Processing-Ms"] = []string{"7"}
		h["Set-Cookie"] = []string{"__cf_bm=fake; path=/; HttpOnly; Secure", "_cfuvid=fake; path=/; HttpOnly; Secure"}
	}
	if failed {
		return
	}
	switch a.dialect { //nolint:exhaustive // Gemini tells no limits
	case dialectAnthropic:
		h["Anthropic-Ratelimit-Requests-Limit"] = []string{"50"}
		h["Anthropic-Ratelimit-Requests-Remaining"] = []string{"49"}
	case dialectOpenAI, dialectResponses:
		h["X-Ratelimit-Limit-Requests"] = []string{"10000"}
		h["X-Ratelimit-Remaining-Requests"] = []string{"9999"}
		h["X-Ratelimit-Reset-Requests"] = []string{"6ms"}
	}
}
