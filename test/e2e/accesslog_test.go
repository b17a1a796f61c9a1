package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
)

// TestAccessLog: the line, the record and the answer's header name a request by the same id.
func TestAccessLog(t *testing.T) {
	w := start(t, "ACCESS_LOG=json")
	w.group("openai", adminapi.ChannelOpenAI, 1)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.node.URL+"/proxy/openai/v1/chat/completions?key="+testenv.AuthKey,
		strings.NewReader(`{"model":"gpt-of-the-log","messages":[{"role":"user","content":"a private word"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Gpt-Load-Explain", "1")
	request.Header.Set("User-Agent", "bearer "+testenv.AuthKey)
	answer, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	id := answer.Header.Get("X-Gpt-Load-Request-Id")
	if answer.StatusCode != http.StatusOK || id == "" || answer.Header.Get("Server-Timing") == "" {
		t.Fatalf("%d, %v", answer.StatusCode, answer.Header)
	}
	var found string
	eventually(t, "the line is written", func() bool {
		for line := range strings.Lines(w.node.Logs()) {
			if strings.Contains(line, `"id":"`+id) && strings.Contains(line, `"took_ms"`) {
				found = line
			}
		}
		return found != ""
	})
	var fields map[string]any
	if err := json.Unmarshal([]byte(found), &fields); err != nil || fields["model"] != "gpt-of-the-log" || fields["status"] != 200.0 || fields["path"] != "/v1/chat/completions" {
		t.Errorf("%v: %s", err, found)
	}
	for _, secret := range []string{testenv.AuthKey, providerKey(1), "a private word"} {
		if strings.Contains(w.node.Logs(), secret) {
			t.Errorf("%q stands in the log", secret)
		}
	}
	w.settings(adminapi.SettingsPatch{"request_log_write_interval_minutes": 0})
	if records := w.awaitRecords(1); records[0].ID != id {
		t.Errorf("the record's id is %s, the answer's %s", records[0].ID, id)
	}
}
