package adminapi

import "time"

// SessionCookie is the name of the cookie that POST /session sets.
const SessionCookie = "gpt_load_session"

// Login asks for a session.
type Login struct {
	AuthKey string `json:"auth_key" doc:"The server's AUTH_KEY." maxLength:"4096"`
}

// Session says how the caller is logged in.
type Session struct {
	Method        string    `json:"method" doc:"How this request was authenticated." enum:"session,bearer"`
	ID            string    `json:"id,omitempty" doc:"Of the session; absent for bearer."`
	ExpiresAt     time.Time `json:"expires_at,omitzero" doc:"When the session ends however much it is used; absent for bearer."`
	IdleExpiresAt time.Time `json:"idle_expires_at,omitzero" doc:"When the session ends if it is not used again; absent for bearer."`
	Version       string    `json:"version" doc:"Version of the server."`
}

// SessionDetail is one login of a browser.
type SessionDetail struct {
	ID            string    `json:"id"`
	Current       bool      `json:"current" doc:"This request's own."`
	CreatedAt     time.Time `json:"created_at"`
	UsedAt        time.Time `json:"used_at" doc:"To about a minute."`
	ExpiresAt     time.Time `json:"expires_at"`
	IdleExpiresAt time.Time `json:"idle_expires_at"`
	ClientIP      string    `json:"client_ip" doc:"That logged in."`
	UserAgent     string    `json:"user_agent" doc:"Of the login."`
}

// SessionList is the sessions that hold, the one that was used last first.
type SessionList struct {
	Sessions []SessionDetail `json:"sessions"`
}

// SessionsEnded says how many sessions were ended.
type SessionsEnded struct {
	Ended int `json:"ended"`
}
