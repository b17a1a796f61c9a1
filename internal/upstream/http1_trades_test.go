package upstream_test

import (
	"net/http"
	"strings"
)

const ok2 = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

var framings = []trade{
	{name: "a length", want: `200 "ok", again`, answer: ok2},
	{name: "a length of 0", want: `200 "", again`, answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
	{name: "a length said twice alike", want: `200 "ok", again`, answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"},
	{name: "a length in a list alike", want: "malformed_answer", answer: "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok"},
	{name: "a long body", want: `200 "300000 bytes", again`, answer: answerOf(strings.Repeat("x", 300_000))},
	{name: "chunked", want: `200 "ok, k", again`, answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3\r\n, k\r\n0\r\n\r\n"},
	{name: "chunked and empty", want: `200 "", again`, answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
	{name: "chunked with extensions", want: `200 "ok", again`, answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b;c\r\nok\r\n0;last\r\n\r\n"},
	{name: "chunked with upper case and zeros", want: `200 "0123456789", again`, answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n00A\r\n0123456789\r\n000\r\n\r\n"},
	{name: "trailers announced", want: `200 "ok" map[X-Other:[2 3] X-Sum:[1]], again`, answer: "HTTP/1.1 200 OK\r\nTrailer: X-Sum, X-Other\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\nX-Other: 3\r\n\r\n"},
	{name: "trailers not announced", want: `200 "ok" map[X-Sum:[1]], again`, answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n"},
	{name: "trailers announced and missing", want: `200 "ok" map[X-Sum:[]], again`, answer: "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
	{name: "trailers that may be none", want: "malformed_answer", answer: "HTTP/1.1 200 OK\r\nTrailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nContent-Length: 5\r\n\r\n"},
	{name: "ended by its connection", want: `200 "until the end", fresh`, answer: "HTTP/1.1 200 OK\r\n\r\nuntil the end", then: "close"},
	{name: "ended by its connection, as it says", want: `200 "until the end", fresh`, answer: "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end", then: "close"},
	{name: "HTTP/1.0", want: `200 "until the end", fresh`, answer: "HTTP/1.0 200 OK\r\n\r\nuntil the end", then: "close"},
	{name: "HTTP/1.0 with a length", want: `200 "ok", fresh`, answer: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"},
	{name: "HTTP/1.0 that keeps alive", want: `200 "ok", again`, answer: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"},
	{name: "HTTP/1.0 with chunks", want: `200 "2\r\nok\r\n0\r\n\r\n", fresh`, answer: "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", then: "close"},
	{name: "close said", want: `200 "ok", fresh`, answer: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"},
	{name: "close said among others", want: `200 "ok", fresh`, answer: "HTTP/1.1 200 OK\r\nConnection: x-a, Close\r\nContent-Length: 2\r\n\r\nok"},
	{name: "keep-alive said", want: `200 "ok", again`, answer: "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok"},
	{name: "close asked", want: `200 "ok", fresh`, shut: true, answer: ok2},
	{name: "bytes behind a length", want: `200 "ok", fresh`, answer: ok2 + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", alone: true},
	{name: "bytes behind chunks", want: `200 "ok", fresh`, answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", alone: true},
	{name: "a length and chunks", want: `200 "abc", again`, answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
	{name: "chunks and a length", want: `200 "abc", again`, answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 500\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
}

var statuses = []trade{
	{name: "204", want: `204 "", again`, answer: "HTTP/1.1 204 No Content\r\n\r\n"},
	{name: "204 with a length", want: `204 "", again`, answer: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"},
	{name: "204 with a body", want: `204 "", fresh`, answer: "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nHTTP/", alone: true},
	{name: "304", want: `304 "", again`, answer: "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"},
	{name: "304 with a length", want: `304 "", again`, answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\n\r\n"},
	{name: "HEAD", want: `200 "", again`, method: http.MethodHead, answer: "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"},
	{name: "HEAD without a length", want: `200 "", again`, method: http.MethodHead, answer: "HTTP/1.1 200 OK\r\n\r\n"},
	{name: "HEAD with chunks", want: `200 "", again`, method: http.MethodHead, answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
	{name: "HEAD with a body", want: `200 "", fresh`, method: http.MethodHead, answer: "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", alone: true},
	{name: "100 before", want: `200 "ok", again`, answer: "HTTP/1.1 100 Continue\r\n\r\n" + ok2},
	{name: "102 before", want: `200 "ok", again`, answer: "HTTP/1.1 102 Processing\r\n\r\n" + ok2},
	{name: "103 before", want: `200 "ok", again`, answer: "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" + ok2},
	{name: "many interim answers", want: `200 "ok", again`, answer: strings.Repeat("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 10) + ok2},
	{name: "interim answers without end", want: "malformed_answer", answer: strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("a", 1000)+"\r\n\r\n", 1100) + ok2},
	{name: "an interim answer and the end", want: "closed_before_headers", answer: "HTTP/1.1 100 Continue\r\n\r\n", then: "close"},
	{name: "101", want: `101 "", fresh`, answer: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nspeech"},
	{name: "a status below 100", want: `042 "ok", fresh`, answer: "HTTP/1.1 042 Low\r\nContent-Length: 2\r\n\r\nok"},
	{name: "a status of zeros", want: `000 "", fresh`, answer: "HTTP/1.1 000 None\r\nContent-Length: 0\r\n\r\n"},
	{name: "a status above 599", want: `999 "ok", again`, answer: "HTTP/1.1 999 High\r\nContent-Length: 2\r\n\r\nok"},
	{name: "a status without words", want: `200 "ok", again`, answer: "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"},
	{name: "a redirect", want: `302 "", again`, answer: "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"},
	{name: "401", want: `401 "no", again`, answer: "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 2\r\n\r\nno"},
	{name: "CONNECT", want: `405 "no", again`, method: http.MethodConnect, answer: "HTTP/1.1 405 No\r\nContent-Length: 2\r\n\r\nno"},
}

var headers = []trade{
	{name: "names that repeat", want: `200 "", again`, answer: "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nX-A: 1\r\nset-cookie: b\r\nx-a: 2\r\nContent-Length: 0\r\n\r\n"},
	{name: "odd spellings", want: `200 "ok", again`, answer: "HTTP/1.1 200 OK\r\ncOnTeNt-lEnGtH: 2\r\nX_A-b.c!#$%&'*+^`|~1:v\r\nX-Empty:\r\nX-Spaces: \t v  \t\r\n\r\nok"},
	{name: "bytes beyond ASCII", want: `200 "", again`, answer: "HTTP/1.1 200 OK\r\nX-A: \xe4\xf6\xfc\r\nContent-Length: 0\r\n\r\n"},
	{name: "lines without CR", want: `200 "ok", again`, answer: "HTTP/1.1 200 OK\nContent-Length: 2\n\nok"},
	{name: "a folded line", want: `200 "ok", again`, answer: "HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\n\tc\r\nContent-Length: 2\r\n\r\nok"},
	{name: "a fold at first", want: "malformed_answer", answer: "HTTP/1.1 200 OK\r\n X-A: a\r\nContent-Length: 2\r\n\r\nok", then: "close"},
	{name: "a long header within the limit", want: `200 "ok", again`, answer: "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 1_000_000) + "\r\nContent-Length: 2\r\n\r\nok"},
	{name: "a long header beyond the limit", want: "malformed_answer", answer: "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 1_100_000) + "\r\nContent-Length: 2\r\n\r\nok"},
	{name: "a header without end", want: "malformed_answer", answer: "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: "+strings.Repeat("a", 1000)+"\r\n", 1200)},
	{name: "a long status line", want: "malformed_answer", answer: "HTTP/1.1 200 " + strings.Repeat("a", 1_100_000) + "\r\n\r\n"},
	{name: "a long body behind a long header", want: `200 "300000 bytes", again`, answer: "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 1_000_000) + "\r\nContent-Length: 300000\r\n\r\n" + strings.Repeat("b", 300_000)},
	{name: "Pragma", want: `200 "", again`, answer: "HTTP/1.1 200 OK\r\nPragma: no-cache\r\nContent-Length: 0\r\n\r\n"},
	{name: "a compressed body", want: `200 "ok", again`, answer: "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok"},
}

var malformations = []trade{
	{name: "an empty line first", want: "malformed_answer", answer: "\r\n" + ok2},
	{name: "empty lines first", want: "malformed_answer", answer: "\r\n\r\n\r\n" + ok2},
	{name: "no HTTP", want: "malformed_answer", answer: "SSH-2.0-OpenSSH_9.9\r\n\r\n"},
	{name: "another version", want: `200 "ok", again`, answer: "HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"},
	{name: "a version that is none", want: "malformed_answer", answer: "HTTP/x 200 OK\r\nContent-Length: 2\r\n\r\nok"},
	{name: "a status that is none", want: "malformed_answer", answer: "HTTP/1.1 abc OK\r\n\r\n"},
	{name: "a status of four digits", want: "malformed_answer", answer: "HTTP/1.1 2000 OK\r\n\r\n"},
	{name: "a negative status", want: "malformed_answer", answer: "HTTP/1.1 -10 OK\r\n\r\n"},
	{name: "no status", want: "malformed_answer", answer: "HTTP/1.1\r\n\r\n"},
	{name: "a line without a colon", want: "malformed_answer", answer: "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"},
	{name: "a space before the colon", want: `200 "ok", again`, answer: "HTTP/1.1 200 OK\r\nX-A : a\r\nContent-Length: 2\r\n\r\nok"},
	{name: "a CR in a value", want: "malformed_answer", answer: "HTTP/1.1 200 OK\r\nX-A: a\rX-B: b\r\nContent-Length: 2\r\n\r\nok"},
	{name: "a NUL in a value", want: "malformed_answer", answer: "HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 2\r\n\r\nok"},
	{name: "two lengths", want: "malformed_answer", answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok?"},
	{name: "a negative length", want: "malformed_answer", answer: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"},
	{name: "a signed length", want: "malformed_answer", answer: "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok"},
	{name: "a length that is none", want: "malformed_answer", answer: "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok"},
	{name: "an empty length", want: "malformed_answer", answer: "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok", then: "close"},
	{name: "an unknown coding", want: "malformed_answer", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok"},
	{name: "chunked behind another coding", want: "malformed_answer", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
	{name: "chunked twice", want: "malformed_answer", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"},
	{name: "a chunk size that is none", want: `200 "ok" malformed_answer, fresh`, answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz\r\n"},
	{name: "a chunk size too large", want: `200 "" malformed_answer, fresh`, answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nok"},
	{name: "a negative chunk size", want: `200 "" malformed_answer, fresh`, answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n"},
	{name: "a chunk longer than its size", want: `200 "ok" malformed_answer, fresh`, answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n"},
	{name: "a malformed trailer", want: `200 "ok" malformed_answer map[X-A:[]], fresh`, answer: "HTTP/1.1 200 OK\r\nTrailer: X-A\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nno colon\r\n\r\n"},
}

var endings = []trade{
	{name: "closed before the answer", want: "closed_before_headers", then: "close"},
	{name: "reset before the answer", want: "connection_reset", then: "reset"},
	{name: "closed in the status line", want: "malformed_answer", answer: "HTTP/1.1 20", then: "close"},
	{name: "closed in the header", want: "closed_before_headers", answer: "HTTP/1.1 200 OK\r\nX-A: a", then: "close"},
	{name: "reset in the header", want: "connection_reset", nethttp: "closed_before_headers", answer: "HTTP/1.1 200 OK\r\nX-A: a", then: "reset"},
	{name: "closed in the body", want: `200 "ok" answer_cut, fresh`, answer: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok", then: "close"},
	{name: "closed before the body", want: `200 "" answer_cut, fresh`, answer: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", then: "close"},
	{name: "reset in the body", want: `200 "ok" connection_reset, fresh`, answer: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok", then: "reset"},
	{name: "reset in a body without length", want: `200 "ok" connection_reset, fresh`, answer: "HTTP/1.1 200 OK\r\n\r\nok", then: "reset"},
	{name: "closed in a chunk", want: `200 "ok" answer_cut, fresh`, answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok", then: "close"},
	{name: "closed between chunks", want: `200 "ok" answer_cut, fresh`, answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", then: "close"},
	{name: "closed in the last chunk", want: `200 "ok" answer_cut, fresh`, answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", then: "close"},
	{name: "closed behind the answer", want: `200 "ok", fresh`, answer: ok2, then: "close"},
	{name: "reset behind the answer", want: `200 "ok", fresh`, answer: ok2, then: "reset"},
	{name: "closed behind an answer to POST", want: `200 "ok", fresh`, method: http.MethodPost, body: "{}", answer: ok2, then: "close"},
}

var asks = []trade{
	{name: "a body", want: `200 "ok", again`, method: http.MethodPost, body: `{"model":"m"}`, header: http.Header{"Content-Type": {"application/json"}}, answer: ok2},
	{name: "a large body", want: `200 "ok", again`, method: http.MethodPost, body: strings.Repeat("x", 1<<20), answer: ok2},
	{name: "PUT without a body", want: `200 "ok", again`, method: http.MethodPut, answer: ok2},
	{name: "DELETE with a body", want: `200 "ok", again`, method: http.MethodDelete, body: "x", answer: ok2},
	{name: "a method of its own", want: `200 "ok", again`, method: "M-SEARCH", answer: ok2},
	{name: "a query and escapes", want: `200 "ok", again`, path: "/a%2Fb//c?x=%20+&x&=", answer: ok2},
	{name: "headers of every kind", want: `200 "ok", again`, header: http.Header{"X-Twice": {"1", "2"}, "x-lower": {"v"}, "User-Agent": {""}, "X-Empty": {""}, "X-None": {}, "X-Tab": {"a\tb"}, "X-High": {"\xe4"}}, answer: ok2},
	{name: "spaces around a value", want: `200 "ok", again`, header: http.Header{"X-A": {"  a  "}}, answer: ok2},
	{name: "a line break in a value", want: "invalid_request_header", header: http.Header{"X-A": {"a\r\nX-Injected: 1"}}, answer: ok2},
	{name: "a LF in a value", want: "invalid_request_header", header: http.Header{"X-A": {"a\nb"}}, answer: ok2},
	{name: "a NUL asked in a value", want: "invalid_request_header", header: http.Header{"X-A": {"a\x00b"}}, answer: ok2},
	{name: "a line break in a name", want: "invalid_request_header", header: http.Header{"X-A\r\nX-Injected": {"a"}}, answer: ok2},
	{name: "an empty name", want: "invalid_request_header", header: http.Header{"": {"a"}}, answer: ok2},
	{name: "a line break in the method", want: "connection_failed", method: "GET / HTTP/1.1\r\nX: y\r\n\r\nGET", answer: ok2},
	{name: "Expect", want: `200 "ok", again`, method: http.MethodPost, body: "{}", header: http.Header{"Expect": {"100-continue"}}, answer: "HTTP/1.1 100 Continue\r\n\r\n" + ok2, serve: func(v *visit, _ <-chan struct{}) {
		v.send("HTTP/1.1 100 Continue\r\n\r\n")
		v.readRequest()
		v.send(ok2)
	}},
	{name: "Expect refused", want: `417 "", fresh`, method: http.MethodPost, body: "{}", header: http.Header{"Expect": {"100-continue"}}, serve: func(v *visit, _ <-chan struct{}) {
		v.readHeader()
		v.send("HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		v.awaitEnd()
	}},
	{name: "an early answer", want: `413 "no", fresh`, method: http.MethodPost, body: strings.Repeat("x", 1<<20), serve: early("HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")},
	{name: "an early answer that closes", want: `413 "no", fresh`, method: http.MethodPost, body: strings.Repeat("x", 1<<20), serve: early("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")},
	{name: "an early answer in chunks", want: `413 "no", fresh`, method: http.MethodPost, body: strings.Repeat("x", 1<<20), serve: early("HTTP/1.1 413 Too Large\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n")},
	{name: "an interim answer before the body", want: `200 "ok", again`, method: http.MethodPost, body: strings.Repeat("x", 1<<20), serve: func(v *visit, _ <-chan struct{}) {
		v.send("HTTP/1.1 103 Early Hints\r\n\r\n")
		v.readRequest()
		v.send(ok2)
	}},
}

// mixtures are answers put together from every version, framing and word about the connection. What they give is what net/http
// makes of them.
func mixtures() []trade {
	var list []trade
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
		for _, version := range []string{"1.1", "1.0"} {
			for _, connection := range []string{"", "close", "keep-alive", "Keep-Alive, x-y", "upgrade, CLOSE"} {
				for _, status := range []string{"200 OK", "204 No Content", "304 Not Modified", "500 Internal Server Error"} {
					for _, framing := range []string{"length", "zero", "chunks", "chunks and length", "rest"} {
						list = append(list, mixture(method, version, connection, status, framing))
					}
				}
			}
		}
	}
	return list
}

func mixture(method, version, connection, status, framing string) trade {
	c := trade{name: strings.Join([]string{method, version, connection, status[:3], framing}, ","), method: method}
	if method == http.MethodPost {
		c.body = `{"model":"m"}`
	}
	head := "HTTP/" + version + " " + status + "\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\nx-lower: a\r\n"
	if connection != "" {
		head += "Connection: " + connection + "\r\n"
	}
	body := ""
	switch framing {
	case "length":
		head, body = head+"Content-Length: 4\r\n", "body"
	case "zero":
		head += "Content-Length: 0\r\n"
	case "chunks":
		head, body = head+"Transfer-Encoding: chunked\r\n", "4\r\nbody\r\n0\r\n\r\n"
	case "chunks and length":
		head, body = head+"Content-Length: 40\r\nTransfer-Encoding: chunked\r\n", "4\r\nbody\r\n0\r\n\r\n"
	case "rest":
		body = "body"
	}
	if method == http.MethodHead || status[0] == '3' || status[:3] == "204" {
		body = "" // bytes that nobody asked for are another matter
	}
	if c.answer = head + "\r\n" + body; framing == "rest" || version == "1.0" && strings.HasPrefix(framing, "chunks") {
		c.then = "close"
	}
	return c
}
