package sdk

import (
	"context"
	"fmt"
	"os"
	"testing"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
)

// binary is the gateway, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "gpt-load-sdk-")
		if err == nil {
			defer func() { _ = os.RemoveAll(dir) }()
			binary, err = testenv.Build(context.Background(), dir, false)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// throughGateway points the SDKs at the real binary: a group for each channel, three provider keys in each.
func throughGateway(t *testing.T) target {
	t.Helper()
	keys := []string{"sk-provider-0001-abcdef", "sk-provider-0002-abcdef", "sk-provider-0003-abcdef"}
	p := fakeprovider.Serve(t, fakeprovider.Options{Keys: keys})
	node, err := testenv.StartNode(context.WithoutCancel(t.Context()), binary, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Stop(); err != nil {
			t.Error(err)
		}
	})
	admin := node.Client()
	for _, channel := range []string{adminapi.ChannelOpenAI, adminapi.ChannelOpenAIResponse, adminapi.ChannelAnthropic, adminapi.ChannelGemini} {
		group, err := admin.CreateGroup(t.Context(), adminapi.GroupInput{
			Name: channel, Channel: channel, Upstreams: []adminapi.Upstream{{URL: p.BaseURL(), Weight: 1}},
		})
		if err == nil {
			_, err = admin.AddKeys(t.Context(), group.ID, adminapi.KeyInput{Keys: keys})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	base := node.URL + "/proxy/"
	return target{
		OpenAIBase: base + adminapi.ChannelOpenAI + "/v1", ResponsesBase: base + adminapi.ChannelOpenAIResponse + "/v1",
		AnthropicBase: base + adminapi.ChannelAnthropic, GeminiBase: base + adminapi.ChannelGemini,
		Key: testenv.AuthKey, Provider: p, Gateway: true,
	}
}
