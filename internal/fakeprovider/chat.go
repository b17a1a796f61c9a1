package fakeprovider

import (
	"strconv"

	"github.com/tidwall/gjson"
)

const eventStream = "text/event-stream; charset=utf-8"

// chat answers chat completions, plain or streamed, with a tool call when the request offers a function.
// Shapes: OpenAI API reference, "Chat" and "Chat streaming".
func (a *ask) chat(t *Then) answer {
	if a.stream {
		return answer{contentType: eventStream, stream: a.chatStream(t)}
	}
	open := `{"id":` + quote(a.id("chatcmpl-fake")) + `,"object":"chat.completion","created":` + a.created() +
		`,"model":` + quote(a.model) + `,"choices":[`
	if t.nothing {
		return jsonAnswer(open + `],"usage":` + a.chatUsage(0) + `,"service_tier":"default","system_fingerprint":"fp_fake"}`)
	}
	if call, ok := a.toolCall(); ok {
		return jsonAnswer(open + `{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":` + quote(a.id("call_")) +
			`,"type":"function","function":{"name":` + quote(call.name) + `,"arguments":` + quote(call.arguments) +
			`}}],"refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"tool_calls"}],"usage":` + a.chatUsage(len(call.arguments)/4) +
			`,"service_tier":"default","system_fingerprint":"fp_fake"}`)
	}
	before := open + `{"index":0,"message":{"role":"assistant","content":"`
	after := `","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":` + a.chatUsage(19) +
		`,"service_tier":"default","system_fingerprint":"fp_fake"}`
	return framed(before, after, t.Shape)
}

// framed puts the text between two parts of a JSON body.
func framed(before, after string, s Shape) answer {
	return answer{
		contentType: "application/json",
		before:      []byte(before),
		text:        s.say(len(before) + len(after)),
		after:       []byte(after),
	}
}

func (a *ask) chatUsage(completion int) string {
	prompt := a.tokens()
	return `{"prompt_tokens":` + strconv.Itoa(prompt) + `,"completion_tokens":` + strconv.Itoa(completion) +
		`,"total_tokens":` + strconv.Itoa(prompt+completion) +
		`,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}`
}

func (a *ask) chatStream(t *Then) *stream {
	withUsage := a.fields["stream_options"].Get("include_usage").Type == gjson.True
	frame := `{"id":` + quote(a.id("chatcmpl-fake")) + `,"object":"chat.completion.chunk","created":` + a.created() +
		`,"model":` + quote(a.model) + `,"service_tier":"default","system_fingerprint":"fp_fake","choices":[`
	usage := "" // with include_usage every chunk has the member, null but in the last
	if withUsage {
		usage = `,"usage":null`
	}
	chunk := func(delta, finish string) string {
		return "data: " + frame + `{"index":0,"delta":` + delta + `,"logprobs":null,"finish_reason":` + finish + `}]` + usage + "}\n\n"
	}
	s := &stream{end: []byte("data: [DONE]\n\n")}
	finish, spoken := `"stop"`, 0
	call, isTool := a.toolCall()
	switch {
	case t.nothing:
		s.events = 0
	case isTool:
		finish = `"tool_calls"`
		s.head = [][]byte{[]byte(chunk(`{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":`+quote(a.id("call_"))+
			`,"type":"function","function":{"name":`+quote(call.name)+`,"arguments":""}}],"refusal":null}`, "null"))}
		parts := halves(call.arguments)
		s.events, spoken = len(parts), len(call.arguments)/4
		s.event = func(dst []byte, i int) []byte {
			return append(dst, chunk(`{"tool_calls":[{"index":0,"function":{"arguments":`+quote(parts[i])+`}}]}`, "null")...)
		}
	default:
		s.head = [][]byte{[]byte(chunk(`{"role":"assistant","content":"","refusal":null}`, "null"))}
		text := t.streamed()
		before, after := "data: "+frame+`{"index":0,"delta":{"content":"`, `"},"logprobs":null,"finish_reason":null}]`+usage+"}\n\n"
		s.events, spoken = text.pieces, text.pieces
		s.event = func(dst []byte, i int) []byte {
			return append(append(append(dst, before...), text.piece(i)...), after...)
		}
	}
	s.tail = []byte(chunk(`{}`, finish))
	if withUsage {
		s.tail = append(s.tail, "data: "+frame+`],"usage":`+a.chatUsage(spoken)+"}\n\n"...)
	}
	return s
}

// halves cuts a tool's arguments in two, so that a client has to join them.
func halves(text string) []string {
	if len(text) < 2 {
		return []string{text}
	}
	middle := len(text) / 2
	for middle > 0 && text[middle]&0xc0 == 0x80 { // not within a rune
		middle--
	}
	return []string{text[:middle], text[middle:]}
}

// completion answers the legacy completions API.
func (a *ask) completion(s Shape) answer {
	frame := `{"id":` + quote(a.id("cmpl-fake")) + `,"object":"text_completion","created":` + a.created() + `,"model":` + quote(a.model) + `,"choices":[`
	if !a.stream {
		return framed(frame+`{"text":"`, `","index":0,"logprobs":null,"finish_reason":"stop"}],"usage":`+a.chatUsage(19)+`}`, s)
	}
	text := s.streamed()
	return answer{contentType: eventStream, stream: &stream{
		events: text.pieces,
		event: func(dst []byte, i int) []byte {
			dst = append(append(append(dst, "data: "...), frame...), `{"text":"`...)
			return append(append(dst, text.piece(i)...), "\",\"index\":0,\"logprobs\":null,\"finish_reason\":null}]}\n\n"...)
		},
		tail: []byte("data: " + frame + `{"text":"","index":0,"logprobs":null,"finish_reason":"stop"}]}` + "\n\n"),
		end:  []byte("data: [DONE]\n\n"),
	}}
}
