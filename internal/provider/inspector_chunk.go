package provider

import "gpt-load/internal/jsonbody"

// judgeChunk decides by one JSON object of a stream, in the format's own terms. name is the event's, if it has one.
func (i *Inspector) judgeChunk(v jsonbody.Value, name []byte) Decision {
	switch i.format {
	case FormatResponses:
		return i.judgeResponsesEvent(v, name)
	case FormatAnthropic:
		return i.judgeAnthropicEvent(v)
	case FormatGemini:
		return i.judgeGeminiChunk(v)
	default:
		return i.judgeChatChunk(v)
	}
}

// judgeChatChunk reads chat.completion.chunk and its kin. The first chunk of most servers has only the role, Azure's has
// no choice at all, and OpenRouter puts an error beside an empty delta or into the choice.
func (i *Inspector) judgeChatChunk(v jsonbody.Value) Decision {
	choices := v.Member("choices")
	var failed jsonbody.Value
	for choice := range choices.Elements() {
		if choiceHasContent(choice) {
			return DecisionContent
		}
		if saysError(choice.Member("error")) {
			failed = choice
		}
	}
	switch {
	case saysError(v.Member("error")):
		return i.foundError(v.Raw)
	case failed.Kind() != jsonbody.KindNone:
		return i.foundError(failed.Raw)
	case choices.Kind() != jsonbody.KindNone:
		return DecisionMore
	case v.Member("object").Is("error"): // vLLM
		return i.foundError(v.Raw)
	}
	return DecisionContent // transcripts, pictures, assistants: streams of OpenAI's that have no choices
}

// choiceHasContent reports whether a choice brings anything to show, or ends the answer. What counts is any member of the
// delta that is not empty: content, refusal, tool_calls, reasoning_content, reasoning, audio and what is to come.
func choiceHasContent(choice jsonbody.Value) bool {
	for name, value := range choice.Members() {
		if value.IsEmpty() {
			continue
		}
		switch text, _ := name.Bytes(); string(text) {
		case "delta", "message":
			for name, value := range value.Members() {
				if !value.IsEmpty() && !name.Is("role") && !name.Is("name") {
					return true
				}
			}
		case "text": // the legacy completions API
			return true
		case "finish_reason":
			if !value.Is("error") { // OpenRouter's, beside the error itself
				return true
			}
		}
	}
	return false
}

// judgeResponsesEvent reads the events of the responses API. Their type stands in the data and, the same, as the
// event's name.
func (i *Inspector) judgeResponsesEvent(v jsonbody.Value, name []byte) Decision {
	kind, ok := v.Member("type").Bytes()
	if !ok {
		kind = name
	}
	switch string(kind) {
	case "response.created", "response.queued", "response.in_progress", "keepalive", "ping":
		return DecisionMore
	case "response.output_item.added":
		// A message starts empty. Other items say by their type what the model is about to do, and may stay alone for long.
		if v.Member("item").Member("type").Is("message") {
			return DecisionMore
		}
	case "response.content_part.added":
		if v.Member("part").Member("text").IsEmpty() {
			return DecisionMore
		}
	case "error":
		return i.foundError(withError(v))
	case "response.failed":
		if inner := v.Member("response").Member("error"); saysError(inner) {
			return i.foundError(wrapError(inner.Raw))
		}
		return i.foundError(withError(v))
	case "":
		return i.judgeChatChunk(v) // a server that speaks the older dialect, or an error without a type
	}
	return DecisionContent
}

// judgeAnthropicEvent reads the events of the messages API.
func (i *Inspector) judgeAnthropicEvent(v jsonbody.Value) Decision {
	kind, ok := v.Member("type").Bytes()
	if !ok {
		if saysError(v.Member("error")) {
			return i.foundError(v.Raw)
		}
		return DecisionContent
	}
	switch string(kind) {
	case "error":
		return i.foundError(withError(v))
	case "message_start", "ping", "content_block_stop":
		return DecisionMore
	case "content_block_start":
		// Blocks of text start empty. Others say by their type alone what the model is about to do, and a thinking
		// block may stay without text for long.
		block := v.Member("content_block")
		if block.Member("type").Is("text") && block.Member("text").IsEmpty() {
			return DecisionMore
		}
	case "content_block_delta":
		for name, value := range v.Member("delta").Members() {
			if !value.IsEmpty() && !name.Is("type") {
				return DecisionContent
			}
		}
		return DecisionMore
	case "message_delta":
		if v.Member("delta").Member("stop_reason").IsEmpty() {
			return DecisionMore
		}
	case "message_stop":
		return DecisionEmpty
	}
	return DecisionContent
}

// judgeGeminiChunk reads a GenerateContentResponse. A blocked prompt, and a candidate that ends without content, are answers: the
// client asked for what the model does not say.
func (i *Inspector) judgeGeminiChunk(v jsonbody.Value) Decision {
	if saysError(v.Member("error")) {
		return i.foundError(v.Raw)
	}
	for name, value := range v.Members() {
		switch text, _ := name.Bytes(); string(text) {
		case "usageMetadata", "modelVersion", "responseId", "createTime":
		case "candidates":
			for candidate := range value.Elements() {
				if candidateHasContent(candidate) {
					return DecisionContent
				}
			}
		case "promptFeedback":
			if !value.Member("blockReason").IsEmpty() {
				return DecisionContent
			}
		default:
			return DecisionContent
		}
	}
	return DecisionMore
}

func candidateHasContent(candidate jsonbody.Value) bool {
	if !candidate.Member("finishReason").IsEmpty() {
		return true
	}
	for part := range candidate.Member("content").Member("parts").Elements() {
		for name, value := range part.Members() {
			if !value.IsEmpty() && !name.Is("thought") { // "thought":true marks a part and is none itself
				return true
			}
		}
	}
	return false
}
