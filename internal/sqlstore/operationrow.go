package sqlstore

import (
	"encoding/json"
	"strconv"

	"github.com/uptrace/bun"

	"gpt-load/internal/fleet"
	"gpt-load/internal/operation"
)

type operationRow struct {
	bun.BaseModel `bun:"table:operations"`
	ID            int64   `bun:"id,pk,autoincrement"`
	Kind          string  `bun:"kind"`
	GroupID       int64   `bun:"group_id"`
	GroupName     string  `bun:"group_name"`
	State         string  `bun:"state"`
	Active        *string `bun:"active"`
	Options       string  `bun:"options"`
	Done          int64   `bun:"done"`
	Total         int64   `bun:"total"`
	Counts        string  `bun:"counts"`
	Position      int64   `bun:"position"`
	InputBytes    int64   `bun:"input_bytes"`
	ResultChunks  int64   `bun:"result_chunks"`
	ResultBytes   int64   `bun:"result_bytes"`
	Error         string  `bun:"error"`
	Node          string  `bun:"node"`
	Claim         int64   `bun:"claim"`
	CancelAsked   bool    `bun:"cancel_asked"`
	CreatedAt     int64   `bun:"created_at"`
	StartedAt     int64   `bun:"started_at"`
	SeenAt        int64   `bun:"seen_at"`
	EndedAt       int64   `bun:"ended_at"`
}

// maxOperationError bounds why an operation failed, in bytes.
const maxOperationError = 2000

// activeName is what keeps a second operation of the same kind and group out.
func activeName(kind operation.Kind, group fleet.GroupID) *string {
	name := string(kind) + "/" + strconv.FormatInt(int64(group), 10)
	return &name
}

func (s *Store) operation(row *operationRow) (operation.Operation, error) {
	o := operation.Operation{
		ID: operation.ID(row.ID), Kind: operation.Kind(row.Kind), GroupID: fleet.GroupID(row.GroupID), GroupName: row.GroupName,
		State: operation.State(row.State), Total: row.Total, InputBytes: row.InputBytes, Error: row.Error, Node: row.Node,
		CancelAsked: row.CancelAsked, CreatedAt: s.moment(row.CreatedAt), StartedAt: s.moment(row.StartedAt),
		SeenAt: s.moment(row.SeenAt), EndedAt: s.moment(row.EndedAt), Claim: row.Claim,
		Progress: operation.Progress{Done: row.Done, Position: row.Position, Chunks: int(row.ResultChunks), Bytes: row.ResultBytes},
	}
	if err := json.Unmarshal([]byte(row.Options), &o.Options); err != nil {
		return o, fleet.NewError(fleet.CodeInternal, "the stored operation "+strconv.FormatInt(row.ID, 10)+" cannot be read", err)
	}
	if err := json.Unmarshal([]byte(row.Counts), &o.Counts); err != nil {
		return o, fleet.NewError(fleet.CodeInternal, "the stored operation "+strconv.FormatInt(row.ID, 10)+" cannot be read", err)
	}
	return o, nil
}

func (s *Store) operations(rows []operationRow) ([]operation.Operation, error) {
	list := make([]operation.Operation, 0, len(rows))
	for i := range rows {
		o, err := s.operation(&rows[i])
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, nil
}
