package sqlstore

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"
)

// NodeUse is a node that uses the database.
type NodeUse struct {
	ID, Address, Version string
	// KeyIDs are those of the passphrases whose secrets it can read; empty for secrets in clear.
	KeyIDs []string
	SeenAt time.Time
}

const (
	// NodeUsePause is how often a node says that it is there.
	NodeUsePause = 10 * time.Second
	// NodeUseTimeout is how long a node that does not say so counts as one that is there.
	NodeUseTimeout = 3 * NodeUsePause
	// nodeUseKept is how long the row of a node stays that ended without a word.
	nodeUseKept = 24 * time.Hour
)

type nodeRow struct {
	bun.BaseModel `bun:"table:nodes"`
	ID            string `bun:"id,pk"`
	Address       string `bun:"address"`
	Version       string `bun:"version"`
	KeyIDs        string `bun:"key_ids"`
	SeenAt        int64  `bun:"seen_at"`
}

// inClear stands for secrets without a passphrase in nodes.key_ids.
const inClear = "-"

// AnnounceNode says that a node uses the database, for NodeUseTimeout. Its key ids are those of the boxes in use. An SQLite
// file has one node, the last to say so, until ForgetNode.
func (s *Store) AnnounceNode(ctx context.Context, n NodeUse) error {
	box, err := s.sealer()
	if err != nil {
		return err
	}
	ids := keyIDText(box.KeyID())
	if other := box.Other(); other != nil {
		ids += "," + keyIDText(other.KeyID())
	}
	const longestID, longestAddress, longestVersion = 128, 500, 100
	row := nodeRow{
		ID: clean(n.ID, longestID), Address: clean(n.Address, longestAddress), Version: clean(n.Version, longestVersion),
		KeyIDs: ids, SeenAt: s.stamp(now()),
	}
	return s.write(ctx, "announcing the node", func(ctx context.Context, tx bun.Tx) error {
		q := tx.NewDelete().Model((*nodeRow)(nil))
		if s.Shared() {
			q.Where("id = ? OR seen_at < ?", row.ID, s.stamp(now().Add(-nodeUseKept)))
		} else {
			q.Where("1 = 1")
		}
		_, err := q.Exec(ctx)
		if err == nil {
			_, err = tx.NewInsert().Model(&row).Exec(ctx)
		}
		return err
	})
}

// ForgetNode says that a node does not use the database any more.
func (s *Store) ForgetNode(ctx context.Context, id string) error {
	return s.write(ctx, "announcing that the node ends", func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewDelete().Model((*nodeRow)(nil)).Where("id = ?", id).Exec(ctx)
		return err
	})
}

// NodesInUse lists the nodes that use the database, by id. It needs no Unlock.
func (s *Store) NodesInUse(ctx context.Context) ([]NodeUse, error) {
	if _, err := s.Revisions(ctx); err != nil { // sets the clock
		return nil, err
	}
	var rows []nodeRow
	err := s.read(ctx, "reading which nodes use the database", func(ctx context.Context, db bun.IDB) error {
		q := db.NewSelect().Model(&rows).Order("id")
		if s.Shared() {
			q.Where("seen_at > ?", s.stamp(now().Add(-NodeUseTimeout)))
		}
		return q.Scan(ctx)
	})
	nodes := make([]NodeUse, 0, len(rows))
	for _, row := range rows {
		n := NodeUse{ID: row.ID, Address: row.Address, Version: row.Version, SeenAt: s.moment(row.SeenAt)}
		for id := range strings.SplitSeq(row.KeyIDs, ",") {
			n.KeyIDs = append(n.KeyIDs, strings.TrimPrefix(id, inClear))
		}
		nodes = append(nodes, n)
	}
	return nodes, err
}

func keyIDText(id string) string {
	if id == "" {
		return inClear
	}
	return id
}
