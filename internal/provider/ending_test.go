package provider

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

const (
	transcript    = `data: {"type":"transcript.text.done","text":"[DONE]"}` + "\n\n"
	bigChoice     = `data: {"choices":[{"delta":{"content":"\"finish_reason\": \"stop\" data: [DONE] \"error\":{"}}]}` + "\n\n"
	responseError = "event: error\ndata: {\"type\":\"error\",\"sequence_number\":7,\"message\":\"x\"}\n\n"
)

// longCompleted repeats an answer of 10 KB, so that nothing but usage stands near its end.
var longCompleted = strings.Replace(responseDone, `"output":[`, `"output":["`+strings.Repeat("x", 10<<10)+`",`, 1)

var endings = []struct {
	name       string
	format     Format
	kind       Kind
	body       string
	terminated bool
	failed     bool
}{
	{"chat: whole", FormatOpenAI, KindSSE, chatRole + chatText + chatStop + chatUsage + chatDone, true, false},
	{"chat: no [DONE]", FormatOpenAI, KindSSE, chatRole + chatText + chatStop, true, false},
	{"chat: no finish_reason", FormatOpenAI, KindSSE, chatRole + chatText + chatDone, true, false},
	{"chat: [DONE] without line end", FormatOpenAI, KindSSE, chatRole + chatText + "data: [DONE]", true, false},
	{"chat: [DONE] without space", FormatOpenAI, KindSSE, chatText + "data:[DONE]\r\n\r\n", true, false},
	{"chat: cut between events", FormatOpenAI, KindSSE, chatRole + chatText, false, false},
	{"chat: cut in an event", FormatOpenAI, KindSSE, chatRole + chatText[:40], false, false},
	{"chat: cut in the last event", FormatOpenAI, KindSSE, chatRole + chatStop + chatUsage[:40], false, false},
	{"chat: text that speaks of ends", FormatOpenAI, KindSSE, bigChoice, false, false},
	{"chat: empty finish_reason", FormatOpenAI, KindSSE, strings.Replace(chatText, `"finish_reason":null`, `"finish_reason":""`, 1), false, false},
	{"chat: spaces", FormatOpenAI, KindSSE, `data: {"choices" : [{"delta": {}, "finish_reason" : "stop"}]}` + "\n\n", true, false},
	{"chat: error event", FormatOpenAI, KindSSE, chatText + "data: " + openAIFault + "\n\n", true, true},
	{"chat: finish_reason error", FormatOpenAI, KindSSE, strings.Replace(chatStop, "stop", "error", 1), true, true},
	{"transcript", FormatOpenAI, KindSSE, transcript, true, false},
	{"transcript: cut", FormatOpenAI, KindSSE, transcript + transcript[:20], false, false},
	{"transcript: [DONE] in a text", FormatOpenAI, KindSSE, transcript[:len(transcript)-4], false, false},
	{"nothing", FormatOpenAI, KindSSE, "", true, false},
	{"chat served as JSON", FormatOpenAI, KindJSON, chatRole + chatText, false, false},
	{"answer", FormatOpenAI, KindJSON, `{"choices":[`, true, false},
	{"audio", FormatOpenAI, KindBinary, chatRole, true, false},

	{"responses: whole", FormatResponses, KindSSE, responseCreated + responseDelta + responseDone, true, false},
	{"responses: long", FormatResponses, KindSSE, responseCreated + responseDelta + longCompleted, true, false},
	{"responses: long, cut", FormatResponses, KindSSE, responseCreated + responseDelta + longCompleted[:9<<10], false, false},
	{"responses: cut", FormatResponses, KindSSE, responseCreated + responseDelta, false, false},
	{"responses: failed", FormatResponses, KindSSE, responseCreated + responseDelta + responseFailed, true, true},
	{"responses: error", FormatResponses, KindSSE, responseCreated + responseError, true, true},

	{"messages: whole", FormatAnthropic, KindSSE, messageStart + blockStart + blockDelta + messageDelta + messageStop, true, false},
	{"messages: no message_stop", FormatAnthropic, KindSSE, messageStart + blockStart + blockDelta + messageDelta, false, false},
	{"messages: error", FormatAnthropic, KindSSE, messageStart + "event: error\ndata: " + overloaded + "\n\n", true, true},

	{"gemini: whole", FormatGemini, KindSSE, "data: " + geminiText + "\r\n\r\ndata: " + geminiStop + "\r\n\r\n", true, false},
	{"gemini: cut", FormatGemini, KindSSE, "data: " + geminiText + "\r\n\r\n", false, false},
	{"gemini: blocked", FormatGemini, KindSSE, `data: {"candidates":[],"promptFeedback":{"blockReason":"OTHER"}}` + "\n\n", true, false},
	{"gemini: error", FormatGemini, KindSSE, "data: " + geminiText + "\r\n\r\ndata: " + geminiFault + "\r\n\r\n", true, true},
	{"gemini: a tool's own error", FormatGemini, KindSSE, `data: {"candidates":[{"content":{"parts":[{"functionCall":{"args":{"error":{"a":1}}}}]}}]}` + "\n\n", false, false},
	{"gemini array: whole", FormatGemini, KindJSON, "[" + geminiText + "\n,\r\n" + geminiStop + "\n]\n", true, false},
	{"gemini array: open", FormatGemini, KindJSON, "[" + geminiText + "\n,\r\n" + geminiStop + "\n", false, false},
	{"gemini array: brackets in texts", FormatGemini, KindJSON, `[{"a":"]}\\\"]}"`, false, false},
	{"gemini array: cut behind an inner one", FormatGemini, KindJSON, `[{"candidates":[{"content":{"parts":[{"text":"x"}]`, false, false},
}

func TestEndingTerminated(t *testing.T) {
	for _, test := range endings {
		for _, size := range []int{len(test.body) + 1, 1000, 7, 1} {
			e := NewEnding(test.format, test.kind)
			writeInPieces(&e, test.body, size)
			if e.Terminated() != test.terminated || e.Failed() != test.failed {
				t.Errorf("%s in pieces of %d: terminated %v, failed %v, want %v and %v", test.name, size, e.Terminated(), e.Failed(), test.terminated, test.failed)
			}
		}
	}
}

func writeInPieces(e *Ending, body string, size int) {
	for len(body) > size {
		e.Write([]byte(body[:size]))
		body = body[size:]
	}
	e.Write([]byte(body))
}

func TestErrorEvent(t *testing.T) {
	const cut = "data: {\"choices\":[{\"del"
	for _, test := range []struct {
		name   string
		format Format
		kind   Kind
		body   string
		want   string // before the JSON
	}{
		{"nothing sent", FormatOpenAI, KindSSE, "", "data: "},
		{"between events", FormatOpenAI, KindSSE, chatText, "data: "},
		{"between events, CR LF", FormatOpenAI, KindSSE, "data: 1\r\n\r\n", "data: "},
		{"between events, CR", FormatOpenAI, KindSSE, "data: 1\r\r", "data: "},
		{"half an event", FormatOpenAI, KindSSE, "data: 1\n", "\ndata: "},
		{"half an event, CR LF", FormatOpenAI, KindSSE, "data: 1\r\n", "\ndata: "},
		{"half an event, CR", FormatOpenAI, KindSSE, "data: 1\r", "\n\ndata: "},
		{"half a line", FormatOpenAI, KindSSE, cut, "\n\ndata: "},
		{"responses", FormatResponses, KindSSE, responseCreated + responseDelta, "event: error\ndata: "},
		{"messages", FormatAnthropic, KindSSE, messageStart + "event: pi", "\n\nevent: error\ndata: "},
		{"gemini", FormatGemini, KindSSE, "data: " + geminiText + "\r\n\r\n", "data: "},
	} {
		e := NewEnding(test.format, test.kind)
		writeInPieces(&e, test.body, 50)
		event, message := e.ErrorEvent(`broke "off"`, "stream_cut"), ""
		object, whole := bytes.CutSuffix(event, []byte("\n\n"))
		object, begun := bytes.CutPrefix(object, []byte(test.want))
		var parsed struct{ Error struct{ Message string } }
		if err := json.Unmarshal(object, &parsed); err == nil {
			message = parsed.Error.Message
		}
		if !whole || !begun || message != `broke "off"` {
			t.Errorf("%s: %q", test.name, event)
		}
		// The stream with the event is a stream: a reader meets the error as its last event.
		events := readEvents([]byte(test.body + string(event)))
		if last := events[len(events)-1]; last.data != string(object) {
			t.Errorf("%s: the last event is %q", test.name, last.data)
		}
		decision, _ := decide(inspection{format: test.format, kind: test.kind, body: string(event)})
		if decision != DecisionError {
			t.Errorf("%s: our own error event is taken for %v", test.name, decision)
		}
		e.Write(event)
		if !e.Terminated() || !e.Failed() {
			t.Errorf("%s: our own error event does not end the stream", test.name)
		}
	}
}

func TestErrorEventNumbersResponses(t *testing.T) {
	e := NewEnding(FormatResponses, KindSSE)
	writeInPieces(&e, responseCreated+responseDelta, 3)
	var event struct {
		Type, Code, Message string
		Sequence            int `json:"sequence_number"`
		Error               struct{ Type, Code, Message string }
	}
	_, object, _ := strings.Cut(string(e.ErrorEvent("m", "c")), "data: ")
	if err := json.Unmarshal([]byte(object), &event); err != nil {
		t.Fatal(err)
	}
	if event.Type != "error" || event.Code != "c" || event.Message != "m" || event.Sequence != 5 || event.Error.Code != "c" || event.Error.Type != "server_error" {
		t.Errorf("the event is %s", object)
	}
}

func TestErrorEventInArrays(t *testing.T) {
	for body, want := range map[string]string{
		"[":                                "[",
		" [ " + geminiText:                 " [ " + geminiText + ",",
		"[" + geminiText + "\n,\r\n":       "[" + geminiText + "\n,\r\n",
		"[" + geminiText + "\n,\r\n{\"can": "",
		"[{\"text\":\"}":                   "",
		"[" + geminiText + "]":             "",
	} {
		e := NewEnding(FormatGemini, KindJSON)
		writeInPieces(&e, body, 5)
		element := e.ErrorEvent("m", "c")
		if want == "" {
			if element != nil {
				t.Errorf("%s: %s", body, element)
			}
			continue
		}
		whole := body + string(element)
		if !strings.HasPrefix(whole, want) || !json.Valid([]byte(whole)) || !strings.HasSuffix(whole, "]") {
			t.Errorf("%s", whole)
		}
	}
	for _, kind := range []Kind{KindJSON, KindBinary} {
		e := NewEnding(FormatOpenAI, kind)
		e.Write([]byte(`{"choices":[`))
		if event := e.ErrorEvent("m", "c"); event != nil {
			t.Errorf("%v: %s", kind, event)
		}
	}
}

// FuzzEnding: where a stream is cut into writes must not change what is known of it.
func FuzzEnding(f *testing.F) {
	for n, c := range endings {
		f.Add(uint8(c.format), uint8(c.kind), []byte(c.body), uint16(n*7), uint16(n*13))
	}
	f.Fuzz(func(t *testing.T, format, kind uint8, body []byte, a, b uint16) {
		whole := NewEnding(Format(format%4), Kind(kind%4))
		whole.Write(body)
		first := int(a) % (len(body) + 1)
		second := first + int(b)%(len(body)-first+1)
		parts := NewEnding(Format(format%4), Kind(kind%4))
		parts.Write(body[:first])
		parts.Write(body[first:second])
		parts.Write(body[second:])
		// A name and its value more than endingTail apart are found only within one write.
		if strings.Contains(string(body), strings.Repeat(" ", 8)) || strings.Contains(string(body), "\n\n\n") {
			return
		}
		if whole.Terminated() != parts.Terminated() || whole.Failed() != parts.Failed() {
			t.Errorf("%v %v %q cut at %d and %d: terminated %v, failed %v, whole %v, %v", whole.format, whole.kind, body, first, second,
				parts.Terminated(), parts.Failed(), whole.Terminated(), whole.Failed())
		}
		if got, want := parts.ErrorEvent("m", "c"), whole.ErrorEvent("m", "c"); !bytes.Equal(got, want) {
			t.Errorf("%q cut at %d and %d ends with %q, whole with %q", body, first, second, got, want)
		}
	})
}

func TestEndingAllocatesNothing(t *testing.T) {
	for format, chunk := range map[Format]string{FormatOpenAI: chatText, FormatResponses: responseDelta, FormatAnthropic: blockDelta, FormatGemini: "data: " + geminiText + "\n\n"} {
		e, data := NewEnding(format, KindSSE), []byte(chunk)
		if n := testing.AllocsPerRun(100, func() { e.Write(data) }); n != 0 {
			t.Errorf("%v: %v allocations", format, n)
		}
	}
}

func BenchmarkEndingChunk(b *testing.B) {
	e := NewEnding(FormatOpenAI, KindSSE)
	chunk := []byte(chatText)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		e.Write(chunk)
	}
}
