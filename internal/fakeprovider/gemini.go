package fakeprovider

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

const googleJSON = "application/json; charset=UTF-8"

// indented pretty-prints JSON that this package wrote, as Google and OpenAI do.
func indented(text, by string) []byte {
	var out bytes.Buffer
	if err := json.Indent(&out, []byte(text), "", by); err != nil {
		return []byte(text)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// generate answers generateContent, and streamGenerateContent as server-sent events (alt=sse) or as one JSON
// array that grows. Shapes: Gemini API reference, "GenerateContentResponse".
func (a *ask) generate(t *Then) answer {
	if a.stream {
		return a.generateStream(t)
	}
	switch call, ok := a.toolCall(); {
	case t.blocked:
		return answer{contentType: googleJSON, before: indented(`{"promptFeedback":{"blockReason":"SAFETY"},`+a.geminiEnd(0)+`}`, "  ")}
	case t.nothing:
		return answer{contentType: googleJSON, before: indented(`{"candidates":[],`+a.geminiEnd(0)+`}`, "  ")}
	case ok:
		return answer{contentType: googleJSON, before: indented(`{`+candidate(functionPart(call), true)+`,`+a.geminiEnd(len(call.arguments)/4)+`}`, "  ")}
	}
	const mark = "MARK" // indenting must not walk through a megabyte of text
	before, after, _ := strings.Cut(string(indented(`{`+candidate(`{"text":"`+mark+`"}`, true)+`,`+a.geminiEnd(19)+`}`, "  ")), mark)
	an := framed(before, after, t.Shape)
	an.contentType = googleJSON
	return an
}

func candidate(part string, last bool) string {
	finish := ""
	if last {
		finish = `,"finishReason":"STOP"`
	}
	return `"candidates":[{"content":{"parts":[` + part + `],"role":"model"}` + finish + `,"index":0}]`
}

func functionPart(call toolCall) string {
	return `{"functionCall":{"name":` + quote(call.name) + `,"args":` + call.arguments + `}}`
}

// geminiEnd are the members behind the candidates, without braces.
func (a *ask) geminiEnd(output int) string {
	prompt := a.tokens()
	return `"usageMetadata":{"promptTokenCount":` + strconv.Itoa(prompt) + `,"candidatesTokenCount":` + strconv.Itoa(output) +
		`,"totalTokenCount":` + strconv.Itoa(prompt+output) + `,"promptTokensDetails":[{"modality":"TEXT","tokenCount":` + strconv.Itoa(prompt) +
		`}]},"modelVersion":` + quote(a.model) + `,"responseId":` + quote(a.id("fake"))
}

// generateStream sends one chunk for each piece of text. The last one carries finishReason: it is the proof of the
// end, and content too.
func (a *ask) generateStream(t *Then) answer {
	sse := a.r.URL.Query().Get("alt") == "sse"
	opening, closing, between := "data: ", "\r\n\r\n", ""
	if !sse {
		opening, closing, between = "", "", ",\r\n"
	}
	text := t.streamed()
	piece := func(i int) string { return `{"text":"` + string(text.piece(i)) + `"}` }
	events := text.pieces
	if call, ok := a.toolCall(); ok {
		piece, events = func(int) string { return functionPart(call) }, 1
	}
	s := &stream{events: events}
	if t.nothing {
		s.events = 0
	}
	frame := `,` + a.geminiEnd(1) + `}`
	s.event = func(dst []byte, i int) []byte {
		if i > 0 {
			dst = append(dst, between...)
		}
		dst = append(append(append(dst, opening...), '{'), candidate(piece(i), false)...)
		return append(append(dst, frame...), closing...)
	}
	last := candidate(`{"text":""}`, true)
	if t.nothing {
		last = `"candidates":[]`
	}
	if t.blocked {
		last = `"promptFeedback":{"blockReason":"SAFETY"}`
	}
	lead := opening
	if s.events > 0 {
		lead = between + opening
	}
	s.end = []byte(lead + `{` + last + `,` + a.geminiEnd(s.events) + `}` + closing)
	if !sse {
		s.head = [][]byte{[]byte("[")}
		s.end = append(s.end, "\n]\n"...)
		return answer{contentType: googleJSON, stream: s}
	}
	return answer{contentType: "text/event-stream", stream: s}
}

// geminiExtra answers countTokens, embedContent and batchEmbedContents.
func (a *ask) geminiExtra() answer {
	body := ""
	switch a.route { //nolint:exhaustive // only these three come here
	case routeGeminiCount:
		tokens := strconv.Itoa(a.tokens())
		body = `{"totalTokens":` + tokens + `,"promptTokensDetails":[{"modality":"TEXT","tokenCount":` + tokens + `}]}`
	case routeGeminiEmbed:
		body = `{"embedding":{"values":` + vectorJSON(dimensions(a.fields["outputDimensionality"], geminiDimensions)) + `}}`
	case routeGeminiBatchEmbed:
		var all []string
		for _, r := range a.fields["requests"].Array() {
			all = append(all, `{"values":`+vectorJSON(dimensions(r.Get("outputDimensionality"), geminiDimensions))+`}`)
		}
		body = `{"embeddings":[` + strings.Join(all, ",") + `]}`
	}
	return answer{contentType: googleJSON, before: indented(body, "  ")}
}
