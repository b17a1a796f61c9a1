// Package adminclient is the typed Go client of GPT-Load's admin API. The command line and the tests of the API use
// it. It needs the standard library and package adminapi only.
//
//	client, err := adminclient.New("http://localhost:3001", adminclient.WithAuthKey(key))
//	group, err := client.CreateGroup(ctx, adminapi.GroupInput{
//		Name: "openai", Channel: adminapi.ChannelOpenAI,
//		Upstreams: []adminapi.Upstream{{URL: "https://api.openai.com", Weight: 1}},
//	})
//	result, err := client.AddKeys(ctx, group.ID, adminapi.KeyInput{Text: "sk-..."})
//
// Every method takes a context and answers within it. An answer of the server with a status of 400 or above is an
// *Error; anything else that goes wrong is an error that wraps its cause.
package adminclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gpt-load/pkg/adminapi"
)

// maxAnswer bounds what is read of one answer, in bytes. The largest is a page of 1000 records with attempts.
const maxAnswer = 64 << 20

// Client calls one server or the load balancer in front of several. It is safe for concurrent use.
type Client struct {
	base    *url.URL
	authKey string
	http    *http.Client
}

// Option changes a client while it is made.
type Option func(*Client)

// WithAuthKey sends AUTH_KEY as bearer with every request.
func WithAuthKey(key string) Option { return func(c *Client) { c.authKey = key } }

// WithHTTPClient takes another HTTP client, for its transport, timeout or cookie jar.
func WithHTTPClient(client *http.Client) Option {
	return func(c *Client) {
		if client != nil {
			c.http = client
		}
	}
}

// New makes a client for a base URL such as http://localhost:3001, which may have a path prefix. Without
// WithAuthKey, call Login; the session lives in the client's cookie jar.
func New(baseURL string, options ...Option) (*Client, error) {
	base, err := url.Parse(baseURL)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, errors.New("adminclient: the base URL must be like http://localhost:3001")
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("adminclient: cookie jar: %w", err)
	}
	c := &Client{base: base, http: &http.Client{Jar: jar}}
	for _, option := range options {
		option(c)
	}
	return c, nil
}

// Error is an answer of the server that says what went wrong.
type Error struct {
	Status int // the HTTP status
	adminapi.Problem
	RetryAfter time.Duration // 0 when the server named none
}

// Error implements error: the message, every field, and the request id to look for in the server's log.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s, %d)", e.Message, e.Code, e.Status)
	for _, d := range e.Details {
		b.WriteString("; " + d.Field + ": " + d.Message)
	}
	if e.RequestID != "" {
		b.WriteString("; request id " + e.RequestID)
	}
	return b.String()
}

// CodeOf returns the code of an *Error in err's chain, and "" for any other error.
func CodeOf(err error) adminapi.Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// request is one call of the API.
type request struct {
	method      string
	path        string // below the base URL
	query       url.Values
	header      http.Header
	body        io.Reader // as it is, of contentType
	contentType string
	json        any // marshalled; excludes body
}

// do sends a request and decodes its answer into out (nil: the answer has no body worth reading).
func (c *Client) do(ctx context.Context, r request, out any) error {
	answer, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := readAll(answer.Body)
	if err != nil {
		return fmt.Errorf("adminclient: reading the answer to %s %s: %w", r.method, r.path, err)
	}
	if answer.StatusCode >= http.StatusBadRequest {
		return problemOf(answer, body)
	}
	if out == nil || len(body) == 0 {
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("adminclient: the answer to %s %s is not what was expected; is this the address of GPT-Load? %w", r.method, r.path, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	if r.json != nil {
		body, err := json.Marshal(r.json)
		if err != nil {
			return nil, fmt.Errorf("adminclient: %s %s: %w", r.method, r.path, err)
		}
		r.body, r.contentType = bytes.NewReader(body), "application/json"
	}
	target := c.base.JoinPath(r.path)
	target.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), r.body)
	if err != nil {
		return nil, fmt.Errorf("adminclient: %s %s: %w", r.method, r.path, err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("X-Requested-With", "adminclient") // what a write with a session needs that names no origin
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if c.authKey != "" {
		req.Header.Set("Authorization", "Bearer "+c.authKey)
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("adminclient: %w", err) // a *url.Error names method and address
	}
	return answer, nil
}

// open sends a request for a file, which the caller closes. What breaks off ends with an error and not with io.EOF.
func (c *Client) open(ctx context.Context, r request) (io.ReadCloser, error) {
	answer, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode < http.StatusBadRequest {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	body, err := readAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("adminclient: reading the answer to %s %s: %w", r.method, r.path, err)
	}
	return nil, problemOf(answer, body)
}

func readAll(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, maxAnswer+1))
	if err == nil && len(body) > maxAnswer {
		err = fmt.Errorf("it is longer than %d MiB", maxAnswer>>20)
	}
	return body, err
}

// problemOf reads what the server says went wrong; anything else that answers, such as a load balancer without a
// node behind it, is told by its status and the beginning of what it said.
func problemOf(answer *http.Response, body []byte) *Error {
	e := &Error{Status: answer.StatusCode}
	if json.Unmarshal(body, &e.Problem) != nil || e.Code == "" {
		const shown = 200
		e.Problem = adminapi.Problem{Code: adminapi.CodeUnavailable, Message: http.StatusText(answer.StatusCode)}
		if text := strings.TrimSpace(string(body[:min(len(body), shown)])); text != "" {
			e.Message += ": " + strings.ToValidUTF8(text, "?")
		}
	}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// call sends a request and returns its decoded answer.
func call[T any](ctx context.Context, c *Client, r request) (T, error) {
	var out T
	err := c.do(ctx, r, &out)
	return out, err
}

// at makes a path below /api/v1, each part escaped.
func at(parts ...string) string {
	path := adminapi.Prefix
	for _, part := range parts {
		path += "/" + url.PathEscape(part)
	}
	return path
}

// reveal is the query that asks for secrets in clear.
func reveal(yes bool) url.Values {
	if !yes {
		return nil
	}
	return url.Values{"reveal": {"true"}}
}
