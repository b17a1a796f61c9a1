package webui

import (
	"bytes"
	"embed"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// dist holds what `npm run build` makes in app, and at least one hidden file, so that there is something to embed without it.
//
//go:embed all:dist plain.html
var files embed.FS

// assets is where the build puts files whose names change with their content.
const assets = "/assets/"

// Console serves the console.
type Console struct {
	files fs.FS
	index []byte // index.html up to and behind the place of its base element
	rest  []byte
	built bool
}

// baseMark stands in index.html where the base element comes.
const baseMark = "<!--base-->"

// New reads the files of the binary.
func New() *Console {
	dist, err := fs.Sub(files, "dist")
	if err != nil {
		panic(err) // dist is a literal
	}
	return newConsole(dist)
}

func newConsole(dist fs.FS) *Console {
	c := &Console{files: dist, built: true}
	index, err := fs.ReadFile(dist, "index.html")
	if err != nil {
		c.built = false
		index, _ = files.ReadFile("plain.html") // embedded above
	}
	before, after, _ := bytes.Cut(index, []byte(baseMark))
	c.index, c.rest = before, after
	return c
}

// Built reports whether the binary has the console, not only the plain page.
func (c *Console) Built() bool { return c.built }

// Serves reports whether a request is for the console: for a file of the build, or by a browser for a page. Programs that lost
// their way get the admin API's own 404 then, not a page that they cannot read.
func (c *Console) Serves(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	name := path.Clean("/" + r.URL.Path)
	if isFile(name) {
		_, err := c.open(name)
		return err == nil
	}
	return name == "/" || strings.Contains(r.Header.Get("Accept"), "text/html")
}

// isFile reports whether a path names a file, there or not, and so is no page.
func isFile(name string) bool {
	return strings.HasPrefix(name+"/", assets) || path.Ext(name) != "" && name != "/index.html"
}

// open reads a file of the build.
func (c *Console) open(name string) ([]byte, error) {
	if strings.HasPrefix(path.Base(name), ".") {
		return nil, fs.ErrNotExist
	}
	return fs.ReadFile(c.files, strings.TrimPrefix(name, "/"))
}

// ServeHTTP answers what the console Serves.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !c.Serves(r) {
		http.NotFound(w, r)
		return
	}
	setHeaders(w.Header())
	if name := path.Clean("/" + r.URL.Path); isFile(name) {
		c.serveFile(w, r, name)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache") // it names the files of this build
	base := `<base href="` + rootOf(r.URL.Path) + `">`
	w.Header().Set("Content-Length", strconv.Itoa(len(c.index)+len(base)+len(c.rest)))
	if r.Method == http.MethodHead {
		return
	}
	for _, part := range [][]byte{c.index, []byte(base), c.rest} {
		if _, err := w.Write(part); err != nil {
			return // the browser went away
		}
	}
}

// rootOf is the way from a path up to the console's root. The path itself is none of it: it came from the outside.
func rootOf(urlPath string) string {
	return "./" + strings.Repeat("../", max(0, strings.Count(urlPath, "/")-1))
}

// serveFile sends a file, compressed if the build left it so and the browser takes it.
func (c *Console) serveFile(w http.ResponseWriter, r *http.Request, name string) {
	content, err := c.open(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	kind := mime.TypeByExtension(path.Ext(name))
	if kind == "" {
		kind = "application/octet-stream"
	}
	w.Header().Set("Content-Type", kind)
	if strings.HasPrefix(name, assets) {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable") // another content has another name
	} else {
		w.Header().Set("Cache-Control", "no-cache")
	}
	w.Header().Set("Vary", "Accept-Encoding")
	if packed, err := c.open(name + ".gz"); err == nil && acceptsGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		content = packed
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(content)
	}
}

// acceptsGzip reports whether the browser names gzip without refusing it by q=0.
func acceptsGzip(r *http.Request) bool {
	for _, coding := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(coding, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q := strings.ReplaceAll(strings.TrimSpace(weight), " ", "")
			return !strings.HasPrefix(q, "q=0") || strings.Trim(q, "q=0.") != ""
		}
	}
	return false
}

// setHeaders lets the page load its own files and talk to its own server, and nothing else. Everything that could be injected has
// nowhere to come from and nowhere to go.
func setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "+
		"connect-src 'self'; manifest-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}
