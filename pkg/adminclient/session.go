package adminclient

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"gpt-load/pkg/adminapi"
)

// Login trades AUTH_KEY for a session that the client's cookie jar keeps.
func (c *Client) Login(ctx context.Context, authKey string) (adminapi.Session, error) {
	return call[adminapi.Session](ctx, c, request{method: http.MethodPost, path: at("session"), json: adminapi.Login{AuthKey: authKey}})
}

// Session tells how the client is logged in.
func (c *Client) Session(ctx context.Context) (adminapi.Session, error) {
	return call[adminapi.Session](ctx, c, request{method: http.MethodGet, path: at("session")})
}

// Logout ends the session.
func (c *Client) Logout(ctx context.Context) error {
	return c.do(ctx, request{method: http.MethodDelete, path: at("session")}, nil)
}

// Sessions lists the sessions that hold.
func (c *Client) Sessions(ctx context.Context) (adminapi.SessionList, error) {
	return call[adminapi.SessionList](ctx, c, request{method: http.MethodGet, path: at("sessions")})
}

// EndSession ends one session, on every node within a second.
func (c *Client) EndSession(ctx context.Context, id string) (adminapi.SessionsEnded, error) {
	return call[adminapi.SessionsEnded](ctx, c, request{method: http.MethodDelete, path: at("sessions", id)})
}

// EndSessions logs out everywhere: it ends every session, the client's own too.
func (c *Client) EndSessions(ctx context.Context) (adminapi.SessionsEnded, error) {
	return call[adminapi.SessionsEnded](ctx, c, request{method: http.MethodDelete, path: at("sessions")})
}

// Health asks whether the node lives. It needs no login.
func (c *Client) Health(ctx context.Context) (adminapi.Health, error) {
	return call[adminapi.Health](ctx, c, request{method: http.MethodGet, path: "/health"})
}

// Live asks whether the process answers, and nothing else. It needs no login.
func (c *Client) Live(ctx context.Context) (adminapi.Health, error) {
	return call[adminapi.Health](ctx, c, request{method: http.MethodGet, path: "/livez"})
}

// Ready asks whether the node takes traffic. A node that is not ready is no error: Status and Checks tell.
func (c *Client) Ready(ctx context.Context) (adminapi.Readiness, error) {
	return c.readiness(ctx, "/readyz")
}

// Started asks whether the node has what it needs to serve. Unlike Ready, that stays so while it shuts down. It needs no login.
func (c *Client) Started(ctx context.Context) (adminapi.Readiness, error) {
	return c.readiness(ctx, "/startupz")
}

func (c *Client) readiness(ctx context.Context, path string) (adminapi.Readiness, error) {
	var ready adminapi.Readiness
	answer, err := c.send(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return ready, err
	}
	defer answer.Body.Close()
	body, err := readAll(answer.Body)
	if err == nil {
		err = json.Unmarshal(body, &ready)
	}
	if err != nil || ready.Status == "" {
		return ready, errors.Join(problemOf(answer, body), err)
	}
	return ready, nil
}

// OpenAPI returns the OpenAPI 3.1 document of the server.
func (c *Client) OpenAPI(ctx context.Context) (json.RawMessage, error) {
	return call[json.RawMessage](ctx, c, request{method: http.MethodGet, path: at("openapi.json")})
}
