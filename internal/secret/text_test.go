package secret_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"gpt-load/internal/secret"
)

func TestTextNeverPrintsItself(t *testing.T) {
	const value = "sk-very-secret-value-1234"
	text := secret.New(value)
	holder := struct {
		Key  secret.Text
		List []secret.Text
		Ptr  *secret.Text
		mine secret.Text
		many []secret.Text
	}{text, []secret.Text{text}, &text, text, []secret.Text{text}}

	encoded, err := json.Marshal(holder)
	if err != nil {
		t.Fatal(err)
	}
	printed := []string{string(encoded)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		printed = append(printed, fmt.Sprintf(verb, text), fmt.Sprintf(verb, holder))
	}
	for _, out := range printed {
		if strings.Contains(out, "very-secret") || strings.Contains(out, fmt.Sprintf("%x", "very-secret")) {
			t.Errorf("the value leaked: %s", out)
		}
	}
	if text.Reveal() != value {
		t.Error("Reveal changed the value")
	}
}

func TestTail(t *testing.T) {
	for value, want := range map[string]string{
		"":                     "",
		"short":                "",
		"12345678901":          "",
		"sk-1234567890abcd":    "abcd",
		"sk-1234567890ab\x00d": "ab?d",
	} {
		if got := secret.New(value).Tail(); got != want {
			t.Errorf("Tail of %d bytes = %q, want %q", len(value), got, want)
		}
	}
}
