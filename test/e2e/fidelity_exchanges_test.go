package e2e_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"gpt-load/internal/fakeprovider"
	"gpt-load/pkg/adminapi"
)

const payload = `{"messages":[{"role":"user","content":"h\u00e9llo"}], "temperature": 1.0}`

func sized(body string, lines ...string) ([]string, string) {
	return append(lines, fmt.Sprintf("Content-Length: %d", len(body))), body
}

// exchanges are the 200 and some. Orders to the provider's echo stand in its x-echo-* headers.
func exchanges() []exchange {
	return slices.Concat(methodExchanges(), targetExchanges(), requestHeaderExchanges(), bodyExchanges(), statusExchanges(), responseExchanges())
}

func methodExchanges() []exchange {
	var all []exchange
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PROPFIND", "REPORT", "TRACE", "BREW"} {
		bare := exchange{method: method, target: "/echo/method"}
		if method == "POST" || method == "PUT" || method == "PATCH" {
			bare.differ = []string{"framing of request bodies"} // net/http tells a body of 0 bytes
		}
		all = append(all, bare)
		if method == "TRACE" { // RFC 9110 section 9.3.8: no body
			continue
		}
		lines, body := sized(payload, "Content-Type: application/json")
		all = append(all, exchange{method: method, target: "/echo/method", lines: lines, body: body})
	}
	return all
}

func targetExchanges() []exchange {
	var all []exchange
	for _, target := range []string{
		"/a%2Fb", "/a%2fb", "/a%20b", "/a+b", "//a//b", "/a//", "/a/", "/;a=b;c", "/a;b=1/c;d", "/%E4%BD%A0%E5%A5%BD", "/%e4%bd%a0", "/\xe4\xbd\xa0",
		"/\xff\xfe", "/~u/-._~", "/!$&'()*+,=:@", "/[x]{y}|z^", "/\"quoted\"", "/<tag>", "/`tick`", "/a\\b", "/%00", "/%25", "/%252F", "/a%3Fb", "/a%23b",
		"/...", "/.well-known/x", "/a..b", "/models/gpt-4:free", "/@vendor/model", "/v1beta/models/x:y", "/%41%42", "/%7e", "/a%0Ab", "/a%0d%0aB", "/" + strings.Repeat("long/", 300),
	} {
		all = append(all, exchange{method: "GET", target: "/echo" + target})
	}
	for _, query := range []string{
		"?", "?a=1&a=2", "?b=1&a=2&b=3", "?a=", "?=a", "?a", "?&&a=1&", "?a=%20&b=+", "?a=1;b=2", "?a=?", "?a=b=c", "?q=\xe4\xbd\xa0", "?q=%E4%BD%A0", "?%61=1",
		"?bad=%zz", "?a=1&Key=x&keys=y&kkey=z", "?a[]=1&a[]=2", "?url=https://example.com/?x=1%26y=2", "?json={\"a\":[1,2]}", "?a=\\", "?a='\"<>", "?" + strings.Repeat("x=1&", 500),
	} {
		all = append(all, exchange{method: "GET", target: "/echo/q" + query})
	}
	return all
}

func requestHeaderExchanges() []exchange {
	var all []exchange
	for _, lines := range [][]string{
		{"X-A: 1", "X-A: 2", "X-A: 1"},
		{"x-lower: a", "X-LOWER: b"},
		{"X-Empty:"},
		{"X-Spaces: \t a  b\t c \t"},
		{"X-Utf8: h\xc3\xa9llo"},
		{"X-High: \xff\xfe\x80"},
		{"X-List: a, b,c ,, d"},
		{"X-Quoted: \"a\\\"b\", 'c'"},
		{"X-Long: " + strings.Repeat("0123456789abcdef", 2000)},
		{"X_Underscore: 1", "X.Dot: 2", "X!#$%&'*+-.^`|~: 3"},
		{"Accept-Encoding: gzip, br;q=0.9, zstd"},
		{"Accept-Encoding: identity"},
		{"Accept-Encoding:"},
		{"Accept: text/event-stream", "Accept: */*;q=0.1"},
		{"User-Agent: OpenAI/Python 1.99.0", "X-Stainless-Lang: python", "X-Stainless-Retry-Count: 0"},
		{"User-Agent: a (b; c) d/1.0"},
		{"OpenAI-Organization: org-1", "OpenAI-Project: proj-1", "OpenAI-Beta: assistants=v2"},
		{"anthropic-version: 2023-06-01", "anthropic-beta: a,b", "anthropic-beta: c"},
		{"Cookie: a=1; b=2"},
		{"Cookie: a=1", "Cookie: b=\"2\"; c"},
		{"Range: bytes=0-99", "If-Range: \"etag\""},
		{"If-None-Match: W/\"x\", \"y\"", "If-Modified-Since: Sat, 01 Jan 2000 00:00:00 GMT"},
		{"Idempotency-Key: 0d6f"},
		{"X-Idempotency-Key: 0d6f"},
		{"Origin: https://example.com", "Referer: https://example.com/?a=b", "Sec-Fetch-Mode: cors"},
		{"Cache-Control: no-store", "Pragma: x"},
		{"Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Baggage: a=b"},
		{"X-Request-Id: mine", "X-Client-Request-Id: also-mine"},
		{"Date: Sat, 01 Jan 2000 00:00:00 GMT", "Max-Forwards: 3", "From: a@example.com"},
		{"Content-Type: odd"},
		{"Accept-Language: de-CH, *;q=0.5", "DNT: 1", "Priority: u=1, i"},
	} {
		all = append(all, exchange{method: "GET", target: "/echo/h", lines: lines})
	}
	return append(all,
		exchange{method: "GET", target: "/echo/h", lines: []string{"User-Agent:"}, differ: []string{"User-Agent"}},
		exchange{method: "GET", target: "/echo/h", lines: []string{"User-Agent: a", "User-Agent: b"}, differ: []string{"User-Agent"}},
		exchange{method: "GET", target: "/echo/h", lines: []string{"Connection: keep-alive, X-Of-This-Hop", "X-Of-This-Hop: 1", "Keep-Alive: timeout=5"}, differ: []string{"hop-by-hop"}},
		exchange{method: "GET", target: "/echo/h", lines: []string{"TE: trailers", "Proxy-Authorization: Basic eDp5", "Proxy-Connection: keep-alive"}, differ: []string{"hop-by-hop"}},
		exchange{method: "GET", target: "/echo/h", lines: []string{"Connection: Upgrade", "Upgrade: websocket"}, differ: []string{"hop-by-hop"}},
		exchange{method: "GET", target: "/echo/h", lines: []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Real-IP: 192.0.2.1", "Via: 1.1 a", "Forwarded: for=192.0.2.1"}, differ: []string{"forwarding"}},
		exchange{method: "GET", target: "/echo/h", lines: []string{"x-api-key: mine", "api-key: mine", "x-goog-api-key: mine"}, differ: []string{"credentials"}},
		exchange{method: "GET", target: "/echo/h", lines: []string{"Cookie: a=1; " + adminapi.SessionCookie + "=secret; b=2"}, differ: []string{"session cookie"}},
		exchange{method: "GET", target: "/echo/h", lines: []string{"Cookie: " + adminapi.SessionCookie + "=secret"}, differ: []string{"session cookie"}},
	)
}

func bodyExchanges() []exchange {
	var all []exchange
	every := make([]byte, 1024)
	for i := range every {
		every[i] = byte(i)
	}
	multipart := "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav\r\n\r\n" + string(every) + "\r\n--b--\r\n"
	for _, b := range []struct{ contentType, body string }{
		{"application/json", payload},
		{"application/json", " \r\n\t{ \"a\" : 1E+2 , \"a\":2}\n"},
		{"application/json", "{\"broken"},
		{"application/json", "[1,2]"},
		{"application/json; charset=utf-8", "\xef\xbb\xbf{}"},
		{"application/octet-stream", string(every)},
		{"", payload},
		{"text/plain", "plain\x00text"},
		{"application/x-www-form-urlencoded", "a=1&b=%20"},
		{"multipart/form-data; boundary=b", multipart},
		{"application/json", "{}" + strings.Repeat(" ", 1<<20)},
		{"application/json", `{"model":"gpt-\u0034o","model":"x","n":1.000,"big":12345678901234567890}`},
	} {
		lines, body := sized(b.body)
		if b.contentType != "" {
			lines = append(lines, "Content-Type: "+b.contentType)
		}
		all = append(all, exchange{method: "POST", target: "/echo/b", lines: lines, body: body})
	}
	zipped, body := sized("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x00\x00", "Content-Encoding: gzip", "Content-Type: application/json")
	expect, text := sized(payload, "Expect: 100-continue")
	reframed := []string{"framing of request bodies", "end of the connection"}
	chunked := func(method, body string, differ []string, lines ...string) exchange {
		return exchange{method: method, target: "/echo/b", lines: append(lines, "Transfer-Encoding: chunked"), body: body, differ: differ}
	}
	return append(all,
		exchange{method: "POST", target: "/echo/b", lines: zipped, body: body},
		exchange{method: "POST", target: "/echo/b", lines: expect, body: text, differ: []string{"expect"}},
		exchange{method: "POST", target: "/echo/b", lines: []string{"Content-Length: 0"}},
		exchange{method: "GET", target: "/echo/b", lines: []string{"Content-Length: 0"}, differ: reframed[:1]},
		chunked("POST", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", reframed),
		chunked("PUT", "5;ext=1;q=\"x\"\r\nhello\r\n0;last\r\n\r\n", reframed),
		chunked("POST", "400\r\n"+string(every)+"\r\n0\r\n\r\n", reframed, "Content-Type: application/octet-stream"),
		chunked("POST", "0\r\n\r\n", reframed),
		chunked("DELETE", "2\r\n{}\r\n0\r\n\r\n", reframed),
		chunked("POST", "2\r\n{}\r\n0\r\nX-Sum: 1\r\n\r\n", append(slices.Clone(reframed), "request trailers"), "Trailer: X-Sum"),
	)
}

func statusExchanges() []exchange {
	var all []exchange
	for _, status := range []int{
		200, 201, 202, 203, 204, 205, 206, 207, 226, 299, 300, 301, 302, 303, 304, 307, 308, 400, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414, 415, 416, 418, 422, 423, 424, 425, 426, 428, 429, 431, 451, 499,
		500, 501, 502, 503, 504, 505, 507, 508, 511, 520, 529, 599,
	} {
		e := exchange{method: "GET", target: "/echo/s", lines: []string{fmt.Sprintf("X-Echo-Status: %d", status)}}
		if status >= 300 && status < 400 {
			e.lines = append(e.lines, "X-Echo-Location: http://192.0.2.1/elsewhere?a=%2F")
		}
		if status >= 400 { // without it, the echo would repeat the key, which errors may not
			e.lines = append(e.lines, "X-Echo-Body: 300")
		}
		all = append(all, e)
	}
	for _, status := range []int{401, 402, 403, 422} {
		all = append(all, exchange{method: "GET", target: "/echo/s", lines: []string{fmt.Sprintf("X-Echo-Status: %d", status)}, differ: []string{"operator's key"}})
	}
	return all
}

func responseExchanges() []exchange {
	var all []exchange
	for _, lines := range [][]string{
		{"X-Echo-Header: Set-Cookie: b=2; Path=/", "X-Echo-Header: Set-Cookie: a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT", "X-Echo-Header: Set-Cookie: b=2; Path=/"},
		{"X-Echo-Header: X-Empty:", "X-Echo-Header: X-High: \xff\xc3\xa9"},
		{"X-Echo-Header: Server: odd/1 (x)", "X-Echo-Header: Date: Sat, 01 Jan 2000 00:00:00 GMT"},
		{"X-Echo-Header: Www-Authenticate: Bearer", "X-Echo-Header: Www-Authenticate: Basic realm=\"x\""},
		{"X-Echo-Header: Via: 1.1 google", "X-Echo-Header: X-Forwarded-For: 192.0.2.1", "X-Echo-Header: Access-Control-Allow-Origin: *"},
		{"X-Echo-Header: Etag: W/\"x\"", "X-Echo-Header: Vary: Origin", "X-Echo-Header: Vary: Accept-Encoding", "X-Echo-Header: Cache-Control: no-cache, must-revalidate"},
		{"X-Echo-Header: Content-Disposition: attachment; filename=\"a b.bin\"", "X-Echo-Body: 4096"},
		{"X-Echo-Type: audio/mpeg", "X-Echo-Body: 70000"},
		{"X-Echo-Type: application/octet-stream", "X-Echo-Body: 1"},
		{"X-Echo-Body: 1048576"},
		{"X-Echo-Body: 65536", "X-Echo-Chunks: 7"},
		{"X-Echo-Chunks: 2"},
		{"X-Echo-Body: 30000", "X-Echo-Encoding: gzip"},
		{"X-Echo-Body: 30000", "X-Echo-Encoding: br"},
		{"X-Echo-Body: 30000", "X-Echo-Encoding: zstd"},
		{"X-Echo-Body: 30000", "X-Echo-Encoding: deflate"},
		{"X-Echo-Body: 30000", "X-Echo-Encoding: gzip", "X-Echo-Chunks: 5", "Accept-Encoding: gzip"},
		{"X-Echo-Type: application/json", "X-Echo-Body: 3000", "X-Echo-Encoding: br", "Accept-Encoding: br"},
		{"X-Echo-Trailer: X-Sum: 1", "X-Echo-Trailer: X-Sum: 2", "X-Echo-Trailer: Grpc-Status: 0", "X-Echo-Body: 100"},
		{"X-Echo-Status: 206", "X-Echo-Header: Content-Range: bytes 0-99/1000", "X-Echo-Body: 100", "Range: bytes=0-99"},
		{"X-Echo-Status: 500", "X-Echo-Chunks: 3", "X-Echo-Body: 200000"},
		{"X-Echo-Status: 400", "X-Echo-Body: 200000", "X-Echo-Encoding: gzip"},
		{"X-Echo-Status: 404", "X-Echo-Trailer: X-Sum: 1", "X-Echo-Body: 300"},
	} {
		for _, method := range []string{"GET", "POST"} {
			e := exchange{method: method, target: "/echo/r", lines: lines}
			if method == "POST" {
				e.lines, e.body = sized("{}", append(slices.Clone(lines), "Content-Type: application/json")...)
			}
			if slices.Contains(lines, "X-Echo-Trailer: Grpc-Status: 0") {
				e.differ = []string{"Trailer"}
			}
			all = append(all, e)
		}
	}
	return append(all,
		exchange{method: "HEAD", target: "/echo/r", lines: []string{"X-Echo-Body: 5000", "X-Echo-Header: Etag: \"x\""}},
		exchange{method: "HEAD", target: "/echo/r", lines: []string{"X-Echo-Body: 5000", "X-Echo-Chunks: 2"}},
		exchange{method: "HEAD", target: "/echo/r", lines: []string{"X-Echo-Status: 404"}},
		exchange{method: "GET", target: "/echo/r", lines: []string{"X-Echo-Early: Link: </a>; rel=preload", "X-Echo-Body: 10"}, differ: []string{"early hints"}},
		exchange{method: "GET", target: "/untyped"},
		exchange{method: "POST", target: "/untyped", lines: []string{"Content-Length: 2"}, body: "{}"},
		exchange{method: "GET", target: "/empty-chunked"},
		exchange{method: "GET", target: "/empty-chunked?status=500"},
		exchange{method: "GET", target: "/trailers"},
	)
}

// oddAnswers are what the provider's echo cannot give: no Content-Type and no Date, nothing in chunks, trailers
// that no header announced.
func oddAnswers() []fakeprovider.Rule {
	answer := func(path string, handle http.HandlerFunc) fakeprovider.Rule {
		return fakeprovider.Rule{Match: fakeprovider.Match{Path: path}, Then: fakeprovider.Then{Handler: handle}}
	}
	return []fakeprovider.Rule{
		answer("/untyped", func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"], w.Header()["Date"] = nil, nil
			_, _ = w.Write([]byte("<html>not sniffed"))
		}),
		answer("/empty-chunked", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RawQuery != "" {
				w.WriteHeader(http.StatusInternalServerError)
			}
			_ = http.NewResponseController(w).Flush()
		}),
		answer("/trailers", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("body"))
			_ = http.NewResponseController(w).Flush()
			w.Header().Set(http.TrailerPrefix+"X-Late", "1")
		}),
	}
}

// byteExchange is an answer that Go's server cannot give.
type byteExchange struct {
	answer string
	target string // empty for a usual one
	differ []string
}

var byteExchanges = []byteExchange{
	{answer: "HTTP/1.1 200 OK\r\nset-cookie: b=1\r\nSET-COOKIE: a=2\r\nx_odd: 1\r\nContent-Length: 2\r\n\r\nok"},
	{answer: "HTTP/1.1 200 Tout va bien\r\nContent-Length: 2\r\n\r\nok", differ: []string{"status line"}},
	{answer: "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", differ: []string{"status line"}},
	{answer: "HTTP/1.1 777 Odd\r\nContent-Length: 2\r\n\r\nok", differ: []string{"status line"}},
	{answer: "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end", differ: []string{"status line", "framing of answers"}},
	{
		answer: "HTTP/1.1 200 OK\r\nConnection: close, X-Of-This-Hop\r\nX-Of-This-Hop: 1\r\nKeep-Alive: timeout=5\r\n\r\nuntil the end",
		differ: []string{"hop-by-hop", "framing of answers"},
	},
	{answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0;c\r\nX-Late: 1\r\n\r\n", differ: []string{"Trailer"}},
	{answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", differ: []string{"framing of answers"}},
	{answer: "HTTP/1.1 200 OK\r\nPragma: no-cache\r\nContent-Length: 2\r\n\r\nok", differ: []string{"Pragma"}},
	{answer: "HTTP/1.1 200 OK\r\nX-Fold: a\r\n  b\r\n\tc\r\nContent-Length: 2\r\n\r\nok", differ: []string{"line breaks"}},
	{answer: "HTTP/1.1 200 OK\r\nNot A Token: 1\r\nContent-Length: 2\r\n\r\nok", differ: []string{"names that are no tokens"}},
	{answer: "HTTP/1.1 304 Not Modified\r\nEtag: \"x\"\r\nContent-Length: 10\r\n\r\n", differ: []string{"framing of answers"}},
	{answer: "HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n"},
	{answer: "HTTP/1.1 302 Found\r\nLocation: //192.0.2.1/\xff?a=%zz#f\r\nContent-Length: 0\r\n\r\n"},
	{answer: "HTTP/1.1 200 OK\r\nX-High: \xff\xfe \xc3\xa9\r\nContent-Length: 3\r\n\r\n\x00\xff\n"},
	{answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", target: "//v1//chat", differ: []string{"absolute form"}},
}
