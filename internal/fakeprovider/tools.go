package fakeprovider

import (
	"cmp"
	"strings"

	"github.com/tidwall/gjson"
)

// toolCall is the one function that the model decides to call.
type toolCall struct {
	name      string
	arguments string // a JSON object
}

// toolCall decides whether the model calls a function: it does whenever it is given one and has not just been
// told a result, so that every tool loop ends after one round.
func (a *ask) toolCall() (toolCall, bool) {
	tools := a.fields["tools"].Array()
	choice := a.fields["tool_choice"]
	if len(tools) == 0 || choice.Str == "none" || choice.Get("type").Str == "none" || a.toldResult() {
		return toolCall{}, false
	}
	wanted := cmp.Or(choice.Get("function.name").Str, choice.Get("name").Str)
	for _, tool := range tools {
		name, schema := toolOf(tool)
		if name != "" && (wanted == "" || wanted == name) {
			return toolCall{name, argumentsFor(schema, 0)}, true
		}
	}
	return toolCall{}, false
}

// toolOf reads a tool definition of any of the four formats.
func toolOf(tool gjson.Result) (name string, schema gjson.Result) {
	if f := tool.Get("function"); f.IsObject() { // chat completions
		return f.Get("name").Str, f.Get("parameters")
	}
	if declared := tool.Get("functionDeclarations.0"); declared.IsObject() { // Gemini
		if schema = declared.Get("parametersJsonSchema"); schema.IsObject() {
			return declared.Get("name").Str, schema
		}
		return declared.Get("name").Str, declared.Get("parameters")
	}
	if schema = tool.Get("input_schema"); schema.IsObject() { // Anthropic
		return tool.Get("name").Str, schema
	}
	if tool.Get("type").Str == "function" { // responses
		return tool.Get("name").Str, tool.Get("parameters")
	}
	return "", schema
}

// toldResult reports whether the conversation ends with the result of a function.
func (a *ask) toldResult() bool {
	last := func(name string) gjson.Result {
		items := a.fields[name].Array()
		if len(items) == 0 {
			return gjson.Result{}
		}
		return items[len(items)-1]
	}
	return last("messages").Get("role").Str == "tool" ||
		strings.Contains(last("messages").Get("content").Raw, `"tool_result"`) ||
		last("input").Get("type").Str == "function_call_output" ||
		strings.Contains(last("contents").Get("parts").Raw, `"functionResponse"`)
}

// argumentsFor makes up a value for every required property of a JSON schema, or for every one when none is.
func argumentsFor(schema gjson.Result, depth int) string {
	required := map[string]bool{}
	for _, name := range schema.Get("required").Array() {
		required[name.Str] = true
	}
	var members []string
	schema.Get("properties").ForEach(func(name, property gjson.Result) bool {
		if len(required) == 0 || required[name.Str] {
			members = append(members, quote(name.Str)+":"+valueFor(property, depth+1))
		}
		return true
	})
	return "{" + strings.Join(members, ",") + "}"
}

// deepest bounds how far a nested schema is followed.
const deepest = 8

func valueFor(schema gjson.Result, depth int) string {
	if first := schema.Get("enum.0"); first.Exists() {
		return first.Raw
	}
	if depth < deepest {
		switch strings.ToLower(schema.Get("type").Str) { // Gemini writes its types in capitals
		case "object":
			return argumentsFor(schema, depth)
		case "array":
			return "[" + valueFor(schema.Get("items"), depth+1) + "]"
		}
	}
	switch strings.ToLower(schema.Get("type").Str) {
	case "integer", "number":
		return "1"
	case "boolean":
		return "true"
	case "null":
		return "null"
	}
	return `"Paris"`
}
