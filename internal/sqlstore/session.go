package sqlstore

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
)

type sessionRow struct {
	bun.BaseModel `bun:"table:admin_sessions"`
	ID            string `bun:"id,pk"`
	CreatedAt     int64  `bun:"created_at"`
	UsedAt        int64  `bun:"used_at"`
	ExpiresAt     int64  `bun:"expires_at"`
	ClientIP      string `bun:"client_ip"`
	UserAgent     string `bun:"user_agent"`
}

// maxSessions bounds the sessions that are kept; the one that was used least lately goes first.
const maxSessions = 1000

// OpenSession stores a new session, and forgets those that are over: expired, or not used since idleSince.
func (s *Store) OpenSession(ctx context.Context, session fleet.AdminSession, idleSince time.Time) error {
	row := sessionRow{
		ID: session.ID, CreatedAt: s.stamp(session.CreatedAt), UsedAt: s.stamp(session.UsedAt), ExpiresAt: s.stamp(session.ExpiresAt),
		ClientIP: clean(session.ClientIP, maxAddress), UserAgent: clean(session.UserAgent, maxUserAgent),
	}
	return s.write(ctx, "opening a session", func(ctx context.Context, tx bun.Tx) error {
		if err := forgetSessions(ctx, tx, row.CreatedAt, s.stamp(idleSince)); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return err
		}
		a := s.begin(ctx, audit.SessionOpened)
		a.event.NounID = audit.SessionName(row.ID)
		a.event.After = audit.Fields{"user_agent": audit.Raw(row.UserAgent), "expires_at": audit.Raw(session.ExpiresAt.UTC())}
		return s.record(ctx, tx, a, 1, nil, nil)
	})
}

// forgetSessions makes room for one more.
func forgetSessions(ctx context.Context, tx bun.Tx, at, idleSince int64) error {
	if _, err := tx.NewDelete().Model((*sessionRow)(nil)).Where("expires_at <= ? OR used_at <= ?", at, idleSince).Exec(ctx); err != nil {
		return err
	}
	var ids []string
	err := tx.NewSelect().Model((*sessionRow)(nil)).Column("id").Order("used_at DESC", "id").Offset(maxSessions-1).Limit(maxSessions).Scan(ctx, &ids)
	if err != nil || len(ids) == 0 {
		return err
	}
	_, err = tx.NewDelete().Model((*sessionRow)(nil)).Where("id IN (?)", bun.List(ids)).Exec(ctx)
	return err
}

// Session returns one session, over or not, or CodeNotFound.
func (s *Store) Session(ctx context.Context, id string) (fleet.AdminSession, error) {
	var row sessionRow
	err := s.read(ctx, "reading the session", func(ctx context.Context, db bun.IDB) error {
		err := db.NewSelect().Model(&row).Where("id = ?", clean(id, maxAuditNounID)).Scan(ctx)
		return notFound(err, "there is no such session")
	})
	if err == nil && row.ID != id { // MySQL takes "A " for "A"
		err = fleet.NewError(fleet.CodeNotFound, "there is no such session", nil)
	}
	if err != nil {
		return fleet.AdminSession{}, err
	}
	return s.session(&row), nil
}

func (s *Store) session(row *sessionRow) fleet.AdminSession {
	return fleet.AdminSession{
		ID: row.ID, CreatedAt: s.moment(row.CreatedAt), UsedAt: s.moment(row.UsedAt), ExpiresAt: s.moment(row.ExpiresAt),
		ClientIP: row.ClientIP, UserAgent: row.UserAgent,
	}
}

// Sessions returns every session that is kept, over or not, the one that was used last first: at most 1000.
func (s *Store) Sessions(ctx context.Context) ([]fleet.AdminSession, error) {
	var rows []sessionRow
	err := s.read(ctx, "reading the sessions", func(ctx context.Context, db bun.IDB) error {
		return db.NewSelect().Model(&rows).Order("used_at DESC", "id").Scan(ctx)
	})
	if err != nil {
		return nil, err
	}
	sessions := make([]fleet.AdminSession, len(rows))
	for i := range rows {
		sessions[i] = s.session(&rows[i])
	}
	return sessions, nil
}

// TouchSession notes that a session was used. One that is gone stays so.
func (s *Store) TouchSession(ctx context.Context, id string, at time.Time) error {
	return s.write(ctx, "noting the use of a session", func(ctx context.Context, tx bun.Tx) error {
		stamp := s.stamp(at)
		_, err := tx.NewUpdate().Model((*sessionRow)(nil)).Set("used_at = ?", stamp).Where("id = ?", id).Where("used_at < ?", stamp).Exec(ctx)
		return err
	})
}

// EndSession ends one session and reports whether there was one.
func (s *Store) EndSession(ctx context.Context, id string) (ended bool, err error) {
	err = s.write(ctx, "ending a session", func(ctx context.Context, tx bun.Tx) error {
		n, err := deletedRows(tx.NewDelete().Model((*sessionRow)(nil)).Where("id = ?", clean(id, maxAuditNounID)).Exec(ctx))
		if ended = n > 0; err != nil {
			return err
		}
		a := s.begin(ctx, audit.SessionClosed)
		a.event.NounID = audit.SessionName(id)
		return s.record(ctx, tx, a, n, nil, nil)
	})
	return ended, err
}

// EndSessions ends every session and returns how many there were.
func (s *Store) EndSessions(ctx context.Context) (ended int, err error) {
	err = s.write(ctx, "ending the sessions", func(ctx context.Context, tx bun.Tx) error {
		n, err := deletedRows(tx.NewDelete().Model((*sessionRow)(nil)).Where("1 = 1").Exec(ctx))
		if ended = int(n); err != nil {
			return err
		}
		return s.record(ctx, tx, s.begin(ctx, audit.SessionsEnded), max(1, n), nil, nil)
	})
	return ended, err
}

func deletedRows(result affected, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}
