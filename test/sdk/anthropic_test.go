package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	anthropic "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/anthropics/anthropic-sdk-go/packages/ssestream"
)

func clientAnthropic(to target) anthropic.Client {
	return anthropic.NewClient(option.WithBaseURL(to.AnthropicBase), option.WithAPIKey(to.Key), option.WithMaxRetries(0))
}

func paramsAnthropic(model string) anthropic.MessageNewParams {
	return anthropic.MessageNewParams{
		Model:     anthropic.Model(model),
		MaxTokens: 64,
		Messages:  []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("hi"))},
	}
}

func readAnthropic(t *testing.T, stream *ssestream.Stream[anthropic.MessageStreamEventUnion]) anthropic.Message {
	t.Helper()
	var message anthropic.Message
	for stream.Next() {
		if err := message.Accumulate(stream.Current()); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	return message
}

func TestAnthropicMessages(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := clientAnthropic(to)
		got, err := c.Messages.New(within(t), paramsAnthropic("claude-sonnet-4-5"))
		if err != nil {
			t.Fatal(err)
		}
		if got.Content[0].AsText().Text != answerText || got.StopReason != "end_turn" || got.Usage.OutputTokens == 0 {
			t.Errorf("got %s", got.RawJSON())
		}
		streamed := readAnthropic(t, c.Messages.NewStreaming(within(t), paramsAnthropic("claude-sonnet-4-5")))
		if streamed.Content[0].Text != answerText || streamed.StopReason != "end_turn" || streamed.Usage.OutputTokens == 0 {
			t.Errorf("accumulated %+v", streamed)
		}
		to.Provider.ExpectCallsForModel(t, "claude-sonnet-4-5", 2)
	})
}

// TestAnthropicTools goes once round the loop: the call, its result, the answer.
func TestAnthropicTools(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := clientAnthropic(to)
		p := paramsAnthropic("claude-sonnet-4-5")
		p.Tools = []anthropic.ToolUnionParam{anthropic.ToolUnionParamOfTool(anthropic.ToolInputSchemaParam{
			Properties: map[string]any{"city": map[string]any{"type": "string"}}, Required: []string{"city"},
		}, toolName)}
		got, err := c.Messages.New(within(t), p)
		if err != nil {
			t.Fatal(err)
		}
		streamed := readAnthropic(t, c.Messages.NewStreaming(within(t), p))
		for _, message := range []*anthropic.Message{got, &streamed} {
			use := message.Content[0].AsToolUse()
			var input struct{ City string }
			if err := json.Unmarshal(use.Input, &input); err != nil || use.Name != toolName || input.City != toolCity || message.StopReason != "tool_use" {
				t.Errorf("used %s with %s, stopped for %s", use.Name, use.Input, message.StopReason)
			}
		}
		p.Messages = append(p.Messages, got.ToParam(), anthropic.NewUserMessage(anthropic.NewToolResultBlock(got.Content[0].ID, "sunny", false)))
		if got, err = c.Messages.New(within(t), p); err != nil || got.Content[0].Text != answerText {
			t.Errorf("after the result: %v %v", got, err)
		}
		to.Provider.ExpectCalls(t, 3)
	})
}

func TestAnthropicCountAndModels(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := clientAnthropic(to)
		count, err := c.Messages.CountTokens(within(t), anthropic.MessageCountTokensParams{
			Model:    "claude-sonnet-4-5",
			Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("hi"))},
		})
		if err != nil || count.InputTokens == 0 {
			t.Errorf("count: %v, %v", count, err)
		}
		page, err := c.Models.List(within(t), anthropic.ModelListParams{})
		if err != nil || len(page.Data) == 0 || page.Data[0].ID == "" || page.Data[0].DisplayName == "" || page.Data[0].CreatedAt.IsZero() {
			t.Errorf("models: %v, %v", page, err)
		}
		model, err := c.Models.Get(within(t), "claude-haiku-4-5", anthropic.ModelGetParams{})
		if err != nil || model.ID != "claude-haiku-4-5" {
			t.Errorf("model: %v, %v", model, err)
		}
		to.Provider.ExpectCalls(t, 3)
	})
}

func TestAnthropicErrors(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := clientAnthropic(to)
		to.failures(t, []failure{
			{"400", 400, "invalid_request_error", true},
			{"400-context", 400, "invalid_request_error", true},
			{"404-model", 404, "not_found_error", true},
			{"413", 413, "request_too_large", true},
			{"401", 401, "authentication_error", false},
			{"403-permission", 403, "permission_error", false},
			{"429-seconds", 429, "rate_limit_error", false},
			{"500", 500, "api_error", false},
			{"529", 529, "overloaded_error", false},
		}, func(t *testing.T, f failure) {
			_, err := c.Messages.New(within(t), paramsAnthropic("fault-"+f.fault))
			var typed *anthropic.Error
			if !errors.As(err, &typed) {
				t.Fatalf("%T is no *anthropic.Error: %v", err, err)
			}
			if typed.StatusCode != f.status || string(typed.Type()) != f.word || typed.RequestID == "" {
				t.Errorf("status %d, type %q, request id %q", typed.StatusCode, typed.Type(), typed.RequestID)
			}
		})
	})
}

func TestAnthropicErrorInsideStream(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := clientAnthropic(to)
		stream := c.Messages.NewStreaming(within(t), paramsAnthropic("fault-error-late+inner=529"))
		events := 0
		for stream.Next() {
			events++
		}
		var typed *anthropic.Error
		if !errors.As(stream.Err(), &typed) || typed.Type() != "overloaded_error" || events == 0 {
			t.Errorf("after %d events: %T %v", events, stream.Err(), stream.Err())
		}
		to.Provider.ExpectCalls(t, 1)
	})
}

func TestAnthropicCanceledStream(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := clientAnthropic(to)
		ctx, cancel := context.WithCancel(within(t))
		stream := c.Messages.NewStreaming(ctx, paramsAnthropic("claude-sonnet-4-5"+endless))
		for range 4 {
			if !stream.Next() {
				t.Fatal(stream.Err())
			}
		}
		cancel()
		for stream.Next() { // what was buffered may still come
		}
		if !errors.Is(stream.Err(), context.Canceled) {
			t.Errorf("the stream ended with %v", stream.Err())
		}
		to.expectCanceled(t)
	})
}
