package fakeprovider

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Received is what /echo/... answers: the request as it arrived. Header names are in their canonical spelling and
// sorted; the values of one name stand in their order.
type Received struct {
	Method           string      `json:"method"`
	URI              string      `json:"uri"` // as on the request line
	Proto            string      `json:"proto"`
	Host             string      `json:"host"`
	Headers          [][2]string `json:"headers"`
	Trailers         [][2]string `json:"trailers"`
	TransferEncoding []string    `json:"transfer_encoding"`
	ContentLength    int64       `json:"content_length"` // -1 when the request did not say
	BodyBytes        int64       `json:"body_bytes"`
	BodySHA256       string      `json:"body_sha256"`
}

// echoOrders are what the caller wants to see, from x-echo-* headers and echo-* query members:
//
//	status     200 to 599
//	header     "Name: value", any number of times
//	trailer    "Name: value", any number of times
//	location   a Location header
//	type       the Content-Type; the default is application/json, application/octet-stream with body
//	body       a size: that many bytes of every value, instead of what was received
//	chunks     pieces, flushed one by one, without Content-Length
//	encoding   gzip, br, zstd or deflate
//	early      "Name: value" of a 103 Early Hints answer before
//	unread     1: answer without reading the request body
type echoOrders struct {
	headers http.Header
	query   url.Values
}

func (o echoOrders) all(name string) []string {
	return append(o.headers["X-Echo-"+strings.ToUpper(name[:1])+name[1:]], o.query["echo-"+name]...)
}

func (o echoOrders) one(name string) string {
	if v := o.all(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

func (p *Provider) echo(d *delivery) {
	r := d.a.r
	o := echoOrders{headers: r.Header}
	if strings.Contains(r.URL.RawQuery, "echo-") {
		o.query = r.URL.Query()
	}
	got := Received{
		Method: r.Method, URI: r.RequestURI, Proto: r.Proto, Host: r.Host,
		Headers: lines(r.Header), TransferEncoding: r.TransferEncoding, ContentLength: r.ContentLength,
	}
	if o.one("unread") == "" {
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		if err != nil {
			p.ledger.cancel(d.a.call, p.opts.Now())
			return
		}
		got.BodyBytes, got.BodySHA256, got.Trailers = n, hex.EncodeToString(sum.Sum(nil)), lines(r.Trailer)
		p.ledger.update(func() { d.a.call.BodyBytes, d.a.call.BodySHA256 = n, got.BodySHA256 })
	}
	an := answer{contentType: "application/json"}
	an.before, _ = json.MarshalIndent(got, "", "  ") // strings and numbers never fail
	d.follow(o, &an)
}

// follow answers as ordered.
func (d *delivery) follow(o echoOrders, an *answer) {
	if size, err := parseSize(o.one("body")); err == nil && o.one("body") != "" {
		an.contentType, an.before = "application/octet-stream", everyByte(size)
	}
	if t := o.one("type"); t != "" {
		an.contentType = t
	}
	if status, err := strconv.Atoi(o.one("status")); err == nil && status >= 200 && status <= 599 {
		an.status = status
	}
	if to := o.one("location"); to != "" {
		an.header = append(an.header, [2]string{"Location", to})
	}
	for _, h := range o.all("header") {
		if name, value, ok := strings.Cut(h, ":"); ok {
			an.header = append(an.header, [2]string{name, strings.TrimSpace(value)})
		}
	}
	if n, err := strconv.Atoi(o.one("chunks")); err == nil && n > 0 && n <= 1<<20 {
		d.pl.then.Chunks, an.chunked = max(n, 2), true
	}
	if wanted := (Shape{Encoding: o.one("encoding")}); wanted.check("") == nil {
		pick(&d.pl.then.Encoding, wanted.Encoding)
	}
	if name, value, ok := strings.Cut(o.one("early"), ":"); ok {
		d.w.Header().Add(name, strings.TrimSpace(value))
		d.w.WriteHeader(http.StatusEarlyHints)
		d.w.Header().Del(name)
	}
	var trailers [][2]string
	for _, t := range o.all("trailer") {
		if name, value, ok := strings.Cut(t, ":"); ok {
			trailers = append(trailers, [2]string{name, strings.TrimSpace(value)})
			if !slices.Contains(d.w.Header()["Trailer"], name) {
				d.w.Header().Add("Trailer", name)
			}
		}
	}
	an.chunked = an.chunked || len(trailers) > 0
	if an.status == http.StatusNoContent || an.status == http.StatusNotModified {
		an.before, an.chunked = nil, true // these have neither a body nor a length
	}
	d.sendWhole(*an)
	for _, t := range trailers {
		d.w.Header().Add(t[0], t[1])
	}
}

// everyByte is n bytes in which every value occurs.
func everyByte(n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = byte(i ^ i>>8)
	}
	return out
}

func lines(h http.Header) [][2]string {
	out := make([][2]string, 0, len(h))
	for name, values := range h {
		for _, v := range values {
			out = append(out, [2]string{name, v})
		}
	}
	slices.SortStableFunc(out, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return out
}
