package sdk

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/genai"
)

func geminiClient(t *testing.T, to target) *genai.Client {
	t.Helper()
	c, err := genai.NewClient(t.Context(), &genai.ClientConfig{
		APIKey: to.Key, Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: to.GeminiBase},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestGeminiGenerate(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := geminiClient(t, to)
		got, err := c.Models.GenerateContent(within(t), "gemini-2.5-flash", genai.Text("hi"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got.Text() != answerText || got.Candidates[0].FinishReason != genai.FinishReasonStop || got.UsageMetadata.TotalTokenCount == 0 {
			t.Errorf("got %+v", got)
		}
		text, last := "", genai.FinishReason("")
		for chunk, err := range c.Models.GenerateContentStream(within(t), "gemini-2.5-flash", genai.Text("hi"), nil) {
			if err != nil {
				t.Fatal(err)
			}
			text += chunk.Text()
			last = chunk.Candidates[0].FinishReason
		}
		if text != answerText || last != genai.FinishReasonStop {
			t.Errorf("streamed %q, finished with %q", text, last)
		}
		to.Provider.ExpectCallsForModel(t, "gemini-2.5-flash", 2)
	})
}

// TestGeminiTools goes once round the loop: the call, its result, the answer.
func TestGeminiTools(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := geminiClient(t, to)
		config := &genai.GenerateContentConfig{Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{
			Name:       toolName,
			Parameters: &genai.Schema{Type: genai.TypeObject, Properties: map[string]*genai.Schema{"city": {Type: genai.TypeString}}},
		}}}}}
		got, err := c.Models.GenerateContent(within(t), "gemini-2.5-flash", genai.Text("hi"), config)
		if err != nil {
			t.Fatal(err)
		}
		if call := got.FunctionCalls()[0]; call.Name != toolName || call.Args["city"] != toolCity {
			t.Errorf("called %+v", call)
		}
		for chunk, err := range c.Models.GenerateContentStream(within(t), "gemini-2.5-flash", genai.Text("hi"), config) {
			if err != nil {
				t.Fatal(err)
			}
			if calls := chunk.FunctionCalls(); len(calls) > 0 && calls[0].Args["city"] != toolCity {
				t.Errorf("streamed %+v", calls[0])
			}
		}
		contents := append(genai.Text("hi"), got.Candidates[0].Content,
			genai.NewContentFromFunctionResponse(toolName, map[string]any{"sky": "sunny"}, genai.RoleUser))
		if got, err = c.Models.GenerateContent(within(t), "gemini-2.5-flash", contents, config); err != nil || got.Text() != answerText {
			t.Errorf("after the result: %v %v", got, err)
		}
		to.Provider.ExpectCalls(t, 3)
	})
}

func TestGeminiEmbedCountModels(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := geminiClient(t, to)
		dimensions := int32(4)
		got, err := c.Models.EmbedContent(within(t), "gemini-embedding-001", genai.Text("hi"), &genai.EmbedContentConfig{OutputDimensionality: &dimensions})
		if err != nil || len(got.Embeddings) != 1 || len(got.Embeddings[0].Values) != 4 {
			t.Errorf("embeddings: %v, %v", got, err)
		}
		count, err := c.Models.CountTokens(within(t), "gemini-2.5-flash", genai.Text("hi"), nil)
		if err != nil || count.TotalTokens == 0 {
			t.Errorf("count: %v, %v", count, err)
		}
		page, err := c.Models.List(within(t), nil)
		if err != nil || len(page.Items) == 0 || page.Items[0].Name == "" || page.Items[0].InputTokenLimit == 0 {
			t.Errorf("models: %v, %v", page, err)
		}
		model, err := c.Models.Get(within(t), "gemini-2.5-flash", nil)
		if err != nil || model.Name != "models/gemini-2.5-flash" {
			t.Errorf("model: %v, %v", model, err)
		}
		to.Provider.ExpectCalls(t, 4)
	})
}

func TestGeminiErrors(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := geminiClient(t, to)
		to.failures(t, []failure{
			{"400", 400, "INVALID_ARGUMENT", true},
			{"400-context", 400, "INVALID_ARGUMENT", true},
			{"404-model", 404, "NOT_FOUND", true},
			{"400-key-invalid", 400, "INVALID_ARGUMENT", false},
			{"403-suspended", 403, "PERMISSION_DENIED", false},
			{"429-reset", 429, "RESOURCE_EXHAUSTED", false},
			{"429-perday", 429, "RESOURCE_EXHAUSTED", false},
			{"503", 503, "UNAVAILABLE", false},
		}, func(t *testing.T, f failure) {
			_, err := c.Models.GenerateContent(within(t), "fault-"+f.fault, genai.Text("hi"), nil)
			var typed genai.APIError
			if !errors.As(err, &typed) {
				t.Fatalf("%T is no genai.APIError: %v", err, err)
			}
			if typed.Code != f.status || typed.Status != f.word || typed.Message == "" {
				t.Errorf("code %d, status %q, message %q", typed.Code, typed.Status, typed.Message)
			}
		})
	})
}

func TestGeminiErrorInsideStream(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := geminiClient(t, to)
		chunks := 0
		var last error
		for _, err := range c.Models.GenerateContentStream(within(t), "fault-error-late", genai.Text("hi"), nil) {
			if last = err; err == nil {
				chunks++
			}
		}
		var typed genai.APIError
		if !errors.As(last, &typed) || typed.Status != "UNAVAILABLE" || chunks == 0 {
			t.Errorf("after %d chunks: %T %v", chunks, last, last)
		}
		to.Provider.ExpectCalls(t, 1)
	})
}

func TestGeminiCanceledStream(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := geminiClient(t, to)
		ctx, cancel := context.WithCancel(within(t))
		chunks := 0
		var last error
		for _, err := range c.Models.GenerateContentStream(ctx, "gemini-2.5-flash"+endless, genai.Text("hi"), nil) {
			if last = err; err != nil {
				break
			}
			if chunks++; chunks == 3 {
				cancel()
			}
		}
		cancel()
		if !errors.Is(last, context.Canceled) {
			t.Errorf("the stream ended with %v", last)
		}
		to.expectCanceled(t)
	})
}
