package fakeprovider_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tidwall/gjson"

	"gpt-load/internal/fakeprovider"
)

func TestAdmin(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	r := c.post("/_script", `{"rules":[{"match":{"key":"sk-secret-0123456789"},"when":{"first":1},"then":{"fault":"401"}}]}`)
	if r.StatusCode != 200 || gjson.Get(r.body, "rules.0.match.key").String() != "...6789" {
		t.Errorf("script: %d %s", r.StatusCode, r.body)
	}
	c.post("/_script?append=1", `[{"then":{"status":418,"headers":[["X-A","b"]]}}]`)
	if r := c.do("GET", "/_script", ""); gjson.Get(r.body, "rules.#").Int() != 2 || gjson.Get(r.body, "rules.1.then.headers.0.1").String() != "b" {
		t.Errorf("rules: %s", r.body)
	}
	if r := c.post("/_script", `[{"then":{"fault":"nope"}}]`); r.StatusCode != 400 || !strings.Contains(r.body, "429-seconds") {
		t.Errorf("a wrong fault: %d %s", r.StatusCode, r.body)
	}
	for _, want := range []int{401, 418} {
		if r := c.chat("m", "Authorization: Bearer sk-secret-0123456789"); r.StatusCode != want {
			t.Errorf("status %d, want %d", r.StatusCode, want)
		}
	}
	r = c.do("GET", "/_calls?last=1", "")
	if strings.Contains(r.body, "sk-secret") || gjson.Get(r.body, "calls").Int() != 2 || gjson.Get(r.body, "recent.#").Int() != 1 ||
		gjson.Get(r.body, "by_key.0.name").String() != "...6789" || gjson.Get(r.body, "recent.0.status").Int() != 418 {
		t.Errorf("calls: %s", r.body)
	}
	if r := c.do("GET", "/_faults", ""); gjson.Get(r.body, "faults.#").Int() != int64(len(fakeprovider.Faults())) {
		t.Errorf("faults: %s", r.body)
	}
	for path, want := range map[string]int{"/_help": 200, "/_livez": 200, "/_nothing": 404} {
		if r := c.do("GET", path, ""); r.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, r.StatusCode, want)
		}
	}
	if r := c.post("/_refuse?for=never", ""); r.StatusCode != 400 {
		t.Errorf("refuse for ever: %d", r.StatusCode)
	}
	c.post("/_reset", "")
	p.ExpectCalls(t, 0)
	if n := len(p.Rules()); n != 0 {
		t.Errorf("%d rules after a reset", n)
	}
}

func TestAdminReleaseCutAndRefuse(t *testing.T) {
	p := fakeprovider.Serve(t, fakeprovider.Options{})
	c := newClient(t, p)
	c.post("/_script", `[{"then":{"hold":"a"}}]`)
	var done sync.WaitGroup
	done.Go(func() {
		if r := c.chat("m"); r.StatusCode != 200 {
			t.Errorf("released: %d", r.StatusCode)
		}
	})
	if err := p.AwaitInFlight(deadline(t), 1); err != nil {
		t.Fatal(err)
	}
	c.post("/_release?hold=a", "")
	done.Wait()
	fails := func(method, path string) error {
		response, err := c.http.Do(c.request(deadline(t), method, path, ""))
		if err == nil {
			_ = response.Body.Close()
		}
		return err
	}
	if err := fails(http.MethodPost, "/_cut"); err == nil {
		t.Error("the cut spares nobody, not even the one who asks")
	}
	c.post("/_refuse?for=1h", "")
	if err := fails(http.MethodGet, "/_help"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("refusing: %v", err)
	}
}
