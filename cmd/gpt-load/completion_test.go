package main

import (
	"os/exec"
	"strings"
	"testing"
)

func TestCompletion(t *testing.T) {
	w := newWorld(t)
	w.withGroup(t, 0)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if script := w.must(t, "", "completion", shell); !strings.Contains(script, "gpt-load") {
			t.Errorf("%s: %s", shell, script)
		}
	}
	check := exec.CommandContext(t.Context(), "bash", "-n")
	check.Stdin = strings.NewReader(w.must(t, "", "completion", "bash"))
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("bash: %v\n%s", err, out)
	}
	for line, want := range map[string]string{
		"ke":                                     "keys\t",
		"groups get ":                            "openai\tstandard group, openai\n",
		"groups create x --member o":             "openai\t",
		"keys list ":                             "openai\t",
		"keys list openai ":                      ":4\n",
		"keys list openai --state ":              "invalid\n",
		"keys import openai ":                    ":0\n", // files
		"settings set max_re":                    "max_retries=\t",
		"settings get proxy_k":                   "proxy_keys\t",
		"groups update openai --setting proxy_k": ":6\n", // no group may override proxy_keys
		"records list --group ":                  "openai\t",
		"records list --class key_":              "key_dead\n",
		"groups list --output ":                  "json\n",
		"groups get --url http://127.0.0.1:1 ":   ":4\n", // nobody to ask
	} {
		words := strings.Split(line, " ")
		if out := w.must(t, "", append([]string{"__complete"}, words...)...); !strings.Contains(out, want) {
			t.Errorf("behind %q it offers\n%s", line, out)
		}
	}
}
