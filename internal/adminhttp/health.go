package adminhttp

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"gpt-load/pkg/adminapi"
)

// mountHealth registers what load balancers and people ask without a login. /health answers as GPT-Load 1.x did.
func (a *API) mountHealth() {
	a.routes.HandleFunc("GET /health", a.alive)
	a.routes.HandleFunc("GET /livez", a.alive)
	a.routes.HandleFunc("GET /readyz", a.ready)
	a.routes.HandleFunc("GET /startupz", a.started)
}

func (a *API) alive(w http.ResponseWriter, _ *http.Request) {
	now := a.Clock()
	writeJSON(w, http.StatusOK, adminapi.Health{
		Status: "healthy", Timestamp: now.UTC().Truncate(time.Second),
		Uptime: now.Sub(a.StartedAt).Truncate(time.Second).String(), Version: a.Version,
	})
}

// CheckAccepting is the name of the check that fails when a node shuts down: it is no part of its start.
const CheckAccepting = "accepting"

func (a *API) ready(w http.ResponseWriter, _ *http.Request) { writeReadiness(w, a.Ready()) }

// started answers 200 from when the node has what it needs to serve, also while it shuts down.
func (a *API) started(w http.ResponseWriter, _ *http.Request) {
	writeReadiness(w, slices.DeleteFunc(slices.Clone(a.Ready()), func(c Check) bool { return c.Name == CheckAccepting }))
}

func writeReadiness(w http.ResponseWriter, checks []Check) {
	status, answer := http.StatusOK, adminapi.Readiness{Status: "ready", Checks: []adminapi.Check{}}
	for _, check := range checks {
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
