package fakeprovider

import (
	"strconv"
	"strings"
)

// response answers the responses API, plain or as its full event sequence.
// Shapes: OpenAI API reference, "Responses" and "Streaming events".
func (a *ask) response(t *Then) answer {
	if a.stream {
		return answer{contentType: eventStream, stream: a.responseStream(t)}
	}
	if t.nothing {
		return jsonAnswer(a.responseObject("completed", "[]", true))
	}
	if call, ok := a.toolCall(); ok {
		return jsonAnswer(a.responseObject("completed", "["+a.functionItem(call, "completed", call.arguments)+"]", true))
	}
	const mark = "\x00"
	before, after, _ := strings.Cut(a.responseObject("completed", "["+a.messageItem("completed", mark)+"]", true), mark)
	return framed(before, after, t.Shape)
}

// storedResponse answers GET and DELETE of a response.
func (a *ask) storedResponse() answer {
	if a.r.Method == "DELETE" {
		return jsonAnswer(`{"id":` + quote(a.action) + `,"object":"response","deleted":true}`)
	}
	a.model = "gpt-4.1-nano"
	return jsonAnswer(a.responseObject("completed", "["+a.messageItem("completed", sentence)+"]", true))
}

// responseObject is the whole object; output is JSON.
func (a *ask) responseObject(status, output string, withUsage bool) string {
	usage := "null"
	if withUsage {
		prompt := a.tokens()
		usage = `{"input_tokens":` + strconv.Itoa(prompt) + `,"input_tokens_details":{"cached_tokens":0},"output_tokens":19,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":` + strconv.Itoa(prompt+19) + `}`
	}
	return a.responseWith(status, "null", output, usage)
}

func (a *ask) responseWith(status, failure, output, usage string) string {
	tools := "[]"
	if given := a.fields["tools"]; given.IsArray() {
		tools = given.Raw
	}
	return `{"id":` + quote(a.id("resp_fake")) + `,"object":"response","created_at":` + a.created() + `,"status":"` + status +
		`","background":false,"error":` + failure + `,"incomplete_details":null,"instructions":null,"max_output_tokens":null,"model":` + quote(a.model) +
		`,"output":` + output + `,"parallel_tool_calls":true,"previous_response_id":null,"reasoning":{"effort":null,"summary":null},"store":true,"temperature":1.0,"text":{"format":{"type":"text"}},"tool_choice":"auto","tools":` + tools +
		`,"top_p":1.0,"truncation":"disabled","usage":` + usage + `,"user":null,"metadata":{}}`
}

// messageItem is an output item; text is JSON-escaped.
func (a *ask) messageItem(status, text string) string {
	content := `[{"type":"output_text","annotations":[],"logprobs":[],"text":"` + text + `"}]`
	if status == "in_progress" {
		content = "[]"
	}
	return `{"id":` + quote(a.id("msg_fake")) + `,"type":"message","status":"` + status + `","content":` + content + `,"role":"assistant"}`
}

func (a *ask) functionItem(call toolCall, status, arguments string) string {
	return `{"id":` + quote(a.id("fc_fake")) + `,"type":"function_call","status":"` + status + `","arguments":` + quote(arguments) +
		`,"call_id":` + quote(a.id("call_")) + `,"name":` + quote(call.name) + `}`
}

// sequence writes the events of one stream with their running numbers.
type sequence struct{ next int }

func (q *sequence) event(dst []byte, kind, members string) []byte {
	dst = append(append(append(dst, "event: "...), kind...), "\ndata: {\"type\":\""...)
	dst = append(append(dst, kind...), "\",\"sequence_number\":"...)
	dst = strconv.AppendInt(dst, int64(q.next), 10)
	q.next++
	return append(append(append(dst, ','), members...), "}\n\n"...)
}

func (a *ask) responseStream(t *Then) *stream {
	q := &sequence{}
	started := `"response":` + a.responseObject("in_progress", "[]", false)
	s := &stream{head: [][]byte{q.event(q.event(nil, "response.created", started), "response.in_progress", started)}}
	if t.nothing {
		s.end = q.event(nil, "response.completed", `"response":`+a.responseObject("completed", "[]", true))
		return s
	}
	if call, ok := a.toolCall(); ok {
		a.streamFunction(s, q, call)
		return s
	}
	text := t.streamed()
	place := `"item_id":` + quote(a.id("msg_fake")) + `,"output_index":0,"content_index":0,`
	part := `"part":{"type":"output_text","annotations":[],"logprobs":[],"text":"`
	head := q.event(nil, "response.output_item.added", `"output_index":0,"item":`+a.messageItem("in_progress", ""))
	s.head = append(s.head, q.event(head, "response.content_part.added", place+part+`"}`))
	first := q.next
	s.events = text.pieces
	s.event = func(dst []byte, i int) []byte {
		dst = append(dst, "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":"...)
		dst = strconv.AppendInt(dst, int64(first+i), 10)
		dst = append(append(append(dst, ','), place...), `"delta":"`...)
		return append(append(dst, text.piece(i)...), "\",\"logprobs\":[]}\n\n"...)
	}
	q.next += text.pieces
	whole := string(text.text())
	s.tail = q.event(nil, "response.output_text.done", place+`"text":"`+whole+`","logprobs":[]`)
	s.tail = q.event(s.tail, "response.content_part.done", place+part+whole+`"}`)
	item := a.messageItem("completed", whole)
	s.tail = q.event(s.tail, "response.output_item.done", `"output_index":0,"item":`+item)
	s.end = q.event(nil, "response.completed", `"response":`+a.responseObject("completed", "["+item+"]", true))
	return s
}

func (a *ask) streamFunction(s *stream, q *sequence, call toolCall) {
	place := `"item_id":` + quote(a.id("fc_fake")) + `,"output_index":0,`
	s.head = append(s.head, q.event(nil, "response.output_item.added", `"output_index":0,"item":`+a.functionItem(call, "in_progress", "")))
	parts, first := halves(call.arguments), q.next
	s.events = len(parts)
	s.event = func(dst []byte, i int) []byte {
		at := sequence{first + i}
		return at.event(dst, "response.function_call_arguments.delta", place+`"delta":`+quote(parts[i]))
	}
	q.next += len(parts)
	item := a.functionItem(call, "completed", call.arguments)
	s.tail = q.event(nil, "response.function_call_arguments.done", place+`"name":`+quote(call.name)+`,"arguments":`+quote(call.arguments))
	s.tail = q.event(s.tail, "response.output_item.done", `"output_index":0,"item":`+item)
	s.end = q.event(nil, "response.completed", `"response":`+a.responseObject("completed", "["+item+"]", true))
}
