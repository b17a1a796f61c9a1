package e2e_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
)

// exchange is one request and the differences between sending it to the provider and through the proxy.
type exchange struct {
	method string
	target string   // below the provider's address and below /proxy/{group}
	lines  []string // header lines, without Host and credentials
	body   string   // behind the header, framing included
	differ []string // names in documented; none otherwise
}

// difference is one thing that is not the same on both ways. Missing sides are nil.
type difference struct {
	where           string // "request" or "response"
	what            string // a header's canonical name, or body, method, uri...
	direct, proxied []string
}

func (d difference) String() string {
	return fmt.Sprintf("%s %s: direct %q, proxied %q", d.where, d.what, d.direct, d.proxied)
}

// listed are the elements of a header that is a list, sorted.
func listed(values []string) []string {
	list := strings.Split(strings.ReplaceAll(strings.Join(values, ","), " ", ""), ",")
	slices.Sort(list)
	return list
}

// removed is the usual form of a documented difference: the provider does not get it.
func removed(names ...string) func(difference) bool {
	return func(d difference) bool {
		return d.where == "request" && d.proxied == nil && slices.Contains(names, d.what)
	}
}

// documented is the list of package proxy's doc.go. Whatever it does not hold must be the same on both ways.
var documented = map[string]func(difference) bool{
	"hop-by-hop": func(d difference) bool {
		return d.proxied == nil && slices.Contains([]string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Te", "Upgrade", "X-Of-This-Hop"}, d.what)
	},
	"expect":         removed("Expect"),
	"credentials":    removed("Api-Key", "X-Api-Key", "X-Goog-Api-Key"),
	"forwarding":     removed("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-Prefix", "X-Real-Ip"),
	"session cookie": func(d difference) bool { return d.where == "request" && d.what == "Cookie" },
	"framing of request bodies": func(d difference) bool {
		return d.where == "request" && slices.Contains([]string{"Content-Length", "content-length", "transfer-encoding"}, d.what)
	},
	"end of the connection": func(d difference) bool {
		return d.where == "response" && d.what == "Connection" && slices.Equal(d.proxied, []string{"close"})
	},
	"request trailers": removed("trailers"),
	"User-Agent":       func(d difference) bool { return d.where == "request" && d.what == "User-Agent" },
	"Trailer": func(d difference) bool {
		return d.where == "response" && d.what == "Trailer" && (d.direct == nil || slices.Equal(listed(d.direct), listed(d.proxied)))
	},
	"early hints": func(d difference) bool { return d.where == "response" && d.what == "interim" && d.proxied == nil },
	"status line": func(d difference) bool {
		return d.what == "status" && (rawAnswer{statusLine: d.direct[0]}).status() == (rawAnswer{statusLine: d.proxied[0]}).status()
	},
	"framing of answers": func(d difference) bool {
		return d.where == "response" && slices.Contains([]string{"Transfer-Encoding", "Content-Length"}, d.what)
	},
	"line breaks": func(d difference) bool {
		return d.where == "response" && d.what == "X-Fold" && slices.Equal(d.proxied, []string{"a b c"})
	},
	"names that are no tokens": func(d difference) bool {
		return d.where == "response" && d.what == "Not A Token" && d.proxied == nil
	},
	"absolute form": func(d difference) bool {
		return d.what == "line" && strings.HasPrefix(d.direct[0], "POST //v1//chat ") && strings.HasPrefix(d.proxied[0], "POST http://")
	},
	"Pragma": func(d difference) bool {
		return d.what == "Cache-Control" && d.direct == nil && slices.Equal(d.proxied, []string{"no-cache"})
	},
	"operator's key": func(d difference) bool {
		return d.where == "response" && slices.Contains([]string{"status", "body", "Content-Type", "Content-Length", "X-Request-Id", "Cache-Control"}, d.what)
	},
}

// TestFidelity sends every exchange to the provider and through the proxy, in bytes, and compares what the provider
// received and what came back.
func TestFidelity(t *testing.T) {
	w := start(t)
	group := w.group("plain", adminapi.ChannelOpenAI, 1, func(g *adminapi.GroupInput) {
		g.Settings = map[string]any{"max_retries": 0, "cooldown_wait_seconds": 0, "blacklist_threshold": 0}
	})
	w.provider.Script(oddAnswers()...)
	all := exchanges()
	if len(all) < 200 {
		t.Errorf("%d exchanges, want 200", len(all))
	}
	for i, e := range all {
		t.Run(fmt.Sprintf("%03d %s %.40q %.60q", i+1, e.method, e.target, e.lines), func(t *testing.T) {
			w.fidelity(t, e)
		})
		// A 429 makes the key rest.
		if _, err := w.admin.RestoreKeys(t.Context(), group, adminapi.KeySelection{All: true}); err != nil {
			t.Fatal(err)
		}
	}
}

func (w *world) fidelity(t *testing.T, e exchange) {
	direct, directCall := w.exchange(t, e, w.provider.BaseURL(), "", providerKey(1))
	proxied, proxiedCall := w.exchange(t, e, w.node.URL, "/proxy/plain", testenv.AuthKey)
	excuse(t, slices.Concat(requestDifferences(directCall, proxiedCall), responseDifferences(direct, proxied)), e.differ)
}

// excuse fails the test for every difference that none of the documented ones explains, and for every name that
// explains nothing.
func excuse(t *testing.T, list []difference, names []string) {
	t.Helper()
	used := map[string]bool{}
	for _, d := range list {
		known := false
		for _, name := range names {
			if documented[name](d) {
				known, used[name] = true, true
			}
		}
		if !known {
			t.Error(d)
		}
	}
	for _, name := range names {
		if !used[name] {
			t.Errorf("the documented difference %q did not show", name)
		}
	}
}

// exchange sends e and returns the answer and what the provider got.
func (w *world) exchange(t *testing.T, e exchange, baseURL, prefix, key string) (rawAnswer, fakeprovider.Call) {
	t.Helper()
	before := w.provider.Stats().Calls
	host := strings.TrimPrefix(baseURL, "http://")
	head := []string{e.method + " " + prefix + e.target + " HTTP/1.1", "Host: " + host, "Authorization: Bearer " + key}
	answer, err := sendRaw(t, baseURL, strings.Join(append(head, e.lines...), "\r\n")+"\r\n\r\n"+e.body)
	if err != nil {
		t.Fatal(err)
	}
	calls := w.provider.Calls()
	if got := w.provider.Stats().Calls - before; got != 1 {
		t.Fatalf("%d calls; the answer is %s\n%s", got, answer.statusLine, answer.body)
	}
	return answer, calls[len(calls)-1]
}

func requestDifferences(direct, proxied fakeprovider.Call) []difference {
	list := differences("request", headerFields(direct.Header), headerFields(proxied.Header))
	compare := func(what, direct, proxied string) {
		if direct != proxied {
			list = append(list, difference{"request", what, []string{direct}, []string{proxied}})
		}
	}
	compare("method", direct.Method, proxied.Method)
	compare("uri", direct.URI, proxied.URI)
	compare("host", direct.Host, proxied.Host)
	compare("body", direct.BodySHA256, proxied.BodySHA256)
	return list
}

func headerFields(h http.Header) []field {
	var fields []field
	for name, values := range h {
		for _, value := range values {
			fields = append(fields, field{name, value})
		}
	}
	return fields
}

func responseDifferences(direct, proxied rawAnswer) []difference {
	var list []difference
	if direct.statusLine != proxied.statusLine {
		list = append(list, difference{"response", "status", []string{direct.statusLine}, []string{proxied.statusLine}})
	}
	if !slices.Equal(direct.interim, proxied.interim) {
		list = append(list, difference{"response", "interim", direct.interim, proxied.interim})
	}
	if direct.cut || proxied.cut {
		list = append(list, difference{"response", "cut", nil, nil})
	}
	a, aEchoes := receivedIn(direct)
	b, bEchoes := receivedIn(proxied)
	if aEchoes && bEchoes {
		// The body tells what was received: what is excused there is excused here, its length included.
		list = append(list, receivedDifferences(a, b)...)
	} else if !bytes.Equal(direct.body, proxied.body) {
		list = append(list, difference{"response", "body", []string{clipped(direct.body)}, []string{clipped(proxied.body)}})
	}
	for _, d := range differences("response", direct.fields, proxied.fields) {
		if d.what == "Date" && len(d.direct) == 1 && len(d.proxied) == 1 || d.what == "Content-Length" && aEchoes && bEchoes && !bytes.Equal(direct.body, proxied.body) {
			continue
		}
		list = append(list, d)
	}
	return append(list, differences("response", direct.trailers, proxied.trailers)...)
}

// receivedIn is the provider's own account of the request, when the answer is one.
func receivedIn(a rawAnswer) (r fakeprovider.Received, ok bool) {
	return r, json.Unmarshal(a.body, &r) == nil && r.Proto != ""
}

// receivedDifferences compares what the ledger of calls does not hold.
func receivedDifferences(a, b fakeprovider.Received) []difference {
	var list []difference
	if !slices.Equal(a.TransferEncoding, b.TransferEncoding) {
		list = append(list, difference{"request", "transfer-encoding", a.TransferEncoding, b.TransferEncoding})
	}
	if a.ContentLength != b.ContentLength {
		list = append(list, difference{"request", "content-length", []string{fmt.Sprint(a.ContentLength)}, []string{fmt.Sprint(b.ContentLength)}})
	}
	if !slices.Equal(a.Trailers, b.Trailers) {
		d := difference{where: "request", what: "trailers", direct: []string{fmt.Sprint(a.Trailers)}}
		if len(b.Trailers) > 0 {
			d.proxied = []string{fmt.Sprint(b.Trailers)}
		}
		list = append(list, d)
	}
	return list
}

// differences compares headers: names in any order and spelling, the values of one name in theirs (RFC 9110
// section 5.3).
func differences(where string, direct, proxied []field) []difference {
	var list []difference
	seen := map[string]bool{}
	for _, f := range slices.Concat(direct, proxied) {
		name := http.CanonicalHeaderKey(f.name)
		if seen[name] {
			continue
		}
		seen[name] = true
		if a, b := valuesOf(direct, name), valuesOf(proxied, name); !slices.Equal(a, b) {
			list = append(list, difference{where, name, a, b})
		}
	}
	return list
}

func clipped(body []byte) string { return string(body[:min(len(body), 200)]) }

// TestFidelityOfBytes does the same with a socket as upstream.
func TestFidelityOfBytes(t *testing.T) {
	w := start(t)
	for i, e := range byteExchanges {
		t.Run(fmt.Sprintf("%02d %.60q", i+1, e.answer), func(t *testing.T) {
			upstream := answerRaw(t, e.answer)
			name := fmt.Sprintf("raw-%d", i)
			base := "/base"
			if e.target != "" {
				base = ""
			}
			w.group(name, adminapi.ChannelOpenAI, 1, func(g *adminapi.GroupInput) { g.Upstreams[0].URL = upstream.url + base })
			send := func(baseURL, prefix, host, key string) rawAnswer {
				request := "POST " + prefix + cmp.Or(e.target, "/v1/a%2Fb?x=%zz") + " HTTP/1.1\r\nHost: " + host + "\r\nauthorization: Bearer " + key +
					"\r\nx-b: 1\r\nX-A: 2\r\nx-B: \xff\r\nContent-Length: 2\r\n\r\n{}"
				answer, err := sendRaw(t, baseURL, request)
				if err != nil {
					t.Fatal(err)
				}
				return answer
			}
			direct := send(upstream.url, base, strings.TrimPrefix(upstream.url, "http://"), providerKey(1))
			proxied := send(w.node.URL, "/proxy/"+name, "gateway.example", testenv.AuthKey)
			a, b := <-upstream.received, <-upstream.received
			if a.body != b.body {
				t.Errorf("received directly %q, proxied %q", a.body, b.body)
			}
			list := append(differences("request", a.fields, b.fields), responseDifferences(direct, proxied)...)
			if a.line != b.line {
				list = append(list, difference{"request", "line", []string{a.line}, []string{b.line}})
			}
			excuse(t, list, e.differ)
		})
	}
}
