package adminapi

import "time"

// Health is the answer of GET /health and GET /livez.
type Health struct {
	Status    string    `json:"status"` // "healthy"
	Timestamp time.Time `json:"timestamp"`
	Uptime    string    `json:"uptime"` // as Go prints durations, such as 3h2m1s
	Version   string    `json:"version"`
}

// Readiness is the answer of GET /readyz and GET /startupz: 200 when every part is ready, else 503.
type Readiness struct {
	Status string  `json:"status"` // "ready" or "not_ready"
	Checks []Check `json:"checks"`
}

// Check is one part that must be ready before a node takes traffic.
type Check struct {
	Name    string `json:"name"`
	Ready   bool   `json:"ready"`
	Message string `json:"message,omitempty"` // why not
}
