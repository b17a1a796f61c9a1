package main

import (
	"encoding/json"
	"testing"
)

func TestChatBody(t *testing.T) {
	for _, size := range []int{200, 1 << 10, 1025, 100 << 10, 1 << 20} {
		body := chatBody(size)
		var asked struct{ Model string }
		if err := json.Unmarshal(body, &asked); err != nil || asked.Model != "gpt-bench" {
			t.Errorf("%d bytes: %v", size, err)
		}
		if len(body) > size || len(body) < size-200 {
			t.Errorf("%d bytes asked, %d made", size, len(body))
		}
	}
}
