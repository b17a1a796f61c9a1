package adminhttp

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
)

// How long a session holds.
const (
	// sessionLife is from the login on, however much it is used.
	sessionLife = 24 * time.Hour
	// sessionIdle is from its last use on. Each use renews it, within sessionLife.
	sessionIdle = 2 * time.Hour
	// sessionTrust is how long a node believes what it read of a session. It is how long one lives at most, on other nodes, that
	// was ended on one.
	sessionTrust = time.Second
	// sessionNote is how often the use of a session is stored.
	sessionNote = time.Minute
	// mostTrusted bounds the sessions that a node remembers for sessionTrust.
	mostTrusted = 1000
)

// sessionCache spares the database all but one question a second for each session. It is safe for concurrent use.
type sessionCache struct {
	mu   sync.Mutex
	byID map[string]trusted
}

type trusted struct {
	session fleet.AdminSession
	read    time.Time
}

func newSessionCache() *sessionCache { return &sessionCache{byID: make(map[string]trusted)} }

func (c *sessionCache) get(id string, now time.Time) (fleet.AdminSession, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.byID[id]
	// A clock that was set back must not make a session live longer.
	return t.session, ok && !now.Before(t.read) && now.Sub(t.read) < sessionTrust
}

func (c *sessionCache) put(s fleet.AdminSession, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.byID) >= mostTrusted {
		clear(c.byID)
	}
	c.byID[s.ID] = trusted{session: s, read: now}
}

func (c *sessionCache) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byID, id)
}

func (c *sessionCache) forgetAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.byID)
}

var errSessionOver = fleet.NewError(fleet.CodeUnauthorized, "the session is over; log in again", nil)

// liveSession returns a session that holds now, and renews it.
func (a *API) liveSession(ctx context.Context, id string) (fleet.AdminSession, error) {
	now := a.Clock()
	session, known := a.live.get(id, now)
	if !known {
		var err error
		if session, err = a.Store.Session(ctx, id); err != nil {
			a.live.forget(id)
			if fleet.CodeOf(err) == fleet.CodeNotFound {
				return session, errSessionOver
			}
			return session, err
		}
	}
	if !now.Before(session.ExpiresAt) || now.Sub(session.UsedAt) >= sessionIdle {
		a.live.forget(id)
		return session, errSessionOver
	}
	if now.Sub(session.UsedAt) >= sessionNote {
		if err := a.Store.TouchSession(ctx, id, now); err != nil {
			// It held when it was looked at; the next request tries again.
			callOf(ctx).logger.Warn("the use of a session could not be noted", zap.Error(err))
			return session, nil
		}
		session.UsedAt, known = now, false
	}
	if !known {
		a.live.put(session, now)
	}
	return session, nil
}
