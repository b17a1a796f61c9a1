package adminhttp

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/pkg/adminapi"
)

type recordTail struct {
	RecordFilter
	Cursor string `query:"cursor" doc:"The cursor of the answer before; absent to begin."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50" doc:"Records to begin with, the newest; without a meaning for what follows."`
}

func (a *API) mountRecordTail(api huma.API, tags []string) {
	route(api, huma.Operation{
		OperationID: "tail-records", Method: http.MethodGet, Path: "/records/tail", Tags: tags, Summary: "Follow request records as nodes write them",
		Description: "Without a cursor it begins with the newest records. With one it gives those that were written since, each once, however long its request took and whichever node wrote it; of a thousand that it looks at those that match. A cursor of more than 4,096 batches ago, a quarter of an hour at least, is refused with 410: begin again without one.",
	}, a.tailRecords)
}

func (a *API) tailRecords(ctx context.Context, in *recordTail) (*answer[adminapi.RecordTail], error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	if in.Cursor == "" {
		q.Limit = in.Limit
		latest, cursor, err := a.Store.LatestRecords(ctx, q)
		if err != nil {
			return nil, err
		}
		slices.Reverse(latest)
		return &answer[adminapi.RecordTail]{adminapi.RecordTail{Records: mapped(latest, wireRecord), Cursor: cursor}}, nil
	}
	records, cursor, more, err := a.Store.RecordsAfter(ctx, in.Cursor, q)
	if err != nil {
		return nil, err
	}
	return &answer[adminapi.RecordTail]{adminapi.RecordTail{Records: mapped(records, wireRecord), Cursor: cursor, More: more}}, nil
}
