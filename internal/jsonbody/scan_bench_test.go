package jsonbody

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"
)

// chatBody is a chat completion request of about size bytes: a long conversation with code in it, so that quotes
// and line breaks are escaped every few dozen bytes, and tools. model and stream stand at the end, where a scan
// that stops early gains nothing.
func chatBody(size int) []byte {
	const turn = "Here is the change you asked for:\n```go\nfunc main() {\n\tfmt.Println(\"hello, \\\"world\\\"\", 42)\n}\n```\n" +
		"It prints a greeting. The second argument is a number, which Println writes in base ten; see the documentation of " +
		"package fmt for the verbs that would format it in another way, and C:\\Users\\me for the file itself. Grüße, 你好.\n"
	var b bytes.Buffer
	b.WriteString(`{"messages":[{"role":"system","content":"You are a careful assistant."}`)
	text, err := json.Marshal(turn + turn)
	if err != nil {
		panic(err)
	}
	for i := 0; b.Len() < size*9/10; i++ {
		fmt.Fprintf(&b, `,{"role":%q,"content":%s}`, []string{"user", "assistant"}[i%2], text)
	}
	b.WriteString(`],"tools":[`)
	for i := 0; b.Len() < size-100; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"type":"function","function":{"name":"tool_%d","parameters":{"type":"object","properties":{"path":{"type":"string"},"limit":{"type":"integer","minimum":1}},"required":["path"]}}}`, i)
	}
	b.WriteString(`],"temperature":0.7,"model":"gpt-4.1-mini","stream":true}`)
	return b.Bytes()
}

var sizes = []struct {
	name string
	size int
}{{"4KB", 4 << 10}, {"100KB", 100 << 10}, {"1MB", 1 << 20}}

func BenchmarkScan(b *testing.B) {
	for _, s := range sizes {
		b.Run(s.name, func(b *testing.B) { benchmarkScan(b, chatBody(s.size)) })
	}
}

func benchmarkScan(b *testing.B, body []byte) {
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if f := Scan(body); f.Model != "gpt-4.1-mini" || !f.Stream {
			b.Fatal(f)
		}
	}
}

// BenchmarkScan1MB and BenchmarkUnmarshal1MB are the pair whose ratio the product promises: at least ten.
func BenchmarkScan1MB(b *testing.B) { benchmarkScan(b, chatBody(1<<20)) }

func BenchmarkUnmarshal1MB(b *testing.B) {
	body := chatBody(1 << 20)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var request struct {
			Model  string `json:"model"`
			Stream bool   `json:"stream"`
		}
		if err := json.Unmarshal(body, &request); err != nil || request.Model != "gpt-4.1-mini" {
			b.Fatal(request, err)
		}
	}
}

func BenchmarkValid1MB(b *testing.B) {
	body := chatBody(1 << 20)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if !Valid(body) {
			b.Fatal("not valid")
		}
	}
}

func BenchmarkValidByEncodingJSON1MB(b *testing.B) {
	body := chatBody(1 << 20)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if !json.Valid(body) {
			b.Fatal("not valid")
		}
	}
}

// BenchmarkScanImage1MB is one long string without escapes, as pictures are sent.
func BenchmarkScanImage1MB(b *testing.B) {
	benchmarkScan(b, fmt.Appendf(nil, `{"messages":[{"content":[{"image_url":{"url":"data:image/png;base64,%s"}}]}],"model":"gpt-4.1-mini","stream":true}`,
		bytes.Repeat([]byte("iVBORw0KGgoA"), 1<<20/12)))
}

func BenchmarkReplaceModel1MB(b *testing.B) {
	body := chatBody(1 << 20)
	facts := Scan(body)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		ReplaceModel(body, facts, "gpt-4.1")
	}
}
