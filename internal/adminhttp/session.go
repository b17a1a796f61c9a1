package adminhttp

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/pkg/adminapi"
)

// login is how the caller of an operation is known.
type login struct {
	method  string // of adminapi.Session
	session fleet.AdminSession
}

type loginKey struct{}

func loginOf(ctx context.Context) login {
	who, _ := ctx.Value(loginKey{}).(login)
	return who
}

// authenticate guards every operation that names a security scheme, and says in the context who acts.
func (a *API) authenticate(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(c huma.Context, next func(huma.Context)) {
		if len(c.Operation().Security) == 0 {
			next(c)
			return
		}
		call := callOf(c.Context())
		who, err := a.whoCalls(call, c.Header("Authorization"))
		if err != nil {
			_ = huma.WriteErr(api, c, http.StatusUnauthorized, "", err)
			return
		}
		ctx := audit.WithActor(context.WithValue(c.Context(), loginKey{}, who), call.actor(who))
		if err := a.auditReveal(ctx, c); err != nil {
			_ = huma.WriteErr(api, c, http.StatusInternalServerError, "", err)
			return
		}
		next(huma.WithContext(c, ctx))
	}
}

// actor is the caller as events name it.
func (c *call) actor(who login) audit.Actor {
	actor := audit.Actor{Who: audit.AuthKey, RequestID: c.id}
	if c.client.IsValid() {
		actor.ClientIP = c.client.String()
	}
	switch who.method {
	case methodSession:
		actor.Who, actor.Session = audit.Session, audit.SessionName(who.session.ID)
	case "":
		actor.Who = audit.Anonymous
	}
	return actor
}

// The methods of adminapi.Session.
const (
	methodBearer  = "bearer"
	methodSession = "session"
)

// mostCookies bounds the cookies of our name that are looked at: a neighbour's site may set some of its own for the whole domain.
const mostCookies = 4

func (a *API) whoCalls(call *call, authorization string) (login, error) {
	if scheme, key, ok := strings.Cut(authorization, " "); ok && strings.EqualFold(scheme, "Bearer") {
		return login{method: methodBearer}, a.admit(call, methodBearer, strings.TrimSpace(key))
	}
	cookies := call.http.CookiesNamed(adminapi.SessionCookie)
	if len(cookies) == 0 {
		return login{}, fleet.NewError(fleet.CodeUnauthorized, "send AUTH_KEY as \"Authorization: Bearer ...\", or log in with POST "+adminapi.Prefix+"/session", nil)
	}
	var id string
	signed := slices.ContainsFunc(cookies[:min(len(cookies), mostCookies)], func(c *http.Cookie) (ok bool) {
		id, ok = a.signer.check(c.Value)
		return ok
	})
	if !signed {
		return login{}, errSessionOver
	}
	session, err := a.liveSession(call.http.Context(), id)
	if err != nil {
		return login{}, err
	}
	if err := a.fromHere(call.http); err != nil {
		return login{}, err
	}
	return login{method: methodSession, session: session}, nil
}

// fromHere refuses a write with a session cookie unless a page of the same origin made it. SameSite=Strict keeps the cookie from
// other sites; this is for other origins of the same site, and for browsers that do not know SameSite. Browsers name the
// origin of every write. A write that names none is let through only with a header that no form and no link can send.
func (a *API) fromHere(r *http.Request) error {
	const from = "a write with a session must come from the same origin"
	if err := a.origins.Check(r); err != nil {
		return fleet.NewError(fleet.CodeForbidden, from+"; call from the console's own address, or use AUTH_KEY as bearer", err)
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if r.Header.Get("Sec-Fetch-Site") == "" && r.Header.Get("Origin") == "" && r.Header.Get("X-Requested-With") == "" {
		return fleet.NewError(fleet.CodeForbidden, from+", and this one names none; send an X-Requested-With header with any value, or use AUTH_KEY as bearer", nil)
	}
	return nil
}

// admit checks an AUTH_KEY that somebody sent and slows down who guesses.
func (a *API) admit(call *call, method, given string) error {
	var wait time.Duration
	right := a.isAuthKey(given)
	if right {
		wait = a.guesses.passed(call.client)
	} else {
		wait = a.guesses.failed(call.client)
	}
	switch {
	case wait > 0: // the same for both, so that it tells nothing
		seconds := int(math.Ceil(wait.Seconds())) // as in Retry-After
		return &tryLater{fleet.NewError(fleet.CodeRateLimited, fmt.Sprintf("too many wrong keys came from this address; try again in %d s", seconds), nil), wait}
	case right:
		return nil
	}
	a.refused(call, method)
	return fleet.NewError(fleet.CodeUnauthorized, "this is not the AUTH_KEY of this server", nil)
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
		Description: "A session ends two hours after its last use and a day after the login, on every node.",
	}, a.login)
	route(api, huma.Operation{
		OperationID: "get-session", Method: http.MethodGet, Path: "/session", Tags: []string{tag},
		Summary: "Tell how this request is logged in",
	}, func(ctx context.Context, _ *struct{}) (*answer[adminapi.Session], error) {
		return &answer[adminapi.Session]{a.wireLogin(loginOf(ctx))}, nil
	})
	route(api, huma.Operation{
		OperationID: "logout", Method: http.MethodDelete, Path: "/session", Tags: []string{tag},
		Summary: "End this session", Description: "Other nodes stop accepting its cookie within a second.",
	}, a.logout)
	a.mountSessions(api, []string{tag})
}

func (a *API) login(ctx context.Context, in *struct{ Body adminapi.Login }) (*sessionAnswer, error) {
	call := callOf(ctx)
	if err := a.origins.Check(call.http); err != nil {
		return nil, fleet.NewError(fleet.CodeForbidden, "log in from the console's own address", err)
	}
	if err := a.admit(call, methodSession, in.Body.AuthKey); err != nil {
		return nil, err
	}
	now := a.Clock().UTC().Truncate(time.Second)
	id, token := a.signer.issue()
	who := login{method: methodSession, session: fleet.AdminSession{
		ID: id, CreatedAt: now, UsedAt: now, ExpiresAt: now.Add(sessionLife), UserAgent: call.http.UserAgent(),
	}}
	actor := call.actor(who)
	who.session.ClientIP = actor.ClientIP
	if err := a.Store.OpenSession(audit.WithActor(ctx, actor), who.session, now.Add(-sessionIdle)); err != nil {
		return nil, err
	}
	return &sessionAnswer{SetCookie: a.cookie(call, token, sessionLife).String(), Body: a.wireLogin(who)}, nil
}

func (a *API) wireLogin(who login) adminapi.Session {
	w := adminapi.Session{Method: who.method, Version: a.Version}
	if who.method == methodSession {
		w.ID, w.ExpiresAt, w.IdleExpiresAt = who.session.ID, wireTime(who.session.ExpiresAt), wireTime(idleEnd(who.session))
	}
	return w
}

// idleEnd is when a session ends that is not used again.
func idleEnd(s fleet.AdminSession) time.Time {
	if end := s.UsedAt.Add(sessionIdle); end.Before(s.ExpiresAt) {
		return end
	}
	return s.ExpiresAt
}

type cookieAnswer struct {
	SetCookie string `header:"Set-Cookie"`
}

func (a *API) logout(ctx context.Context, _ *struct{}) (*cookieAnswer, error) {
	if who := loginOf(ctx); who.method == methodSession {
		if _, err := a.Store.EndSession(ctx, who.session.ID); err != nil {
			return nil, err
		}
		a.live.forget(who.session.ID)
		a.streams.wakeUp()
	}
	return &cookieAnswer{a.cookie(callOf(ctx), "", -1).String()}, nil
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
