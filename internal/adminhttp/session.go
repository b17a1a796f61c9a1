package adminhttp

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/pkg/adminapi"
)

// sessionLife is how long a login holds. There is no list of sessions: changing AUTH_KEY ends them all.
const sessionLife = 24 * time.Hour

// sessionSigner makes and checks the tokens in session cookies: "v1.<expiry, Unix seconds>.<nonce>.<MAC>".
type sessionSigner struct{ key []byte }

func newSessionSigner(authKey secret.Text) (sessionSigner, error) {
	key, err := hkdf.Key(sha256.New, []byte(authKey.Reveal()), nil, "gpt-load admin session v1", sha256.Size)
	return sessionSigner{key: key}, err
}

func (s sessionSigner) mac(text string) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func (s sessionSigner) issue(expires time.Time) string {
	text := "v1." + strconv.FormatInt(expires.Unix(), 10) + "." + rand.Text()
	return text + "." + base64.RawURLEncoding.EncodeToString(s.mac(text))
}

// check returns the expiry of a token that this fleet issued and that has not run out.
func (s sessionSigner) check(token string, now time.Time) (expires time.Time, ok bool) {
	cut := strings.LastIndexByte(token, '.')
	if cut < 0 {
		return time.Time{}, false
	}
	mac, err := base64.RawURLEncoding.DecodeString(token[cut+1:])
	if err != nil || !hmac.Equal(mac, s.mac(token[:cut])) {
		return time.Time{}, false
	}
	parts := strings.Split(token[:cut], ".")
	if len(parts) != 3 || parts[0] != "v1" {
		return time.Time{}, false
	}
	seconds, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return time.Time{}, false
	}
	expires = time.Unix(seconds, 0).UTC()
	return expires, now.Before(expires)
}

// isAuthKey compares MACs, so that the time tells nothing, not even the length.
func (a *API) isAuthKey(given string) bool {
	return hmac.Equal(a.sessions.mac(given), a.sessions.mac(a.AuthKey.Reveal()))
}

// login is how the caller of an operation is known.
type login struct {
	method  string // of adminapi.Session
	expires time.Time
}

type loginKey struct{}

// authenticate guards every operation that names a security scheme.
func (a *API) authenticate(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(c huma.Context, next func(huma.Context)) {
		if len(c.Operation().Security) == 0 {
			next(c)
			return
		}
		who, err := a.whoCalls(callOf(c.Context()), c.Header("Authorization"))
		if err != nil {
			_ = huma.WriteErr(api, c, http.StatusUnauthorized, "", err)
			return
		}
		next(huma.WithValue(c, loginKey{}, who))
	}
}

func (a *API) whoCalls(call *call, authorization string) (login, error) {
	if scheme, key, ok := strings.Cut(authorization, " "); ok && strings.EqualFold(scheme, "Bearer") {
		return login{method: "bearer"}, a.admit(call, strings.TrimSpace(key))
	}
	cookie, err := call.http.Cookie(adminapi.SessionCookie)
	if err != nil {
		return login{}, fleet.NewError(fleet.CodeUnauthorized, "send AUTH_KEY as \"Authorization: Bearer ...\", or log in with POST "+adminapi.Prefix+"/session", nil)
	}
	expires, ok := a.sessions.check(cookie.Value, a.Clock())
	if !ok {
		return login{}, fleet.NewError(fleet.CodeUnauthorized, "the session is over; log in again", nil)
	}
	if err := a.origins.Check(call.http); err != nil {
		return login{}, fleet.NewError(fleet.CodeForbidden, "a write with a session must come from the same origin; call from the console's own address, or use AUTH_KEY as bearer", err)
	}
	return login{method: "session", expires: expires}, nil
}

// admit checks an AUTH_KEY that somebody sent and slows down who guesses.
func (a *API) admit(call *call, given string) error {
	if wait := a.guesses.wait(call.client); wait > 0 {
		return &tryLater{fleet.NewError(fleet.CodeRateLimited, "too many wrong keys came from this address; wait and try again", nil), wait}
	}
	if !a.isAuthKey(given) {
		a.guesses.failed(call.client)
		return fleet.NewError(fleet.CodeUnauthorized, "this is not the AUTH_KEY of this server", nil)
	}
	a.guesses.passed(call.client)
	return nil
}

type sessionAnswer struct {
	SetCookie string `header:"Set-Cookie"`
	Body      adminapi.Session
}

func (a *API) mountSession(api huma.API) {
	const tag = "session"
	route(api, huma.Operation{
		OperationID: "login", Method: http.MethodPost, Path: "/session", Tags: []string{tag}, Security: []map[string][]string{},
		Summary: "Log in with AUTH_KEY and get a session cookie", MaxBodyBytes: 16 << 10, // anybody may send one
	}, func(ctx context.Context, in *struct{ Body adminapi.Login }) (*sessionAnswer, error) {
		call := callOf(ctx)
		if err := a.origins.Check(call.http); err != nil {
			return nil, fleet.NewError(fleet.CodeForbidden, "log in from the console's own address", err)
		}
		if err := a.admit(call, in.Body.AuthKey); err != nil {
			return nil, err
		}
		expires := a.Clock().Add(sessionLife).UTC().Truncate(time.Second)
		return &sessionAnswer{
			SetCookie: a.cookie(call, a.sessions.issue(expires), sessionLife).String(),
			Body:      adminapi.Session{Method: "session", ExpiresAt: expires, Version: a.Version},
		}, nil
	})
	route(api, huma.Operation{
		OperationID: "get-session", Method: http.MethodGet, Path: "/session", Tags: []string{tag},
		Summary: "Tell how this request is logged in",
	}, func(ctx context.Context, _ *struct{}) (*answer[adminapi.Session], error) {
		who, _ := ctx.Value(loginKey{}).(login)
		return &answer[adminapi.Session]{adminapi.Session{Method: who.method, ExpiresAt: who.expires, Version: a.Version}}, nil
	})
	route(api, huma.Operation{
		OperationID: "logout", Method: http.MethodDelete, Path: "/session", Tags: []string{tag},
		Summary: "Forget the session cookie",
	}, func(ctx context.Context, _ *struct{}) (*struct {
		SetCookie string `header:"Set-Cookie"`
	}, error,
	) {
		return &struct {
			SetCookie string `header:"Set-Cookie"`
		}{a.cookie(callOf(ctx), "", -1).String()}, nil
	})
}

// cookie makes the session cookie; a negative life deletes it.
func (a *API) cookie(call *call, value string, life time.Duration) *http.Cookie {
	age := int(life / time.Second)
	if life < 0 {
		age = -1
	}
	return &http.Cookie{
		Name: adminapi.SessionCookie, Value: value, Path: "/", MaxAge: age,
		HttpOnly: true, Secure: call.secure, SameSite: http.SameSiteStrictMode,
	}
}
