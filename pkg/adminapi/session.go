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
	Method    string    `json:"method" doc:"How this request was authenticated." enum:"session,bearer"`
	ExpiresAt time.Time `json:"expires_at,omitzero" doc:"When the session ends; absent for bearer."`
	Version   string    `json:"version" doc:"Version of the server."`
}
