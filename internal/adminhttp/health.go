package adminhttp

import (
	"encoding/json"
	"net/http"
	"time"

	"gpt-load/pkg/adminapi"
)

// mountHealth registers what load balancers and people ask without a login. /health answers as GPT-Load 1.x did.
func (a *API) mountHealth() {
	a.routes.HandleFunc("GET /health", a.alive)
	a.routes.HandleFunc("GET /livez", a.alive)
	a.routes.HandleFunc("GET /readyz", a.ready)
}

func (a *API) alive(w http.ResponseWriter, _ *http.Request) {
	now := a.Clock()
	writeJSON(w, http.StatusOK, adminapi.Health{
		Status: "healthy", Timestamp: now.UTC().Truncate(time.Second),
		Uptime: now.Sub(a.StartedAt).Truncate(time.Second).String(), Version: a.Version,
	})
}

func (a *API) ready(w http.ResponseWriter, _ *http.Request) {
	status, answer := http.StatusOK, adminapi.Readiness{Status: "ready", Checks: []adminapi.Check{}}
	for _, check := range a.Ready() {
		answer.Checks = append(answer.Checks, adminapi.Check(check))
		if !check.Ready {
			status, answer.Status = http.StatusServiceUnavailable, "not_ready"
		}
	}
	writeJSON(w, status, answer)
}

// writeJSON answers outside huma.
func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that went away is no concern here
}
