package provider

import "gpt-load/internal/jsonbody"

// answerFacts are what was seen so far of a JSON object that is a whole answer.
type answerFacts struct {
	failed  bool   // a member told of an error
	errorAt [2]int // of that member's value
	barren  bool   // choices or candidates are there, and empty
	other   bool   // there is a member that Gemini's answers without content do not have
}

// lookAtAnswer reads the members that have arrived. It decides at the first one that holds content, before its value
// is complete, or at the end of the object: an error counts only when no content stands beside it.
func (i *Inspector) lookAtAnswer(held []byte) Decision {
	for {
		at := skipBlank(held, i.at)
		if at == len(held) {
			return DecisionMore
		}
		switch held[at] {
		case '{', ',':
			at = skipBlank(held, at+1)
		case '}':
			return i.endOfAnswer(held[i.start : at+1])
		default:
			return DecisionContent
		}
		if at < len(held) && held[at] == '}' {
			return i.endOfAnswer(held[i.start : at+1])
		}
		m, ok := readMember(held, at)
		if !ok {
			return DecisionMore
		}
		if decision := i.judgeMember(m); decision != DecisionMore || !m.complete {
			return decision
		}
		i.at = m.end
	}
}

// answerMember is a member of an object that may not have arrived entirely.
type answerMember struct {
	name     jsonbody.Value
	value    jsonbody.Value // when complete
	begins   []byte         // everything from the value's first byte on, when not
	at, end  int            // of the value
	complete bool
}

// readMember reads `"name": value` at a place in held; ok is false while the value has not begun.
func readMember(held []byte, at int) (m answerMember, ok bool) {
	m.name = jsonbody.Parse(held[at:])
	if m.name.Kind() == jsonbody.KindNone {
		return m, false
	}
	colon := skipBlank(held, at+len(m.name.Raw))
	if colon == len(held) {
		return m, false
	}
	m.at = skipBlank(held, colon+1)
	if m.at == len(held) {
		return m, false
	}
	m.value = jsonbody.Parse(held[m.at:])
	m.end = m.at + len(m.value.Raw)
	// More digits may follow a number that stands last.
	m.complete = m.value.Kind() != jsonbody.KindNone && (m.value.Kind() != jsonbody.KindNumber || m.end < len(held))
	m.begins = held[m.at:]
	return m, true
}

// holdsSomething reports whether the value is not empty, as far as its beginning tells.
func (m *answerMember) holdsSomething() bool {
	if m.complete {
		return !m.value.IsEmpty()
	}
	switch m.begins[0] {
	case '[', '{':
		inside := skipBlank(m.begins, 1)
		return inside < len(m.begins) && m.begins[inside] != ']' && m.begins[inside] != '}'
	case '"':
		return len(m.begins) > 1
	}
	return false
}

// judgeMember takes one top-level member of an answer in.
func (i *Inspector) judgeMember(m answerMember) Decision {
	name, _ := m.name.Bytes()
	switch string(name) {
	case "choices", "candidates":
		if m.holdsSomething() {
			return DecisionContent
		}
		i.answer.barren = m.complete
	case "content", "output", "data", "embedding", "embeddings", "models", "promptFeedback":
		if m.holdsSomething() {
			return DecisionContent
		}
		i.answer.other = true
	case "error":
		if m.complete && saysError(m.value) {
			i.answer.failed, i.answer.errorAt = true, [2]int{m.at, m.end}
		}
	case "object":
		if m.complete {
			return i.judgeObjectType(m)
		}
	case "done": // google.longrunning.Operation: the error in it is what became of a stored job
		return DecisionContent
	case "usageMetadata", "modelVersion", "responseId", "createTime":
	default:
		i.answer.other = true
	}
	return DecisionMore
}

// judgeObjectType goes by OpenAI's member object. Stored things, such as fine_tuning.job, video or batch, carry the error of what
// became of them, which is content to whoever asks for them; only answers of models fail with it.
func (i *Inspector) judgeObjectType(m answerMember) Decision {
	i.answer.other = true
	switch object, _ := m.value.Bytes(); string(object) {
	case "error": // vLLM: {"object":"error","message":...}
		i.answer.failed, i.answer.errorAt = true, [2]int{m.at, m.end}
	case "", "response", "list", "chat.completion", "chat.completion.chunk", "text_completion":
	default:
		return DecisionContent
	}
	return DecisionMore
}

// endOfAnswer decides about a whole object in which no member held content.
func (i *Inspector) endOfAnswer(object []byte) Decision {
	switch {
	case i.answer.failed:
		return i.foundError(object)
	case i.answer.barren, i.format == FormatGemini && !i.answer.other && len(object) > 2:
		return DecisionEmpty
	}
	return DecisionContent
}
