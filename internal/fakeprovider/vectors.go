package fakeprovider

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
)

// The dimensions of text-embedding-3-small, gemini-embedding-001, and the most that may be asked for.
const (
	openAIDimensions = 1536
	geminiDimensions = 3072
	mostDimensions   = 1 << 16
)

func dimensions(asked gjson.Result, usual int) int {
	if n := int(asked.Int()); n > 0 && n <= mostDimensions {
		return n
	}
	return usual
}

// component is the i-th number of every embedding: an exact binary fraction, so that float and base64 agree.
func component(i int) float32 { return float32(i%256-128) / 4096 }

func vectorJSON(n int) string {
	out := make([]byte, 0, 12*n)
	out = append(out, '[')
	for i := range n {
		if i > 0 {
			out = append(out, ',')
		}
		out = strconv.AppendFloat(out, float64(component(i)), 'g', -1, 32)
	}
	return string(append(out, ']'))
}

// vectorBase64 is the little-endian float32 form that encoding_format base64 asks for.
func vectorBase64(n int) string {
	raw := make([]byte, 0, 4*n)
	for i := range n {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(component(i)))
	}
	return quote(base64.StdEncoding.EncodeToString(raw))
}

// embeddings answers one vector for each input: a text, an array of texts, or arrays of tokens.
func (a *ask) embeddings() answer {
	input := a.fields["input"]
	count := 1
	if items := input.Array(); input.IsArray() && len(items) > 0 && items[0].Type != gjson.Number {
		count = len(items)
	}
	n := dimensions(a.fields["dimensions"], openAIDimensions)
	vector := ""
	if a.fields["encoding_format"].Str == "base64" {
		vector = vectorBase64(n)
	} else {
		vector = vectorJSON(n)
	}
	entries := make([]string, count)
	for i := range entries {
		entries[i] = `{"object":"embedding","index":` + strconv.Itoa(i) + `,"embedding":` + vector + `}`
	}
	tokens := strconv.Itoa(a.tokens())
	return jsonAnswer(`{"object":"list","data":[` + strings.Join(entries, ",") + `],"model":` + quote(a.model) + `,"usage":{"prompt_tokens":` + tokens + `,"total_tokens":` + tokens + `}}`)
}
