package fakeprovider

import "strconv"

// messages answers the messages API, plain or streamed.
// Shapes: Anthropic API reference, "Messages" and "Streaming messages". The members that version 2026-10-21
// requires beside those of 2023-06-01 (container, diagnostics, stop_details) are always there, null.
func (a *ask) messages(t *Then) answer {
	if a.stream {
		return answer{contentType: eventStream, stream: a.messageStream(t)}
	}
	open := a.messageOpen() + `"content":[`
	switch call, ok := a.toolCall(); {
	case t.nothing:
		return jsonAnswer(open + a.messageClose("end_turn", 0))
	case ok:
		return jsonAnswer(open + `{"type":"tool_use","id":` + quote(a.id("toolu_")) + `,"name":` + quote(call.name) + `,"input":` + call.arguments + `}` +
			a.messageClose("tool_use", len(call.arguments)/4))
	}
	return framed(open+`{"type":"text","text":"`, `","citations":null}`+a.messageClose("end_turn", 19), t.Shape)
}

func (a *ask) messageOpen() string {
	return `{"id":` + quote(a.id("msg_fake")) + `,"type":"message","role":"assistant","model":` + quote(a.model) + `,`
}

func (a *ask) messageClose(reason string, output int) string {
	if reason != "null" {
		reason = `"` + reason + `"`
	}
	return `],"container":null,"diagnostics":null,"stop_details":null,"stop_reason":` + reason + `,"stop_sequence":null,"usage":` + a.messageUsage(output) + `}`
}

func (a *ask) messageUsage(output int) string {
	return `{"input_tokens":` + strconv.Itoa(a.tokens()) + `,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":` +
		strconv.Itoa(output) + `,"service_tier":"standard"}`
}

// named is one server-sent event with a name.
func named(event, data string) []byte {
	return []byte("event: " + event + "\ndata: " + data + "\n\n")
}

func (a *ask) messageStream(t *Then) *stream {
	s := &stream{
		head: [][]byte{named("message_start", `{"type":"message_start","message":`+a.messageOpen()+`"content":[`+a.messageClose("null", 1)+`}`)},
		end:  named("message_stop", `{"type":"message_stop"}`),
	}
	ping := named("ping", `{"type":"ping"}`)
	call, isTool := a.toolCall()
	reason, spoken := "end_turn", 0
	var start, before, after string
	text := t.streamed()
	piece := text.piece
	switch {
	case t.nothing:
		s.head = append(s.head, ping)
	case isTool:
		reason = "tool_use"
		start = `{"type":"tool_use","id":` + quote(a.id("toolu_")) + `,"name":` + quote(call.name) + `,"input":{}}`
		before, after = `{"type":"input_json_delta","partial_json":"`, `"}`
		parts := halves(call.arguments)
		s.events = len(parts)
		piece = func(i int) []byte { return escaped(parts[i]) }
	default:
		start = `{"type":"text","text":""}`
		before, after = `{"type":"text_delta","text":"`, `"}`
		s.events = text.pieces
	}
	if s.events > 0 {
		spoken = s.events
		block := named("content_block_start", `{"type":"content_block_start","index":0,"content_block":`+start+`}`)
		s.head = append(s.head, block, ping)
		s.event = func(dst []byte, i int) []byte {
			dst = append(append(dst, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"...), before...)
			return append(append(append(dst, piece(i)...), after...), "}\n\n"...)
		}
		s.tail = named("content_block_stop", `{"type":"content_block_stop","index":0}`)
	}
	s.tail = append(s.tail, named("message_delta", `{"type":"message_delta","delta":{"container":null,"stop_details":null,"stop_reason":"`+reason+
		`","stop_sequence":null},"usage":`+a.messageUsage(spoken)+`}`)...)
	return s
}
