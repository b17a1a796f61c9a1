package webui

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func built() *Console {
	return newConsole(fstest.MapFS{
		"index.html":          {Data: []byte("<html><head><!--base--><script src=\"assets/a.js\"></script></head></html>")},
		"assets/a-1234.js":    {Data: []byte("console.log(1)")},
		"assets/a-1234.js.gz": {Data: []byte("packed")},
		"icon.svg":            {Data: []byte("<svg/>")},
		".keep":               {Data: []byte("x")},
	})
}

func get(t *testing.T, c *Console, method, path string, header http.Header) (*httptest.ResponseRecorder, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for name, values := range header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w, w.Body.String()
}

func TestPagesNameTheirRoot(t *testing.T) {
	for path, root := range map[string]string{
		"/": "./", "/groups": "./", "/groups/": "./../", "/groups/7": "./../", "/groups/7/keys": "./../../", "//evil.example/x": "./../../",
		"/index.html": "./", `/"><script>`: "./",
	} {
		r := httptest.NewRequest(http.MethodGet, "/x", nil)
		r.URL.Path = path
		r.Header.Set("Accept", "text/html,*/*;q=0.8")
		w := httptest.NewRecorder()
		built().ServeHTTP(w, r)
		body := w.Body.String()
		if w.Code != http.StatusOK || !strings.Contains(body, `<head><base href="`+root+`"><script`) {
			t.Errorf("%s: %d %s", path, w.Code, body)
		}
		if strings.Contains(body, "evil") || strings.Contains(body, `"><script>`+`"`) {
			t.Errorf("%s: the path is in the page: %s", path, body)
		}
	}
}

func TestFiles(t *testing.T) {
	c := built()
	answer, body := get(t, c, http.MethodGet, "/assets/a-1234.js", nil)
	if body != "console.log(1)" || !strings.Contains(answer.Header().Get("Cache-Control"), "immutable") || !strings.Contains(answer.Header().Get("Content-Type"), "javascript") {
		t.Errorf("%q %v", body, answer.Header())
	}
	answer, body = get(t, c, http.MethodGet, "/assets/a-1234.js", http.Header{"Accept-Encoding": {"br, gzip;q=0.5"}})
	if body != "packed" || answer.Header().Get("Content-Encoding") != "gzip" {
		t.Errorf("%q %v", body, answer.Header())
	}
	for _, refused := range []string{"gzip;q=0", "gzip; q=0.0", "br"} {
		if _, body := get(t, c, http.MethodGet, "/assets/a-1234.js", http.Header{"Accept-Encoding": {refused}}); body != "console.log(1)" {
			t.Errorf("%s: %q", refused, body)
		}
	}
	if answer, body := get(t, c, http.MethodHead, "/icon.svg", nil); body != "" || answer.Header().Get("Content-Length") != "6" {
		t.Errorf("HEAD: %q %v", body, answer.Header())
	}
	for _, path := range []string{"/assets/old.js", "/assets/", "/assets/../.keep", "/.keep", "/favicon.ico", "/a/b.map", "/.env"} {
		if answer, _ := get(t, c, http.MethodGet, path, nil); answer.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, answer.Code)
		}
	}
	for _, r := range []*http.Request{httptest.NewRequest(http.MethodPost, "/", nil), httptest.NewRequest(http.MethodGet, "/v1/models", nil)} {
		if c.Serves(r) {
			t.Errorf("%s %s is for the console", r.Method, r.URL.Path)
		}
	}
}

func TestWithoutABuild(t *testing.T) {
	c := newConsole(fstest.MapFS{".keep": {Data: []byte("x")}})
	answer, body := get(t, c, http.MethodGet, "/groups/7", http.Header{"Accept": {"text/html"}})
	if c.Built() || answer.Code != http.StatusOK || !strings.Contains(body, "without the web console") || !strings.Contains(body, `<base href="./../">`) {
		t.Errorf("%d %s", answer.Code, body)
	}
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	for _, path := range []string{"/", "/assets/a-1234.js"} {
		answer, _ := get(t, built(), http.MethodGet, path, nil)
		policy := answer.Header().Get("Content-Security-Policy")
		if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || answer.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, answer.Header())
		}
	}
}
