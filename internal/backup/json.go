package backup

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxValueDepth bounds how deep a value of an override is nested; JSON of people stays below ten.
const maxValueDepth = 100

// yamlOf makes a JSON value a node, members in their order and numbers as they are written.
func yamlOf(raw json.RawMessage) (*yaml.Node, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	n, err := yamlValue(decoder, 0)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	return n, nil
}

func yamlValue(decoder *json.Decoder, depth int) (*yaml.Node, error) {
	if depth > maxValueDepth {
		return nil, errors.New("nested too deep")
	}
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token := token.(type) {
	case json.Delim:
		n := sequence()
		if token == '{' {
			n = mapping()
		}
		for decoder.More() {
			child, err := yamlValue(decoder, depth+1) // names of members come as strings
			if err != nil {
				return nil, err
			}
			n.Content = append(n.Content, child)
		}
		_, err := decoder.Token()
		return n, err
	case json.Number:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: token.String()}, nil
	case string:
		return text(token), nil
	case bool:
		return boolean(token), nil
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}, nil
}

// jsonFault says why a node is no JSON value.
type jsonFault struct {
	line    int
	message string
}

// jsonOf makes a node JSON without spaces that mean nothing.
func jsonOf(n *yaml.Node) (json.RawMessage, *jsonFault) {
	var b bytes.Buffer
	if fault := appendJSON(&b, n, 0); fault != nil {
		return nil, fault
	}
	return b.Bytes(), nil
}

func appendJSON(b *bytes.Buffer, n *yaml.Node, depth int) *jsonFault {
	fail := func(message string) *jsonFault { return &jsonFault{line: n.Line, message: message} }
	if depth > maxValueDepth {
		return fail("is nested too deep")
	}
	switch n.Kind {
	case yaml.MappingNode:
		seen := make(map[string]bool, len(n.Content)/2)
		b.WriteByte('{')
		for i := 0; i+1 < len(n.Content); i += 2 {
			name := n.Content[i]
			if name.Kind != yaml.ScalarNode || name.ShortTag() != "!!str" && name.ShortTag() != "!!int" {
				return &jsonFault{line: name.Line, message: "has a member whose name is no text; put it in quotes"}
			}
			if seen[name.Value] {
				return &jsonFault{line: name.Line, message: "has a member twice"}
			}
			seen[name.Value] = true
			if i > 0 {
				b.WriteByte(',')
			}
			appendString(b, name.Value)
			b.WriteByte(':')
			if fault := appendJSON(b, n.Content[i+1], depth+1); fault != nil {
				return fault
			}
		}
		b.WriteByte('}')
		return nil
	case yaml.SequenceNode:
		b.WriteByte('[')
		for i, item := range n.Content {
			if i > 0 {
				b.WriteByte(',')
			}
			if fault := appendJSON(b, item, depth+1); fault != nil {
				return fault
			}
		}
		b.WriteByte(']')
		return nil
	case yaml.ScalarNode:
		return appendScalar(b, n)
	}
	return fail("is an alias; write the value out")
}

func appendScalar(b *bytes.Buffer, n *yaml.Node) *jsonFault {
	switch n.ShortTag() {
	case "!!str", "!!timestamp": // an unquoted date is a text to JSON
		appendString(b, n.Value)
	case "!!null":
		b.WriteString("null")
	case "!!bool":
		b.WriteString(strings.ToLower(n.Value))
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			b.WriteString(n.Value)
			return nil
		}
		var whole *big.Int // 0x1f, 0o17, 1_000
		if whole, _ = new(big.Int).SetString(n.Value, 0); whole == nil {
			return &jsonFault{line: n.Line, message: "is no number of JSON"}
		}
		b.WriteString(whole.String())
	default:
		return &jsonFault{line: n.Line, message: "has a tag that means nothing here"}
	}
	return nil
}

// appendString writes a string as encoding/json does, but leaves <, > and & alone.
func appendString(b *bytes.Buffer, s string) {
	encoder := json.NewEncoder(b)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s)   // a string and a buffer have no errors
	b.Truncate(b.Len() - 1) // the line break behind it
}
