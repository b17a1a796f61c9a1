package gptload_test

import (
	"context"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/testenv"
)

// TestQuickstart runs the lines of README.md against the real binary, with a provider of our own.
func TestQuickstart(t *testing.T) {
	_, rest, begins := strings.Cut(read(t, "README.md"), "<!-- begin quickstart -->\n```sh\n")
	lines, _, ends := strings.Cut(rest, "```\n<!-- end quickstart -->")
	if !begins || !ends {
		t.Fatal("README.md has no quickstart between its markers")
	}
	provider := fakeprovider.New(fakeprovider.Options{Keys: []string{"sk-of-the-reader"}})
	t.Cleanup(provider.Close)
	upstream, err := provider.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	binary, err := testenv.Build(t.Context(), dir, false)
	if err != nil {
		t.Fatal(err)
	}
	node, err := testenv.StartNode(context.WithoutCancel(t.Context()), binary, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := node.Stop(); err != nil {
			t.Error(err)
		}
	})
	lines = strings.ReplaceAll(lines, "localhost:3001", strings.TrimPrefix(node.URL, "http://"))
	shell := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", lines)
	shell.Env = append(shell.Environ(), "AUTH_KEY="+testenv.AuthKey, "UPSTREAM="+upstream, "PROVIDER_KEY=sk-of-the-reader", "NO_PROXY=127.0.0.1")
	out, err := shell.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderrOf(err))
	}
	// Two answers stand behind each other: of adding the key, and of the provider.
	var added struct{ Added int }
	var completion struct{ Object string }
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	if err := decoder.Decode(&added); err != nil || added.Added != 1 {
		t.Errorf("adding the key: %+v, %v in %s", added, err, out)
	}
	if err := decoder.Decode(&completion); err != nil || completion.Object != "chat.completion" {
		t.Errorf("the chat request: %+v, %v in %s", completion, err, out)
	}
}

func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return string(exit.Stderr)
	}
	return ""
}
