package fakeprovider

import "time"

// Sizes and pauses of the faults that have any, when a rule or knob gives none.
const (
	hugeError  = 8 << 20         // far over the 64 KiB of an error that a gateway should look at
	slowPause  = 2 * time.Second // long enough to pass a first-token timeout of one second
	slowPieces = 20
)

// behaviourFaults are the faults that are something done, not said.
var behaviourFaults = []fault{
	{name: "refused", means: "RST, and new connections refused for a second", then: breaks(BreakRefuse)},
	{name: "reset", means: "RST before the headers", then: breaks(BreakReset)},
	{name: "eof", means: "FIN before the headers", then: breaks(BreakEOF)},
	{name: "eof-in-headers", means: "FIN within the headers", then: breaks(BreakHeaders)},
	{name: "garbage", means: "an answer that is not HTTP", then: breaks(BreakGarbage)},
	{name: "hang", means: "no answer until the caller leaves", then: breaks(BreakHang)},
	{name: "slow-headers", means: "headers after 2 s", then: func(t *Then) { pick(&t.Delay, slowPause) }},
	{name: "slow-first", means: "first token 2 s after the headers", then: func(t *Then) { pick(&t.FirstToken, slowPause) }},
	{name: "slow-body", means: "20 pieces with 250 ms between", then: func(t *Then) {
		pick(&t.Chunks, slowPieces)
		pick(&t.Gap, 250*time.Millisecond)
	}},
	{name: "cut-reset", means: "RST within the body", then: flawed(FlawReset, 2)},
	{name: "cut-close", means: "FIN within a chunk, or short of Content-Length", then: flawed(FlawClose, 2)},
	{name: "cut-clean", means: "half an answer that ends as if it were whole", then: flawed(FlawCleanEnd, 2)},
	{name: "no-end", means: "all but [DONE], message_stop, response.completed or finishReason", then: flawed(FlawNoEnd, 0)},
	{name: "stall", means: "silence within the body until the caller leaves", then: flawed(FlawStall, 2)},
	{name: "stall-first", means: "headers, then silence until the caller leaves", then: flawed(FlawStall, -1)},
	{name: "bad-framing", means: "a malformed chunk size within the body", then: flawed(FlawFraming, 2)},
	{name: "bad-event", means: "an event that is not JSON, within the stream", then: flawed(FlawEvent, 2)},
	{name: "error-at-once", means: "an error as the very first event of a 200 stream, or as its JSON body", then: flawed(FlawError, -1)},
	{name: "error-first", means: "an error event in a 200 stream before its first content", then: flawed(FlawError, 0)},
	{name: "error-late", means: "an error event after some content", then: flawed(FlawError, 2)},
	{name: "failed-first", means: "response.failed before the first content", then: flawed(FlawFailed, 0)},
	{name: "failed-late", means: "response.failed after some content", then: flawed(FlawFailed, 2)},
	{name: "router-first", means: "OpenRouter's error chunk before the first content, or its 200 JSON body", then: flawed(FlawRouterError, 0)},
	{name: "router-late", means: "OpenRouter's error chunk after some content", then: flawed(FlawRouterError, 2)},
	{name: "empty", means: "200 without a body", then: verbatim("application/json", "")},
	{name: "empty-stream", means: "200 text/event-stream without an event", then: verbatim("text/event-stream", "")},
	{name: "empty-answer", means: "a 200 whose answer holds nothing: choices, output, content or candidates empty", then: func(t *Then) { t.nothing = true }},
	{name: "blocked", means: "Gemini: promptFeedback.blockReason; elsewhere an empty answer", then: func(t *Then) { t.nothing, t.blocked = true, true }},
	{name: "bad-json", means: "a 200 whose JSON breaks off", then: verbatim("application/json", `{"id":"chatcmpl-broken","object":"chat.comple`)},
	{name: "bad-json-error", means: "a 500 whose JSON breaks off", say: verbatimError("application/json", `{"error":{"message":"The server had`)},
	{name: "empty-error", means: "a 500 without a body", say: verbatimError("text/plain", "")},
	{name: "huge-error", means: "a 500 with 8 MiB of message (knob size)", then: func(t *Then) {
		pick(&t.Size, hugeError)
		t.huge = true
	}, say: everybody(said{status: 500, message: serverTrouble})},
}

func breaks(b Break) func(*Then) {
	return func(t *Then) { pick(&t.Break, b) }
}

func flawed(f Flaw, after int) func(*Then) {
	return func(t *Then) {
		pick(&t.Flaw, f)
		pick(&t.FlawAfter, after)
	}
}

func verbatim(contentType, body string) func(*Then) {
	return func(t *Then) { t.verbatimType, t.Body = contentType, body }
}

func verbatimError(contentType, body string) func(*telling) said {
	return func(*telling) said { return said{status: 500, verbatimType: contentType, verbatim: body} }
}
