package fakeprovider

import "strings"

// usualModels are listed when Options.Models is empty.
var usualModels = map[dialect][]string{
	dialectOpenAI:       {"gpt-4.1", "gpt-4.1-nano", "gpt-4o-mini", "o4-mini", "text-embedding-3-small", "whisper-1", "tts-1", "gpt-image-1"},
	dialectResponses:    {"gpt-4.1", "gpt-4.1-nano"},
	dialectAnthropic:    {"claude-opus-4-1", "claude-sonnet-4-5", "claude-haiku-4-5"},
	dialectGemini:       {"gemini-2.5-pro", "gemini-2.5-flash", "gemini-embedding-001"},
	dialectGeminiCompat: {"models/gemini-2.5-pro", "models/gemini-2.5-flash"},
}

func (p *Provider) models(d dialect) []string {
	if len(p.opts.Models) > 0 {
		return p.opts.Models
	}
	return usualModels[d]
}

func (a *ask) modelEntry(name string) string {
	switch a.dialect {
	case dialectAnthropic:
		return `{"type":"model","id":` + quote(name) + `,"display_name":` + quote(displayName(name)) +
			`,"created_at":"2025-10-01T00:00:00Z","max_input_tokens":200000,"max_tokens":64000,"lifecycle":"active","deprecated_at":null,"retires_at":null}`
	case dialectGemini:
		return `{"name":` + quote("models/"+name) + `,"version":"001","displayName":` + quote(displayName(name)) +
			`,"description":"A model that does not exist.","inputTokenLimit":1048576,"outputTokenLimit":65536,"supportedGenerationMethods":["generateContent","countTokens","createCachedContent","batchGenerateContent"],"temperature":1,"topP":0.95,"topK":64,"maxTemperature":2}`
	case dialectOpenAI, dialectResponses, dialectGeminiCompat:
	}
	return `{"id":` + quote(name) + `,"object":"model","created":1715367049,"owned_by":"system"}`
}

// displayName makes "Claude Sonnet 4 5" of "claude-sonnet-4-5".
func displayName(id string) string {
	words := strings.Split(id, "-")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, " ")
}

func (a *ask) modelList(names []string) answer {
	entries := make([]string, len(names))
	for i, name := range names {
		entries[i] = a.modelEntry(name)
	}
	all := strings.Join(entries, ",")
	switch a.dialect {
	case dialectAnthropic:
		return jsonAnswer(`{"data":[` + all + `],"has_more":false,"first_id":` + quote(names[0]) + `,"last_id":` + quote(names[len(names)-1]) + `}`)
	case dialectGemini:
		return answer{contentType: googleJSON, before: indented(`{"models":[`+all+`]}`, "  ")}
	case dialectOpenAI, dialectResponses, dialectGeminiCompat:
	}
	return jsonAnswer(`{"object":"list","data":[` + all + `]}`)
}

// modelOf answers for one model. Whether it exists was asked before.
func (a *ask) modelOf() answer {
	entry := a.modelEntry(a.model)
	if a.dialect == dialectGemini {
		return answer{contentType: googleJSON, before: indented(entry, "  ")}
	}
	return jsonAnswer(entry)
}
