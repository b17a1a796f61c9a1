package sdk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"
)

func openAIClient(base string, to target) openai.Client {
	return openai.NewClient(option.WithBaseURL(base), option.WithAPIKey(to.Key), option.WithMaxRetries(0))
}

func chatParams(model string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:    model,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage("hi")},
	}
}

func weatherSchema() map[string]any {
	return map[string]any{
		"type":       "object",
		"properties": map[string]any{"city": map[string]any{"type": "string"}},
		"required":   []string{"city"},
	}
}

func withWeather(p openai.ChatCompletionNewParams) openai.ChatCompletionNewParams {
	p.Tools = []openai.ChatCompletionToolUnionParam{
		openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{Name: toolName, Parameters: weatherSchema()}),
	}
	return p
}

func TestOpenAIChat(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := openAIClient(to.OpenAIBase, to)
		got, err := c.Chat.Completions.New(within(t), chatParams("gpt-4.1"))
		if err != nil {
			t.Fatal(err)
		}
		choice := got.Choices[0]
		if choice.Message.Content != answerText || choice.FinishReason != "stop" || got.Usage.TotalTokens == 0 || got.Model != "gpt-4.1" {
			t.Errorf("got %s", got.RawJSON())
		}
		to.Provider.ExpectCallsForModel(t, "gpt-4.1", 1)
	})
}

func TestOpenAIChatStream(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := openAIClient(to.OpenAIBase, to)
		p := chatParams("gpt-4.1")
		p.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
		acc := accumulateChat(t, c.Chat.Completions.NewStreaming(within(t), p))
		if acc.Choices[0].Message.Content != answerText || acc.Choices[0].FinishReason != "stop" || acc.Usage.TotalTokens == 0 {
			t.Errorf("accumulated %+v", acc.ChatCompletion)
		}
		to.Provider.ExpectCalls(t, 1)
	})
}

func accumulateChat(t *testing.T, stream *ssestream.Stream[openai.ChatCompletionChunk]) *openai.ChatCompletionAccumulator {
	t.Helper()
	var acc openai.ChatCompletionAccumulator
	for stream.Next() {
		if !acc.AddChunk(stream.Current()) {
			t.Errorf("the chunk does not fit: %s", stream.Current().RawJSON())
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	return &acc
}

// TestOpenAITools goes once round the loop: the call, its result, the answer.
func TestOpenAITools(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := openAIClient(to.OpenAIBase, to)
		p := withWeather(chatParams("gpt-4.1"))
		got, err := c.Chat.Completions.New(within(t), p)
		if err != nil {
			t.Fatal(err)
		}
		call := got.Choices[0].Message.ToolCalls[0]
		if call.Function.Name != toolName || call.Function.Arguments != `{"city":"`+toolCity+`"}` {
			t.Errorf("called %s", call.RawJSON())
		}
		streamed := accumulateChat(t, c.Chat.Completions.NewStreaming(within(t), p))
		if f := streamed.Choices[0].Message.ToolCalls[0].Function; f.Name != toolName || f.Arguments != `{"city":"`+toolCity+`"}` {
			t.Errorf("streamed %+v", f)
		}
		p.Messages = append(p.Messages, got.Choices[0].Message.ToParam(), openai.ToolMessage("sunny", call.ID))
		if got, err = c.Chat.Completions.New(within(t), p); err != nil || got.Choices[0].Message.Content != answerText {
			t.Errorf("after the result: %v %v", got, err)
		}
		to.Provider.ExpectCalls(t, 3)
	})
}

func TestOpenAIResponses(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := openAIClient(to.ResponsesBase, to)
		p := responses.ResponseNewParams{Model: "gpt-4.1", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hi")}}
		got, err := c.Responses.New(within(t), p)
		if err != nil {
			t.Fatal(err)
		}
		if got.OutputText() != answerText || got.Status != "completed" || got.Usage.TotalTokens == 0 {
			t.Errorf("got %s", got.RawJSON())
		}
		text, final := readResponse(t, c.Responses.NewStreaming(within(t), p))
		if text != answerText || final.OutputText() != answerText {
			t.Errorf("streamed %q, completed with %q", text, final.OutputText())
		}
		p.Tools = []responses.ToolUnionParam{responses.ToolParamOfFunction(toolName, weatherSchema(), true)}
		if got, err = c.Responses.New(within(t), p); err != nil {
			t.Fatal(err)
		}
		if call := got.Output[0].AsFunctionCall(); call.Name != toolName || call.Arguments != `{"city":"`+toolCity+`"}` {
			t.Errorf("called %s", got.RawJSON())
		}
		arguments, final := readResponse(t, c.Responses.NewStreaming(within(t), p))
		if arguments != `{"city":"`+toolCity+`"}` || final.Output[0].AsFunctionCall().Name != toolName {
			t.Errorf("streamed %s, completed with %s", arguments, final.RawJSON())
		}
		to.Provider.ExpectCalls(t, 4)
	})
}

// readResponse joins the deltas of a stream and returns the completed response.
func readResponse(t *testing.T, stream *ssestream.Stream[responses.ResponseStreamEventUnion]) (deltas string, final responses.Response) {
	t.Helper()
	for number := int64(0); stream.Next(); number++ {
		event := stream.Current()
		if event.SequenceNumber != number {
			t.Errorf("event %s has number %d, want %d", event.Type, event.SequenceNumber, number)
		}
		switch e := event.AsAny().(type) {
		case responses.ResponseTextDeltaEvent:
			deltas += e.Delta
		case responses.ResponseFunctionCallArgumentsDeltaEvent:
			deltas += e.Delta
		case responses.ResponseCompletedEvent:
			final = e.Response
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if len(final.Output) == 0 {
		t.Fatal("the stream did not complete")
	}
	return deltas, final
}

func TestOpenAIEmbeddings(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := openAIClient(to.OpenAIBase, to)
		got, err := c.Embeddings.New(within(t), openai.EmbeddingNewParams{
			Model: "text-embedding-3-small", Dimensions: openai.Int(8),
			Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: []string{"a", "b"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Data) != 2 || len(got.Data[1].Embedding) != 8 || got.Data[1].Index != 1 || got.Usage.PromptTokens == 0 {
			t.Errorf("got %s", got.RawJSON())
		}
		to.Provider.ExpectCalls(t, 1)
	})
}

func TestOpenAIModels(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := openAIClient(to.OpenAIBase, to)
		page, err := c.Models.List(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Data) == 0 || page.Data[0].ID == "" || page.Data[0].OwnedBy == "" {
			t.Errorf("got %s", page.RawJSON())
		}
		model, err := c.Models.Get(within(t), "gpt-4.1")
		if err != nil || model.ID != "gpt-4.1" || model.Created == 0 {
			t.Errorf("got %v, %v", model, err)
		}
		to.Provider.ExpectCalls(t, 2)
	})
}

func TestOpenAIMedia(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := openAIClient(to.OpenAIBase, to)
		sound := bytes.Repeat([]byte("\x00\xffsound\r\n"), 10_000)
		sum := sha256.Sum256(sound)
		heard, err := c.Audio.Transcriptions.New(within(t), openai.AudioTranscriptionNewParams{
			Model: "whisper-1", File: openai.File(bytes.NewReader(sound), "talk.mp3", "audio/mpeg"),
		})
		if err != nil || !strings.Contains(heard.Text, hex.EncodeToString(sum[:])) {
			t.Errorf("transcription: %v, %v", heard, err)
		}
		file, err := c.Files.New(within(t), openai.FileNewParams{
			Purpose: openai.FilePurposeAssistants, File: openai.File(bytes.NewReader(sound), "talk.mp3", "audio/mpeg"),
		})
		if err != nil || file.Bytes != int64(len(sound)) || file.Filename != "talk.mp3" {
			t.Errorf("file: %v, %v", file, err)
		}
		spoken, err := c.Audio.Speech.New(within(t), openai.AudioSpeechNewParams{
			Model: "tts-1", Input: "hi", Voice: openai.AudioSpeechNewParamsVoiceUnion{OfString: openai.String("alloy")},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = spoken.Body.Close() }()
		if audio, err := io.ReadAll(spoken.Body); err != nil || len(audio) != 16<<10 || audio[0] != 0xff {
			t.Errorf("speech: %d bytes, %v", len(audio), err)
		}
		image, err := c.Images.Generate(within(t), openai.ImageGenerateParams{Model: "gpt-image-1", Prompt: "nothing"})
		if err != nil || image.Data[0].B64JSON == "" {
			t.Errorf("image: %v, %v", image, err)
		}
		to.Provider.ExpectCalls(t, 4)
	})
}

func TestOpenAIErrors(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := openAIClient(to.OpenAIBase, to)
		to.failures(t, []failure{
			{"400-context", 400, "context_length_exceeded", true},
			{"400-policy", 400, "content_policy_violation", true},
			{"404-model", 404, "model_not_found", true},
			{"413", 413, "", true},
			{"422", 422, "", true},
			{"401", 401, "invalid_api_key", false},
			{"429-seconds", 429, "rate_limit_exceeded", false},
			{"429-quota", 429, "insufficient_quota", false},
			{"500", 500, "", false},
		}, func(t *testing.T, f failure) {
			_, err := c.Chat.Completions.New(within(t), chatParams("fault-"+f.fault))
			var typed *openai.Error
			if !errors.As(err, &typed) {
				t.Fatalf("%T is no *openai.Error: %v", err, err)
			}
			if typed.StatusCode != f.status || typed.Code != f.word || typed.Message == "" {
				t.Errorf("status %d, code %q, message %q", typed.StatusCode, typed.Code, typed.Message)
			}
		})
	})
}

// TestOpenAIStreamRefused asks for a stream and gets an error instead.
func TestOpenAIStreamRefused(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := openAIClient(to.OpenAIBase, to)
		stream := c.Chat.Completions.NewStreaming(within(t), chatParams("fault-400-context"))
		var typed *openai.Error
		if stream.Next() || !errors.As(stream.Err(), &typed) || typed.StatusCode != 400 || typed.Code != "context_length_exceeded" {
			t.Errorf("the stream's error: %v", stream.Err())
		}
		to.Provider.ExpectCalls(t, 1)
	})
}

func TestOpenAIErrorInsideStream(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := openAIClient(to.OpenAIBase, to)
		stream := c.Chat.Completions.NewStreaming(within(t), chatParams("fault-error-late"))
		for stream.Next() { // only the end matters
		}
		var typed *ssestream.StreamError
		if !errors.As(stream.Err(), &typed) {
			t.Errorf("%T is no *ssestream.StreamError: %v", stream.Err(), stream.Err())
		}
		to.Provider.ExpectCalls(t, 1)
	})
}

func TestOpenAICanceledStream(t *testing.T) {
	each(t, func(t *testing.T, to target) {
		c := openAIClient(to.OpenAIBase, to)
		ctx, cancel := context.WithCancel(within(t))
		stream := c.Chat.Completions.NewStreaming(ctx, chatParams("gpt-4.1"+endless))
		for range 3 {
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
