package adminclient_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func serve(t *testing.T, handler http.HandlerFunc, options ...adminclient.Option) *adminclient.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := adminclient.New(server.URL+"/prefix", options...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestBaseURL(t *testing.T) {
	for _, bad := range []string{"", "localhost:3001", "ftp://x", "http://", "http://user:hunter2@\n"} {
		if _, err := adminclient.New(bad); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q gave %v", bad, err)
		}
	}
}

func TestRequestsAreSpelledRight(t *testing.T) {
	var got *http.Request
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		_, _ = w.Write([]byte("{}"))
	}, adminclient.WithAuthKey("sk-admin"))
	if _, err := c.Group(t.Context(), "../a b", true); err != nil {
		t.Fatal(err)
	}
	if got.RequestURI != "/prefix/api/v1/groups/..%2Fa%20b?reveal=true" || got.Header.Get("Authorization") != "Bearer sk-admin" {
		t.Errorf("asked %s with %v", got.RequestURI, got.Header)
	}
	if _, err := c.ChangeGroup(t.Context(), "1", adminapi.GroupPatch{}, 12); err != nil || got.Header.Get("If-Match") != `"12"` || got.Method != http.MethodPatch {
		t.Errorf("If-Match is %q of %s, %v", got.Header.Get("If-Match"), got.Method, err)
	}
}

func TestErrorsAreTyped(t *testing.T) {
	for name, c := range map[string]struct {
		status     int
		retryAfter string
		body       string
		want       adminclient.Error
		says       string
	}{
		"ours": {
			422, "", `{"code":"invalid","message":"some values are not valid","details":[{"field":"name","message":"is needed"}],"request_id":"r-1"}`,
			adminclient.Error{Status: 422, Problem: adminapi.Problem{Code: adminapi.CodeInvalid}},
			"some values are not valid (invalid, 422); name: is needed; request id r-1",
		},
		"wait":         {429, "7", `{"code":"rate_limited","message":"wait"}`, adminclient.Error{Status: 429, Problem: adminapi.Problem{Code: adminapi.CodeRateLimited}, RetryAfter: 7 * time.Second}, "wait"},
		"a balancer's": {502, "", "<html>no backend</html>", adminclient.Error{Status: 502, Problem: adminapi.Problem{Code: adminapi.CodeUnavailable}}, "Bad Gateway: <html>no backend</html>"},
		"nothing":      {503, "soon", "", adminclient.Error{Status: 503, Problem: adminapi.Problem{Code: adminapi.CodeUnavailable}}, "Service Unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", c.retryAfter)
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
			})
			_, err := client.Groups(t.Context())
			var e *adminclient.Error
			if !errors.As(err, &e) || e.Status != c.want.Status || e.Code != c.want.Code || e.RetryAfter != c.want.RetryAfter || !strings.HasPrefix(e.Error(), c.says) {
				t.Errorf("got %+v", err)
			}
			if adminclient.CodeOf(err) != c.want.Code {
				t.Errorf("code %q", adminclient.CodeOf(err))
			}
		})
	}
}

func TestAnswersThatAreNoAnswers(t *testing.T) {
	html := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
	if _, err := html.Groups(t.Context()); err == nil || !strings.Contains(err.Error(), "is this the address") || adminclient.CodeOf(err) != "" {
		t.Errorf("got %v", err)
	}
	endless := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat(" ", 1<<20))
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	if _, err := endless.Groups(t.Context()); err == nil || !strings.Contains(err.Error(), "64 MiB") {
		t.Errorf("got %v", err)
	}
}

func TestContextEndsACall(t *testing.T) {
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := c.Groups(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestReadinessIsNoError(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"status":"not_ready","checks":[{"name":"store","ready":false,"message":"away"}]}`))
	})
	if ready, err := c.Ready(t.Context()); err != nil || ready.Checks[0].Message != "away" {
		t.Errorf("got %+v, %v", ready, err)
	}
	other := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	if _, err := other.Ready(t.Context()); adminclient.CodeOf(err) != adminapi.CodeUnavailable {
		t.Errorf("got %v", err)
	}
}
