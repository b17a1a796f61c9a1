package adminhttp

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/internal/fleet"
	"gpt-load/pkg/adminapi"
)

// RecordFilter narrows lists of records. It is exported because huma reads embedded structs only then.
type RecordFilter struct {
	From       time.Time `query:"from" doc:"Started at or after this time."`
	To         time.Time `query:"to" doc:"Started before this time."`
	GroupID    string    `query:"group_id" doc:"The group that served or the aggregate that was asked."`
	ParentID   string    `query:"parent_id" doc:"The aggregate that was asked."`
	Model      string    `query:"model" doc:"The model asked or sent." maxLength:"256"`
	Status     int       `query:"status" doc:"Exactly this status."`
	StatusFrom int       `query:"status_from" doc:"This status or a higher one."`
	StatusTo   int       `query:"status_to" doc:"This status or a lower one."`
	Class      string    `query:"class" doc:"Who the request ended by."`
	Stream     string    `query:"stream" enum:"true,false"`
	Retried    string    `query:"retried" enum:"true,false" doc:"Took more than one attempt."`
	KeyID      string    `query:"key_id" doc:"A key that any attempt used."`
	KeyTail    string    `query:"key_tail" doc:"Last four characters of a key that any attempt used." maxLength:"4"`
	ProxyKey   string    `query:"proxy_key" doc:"Fingerprint of the proxy key." maxLength:"64"`
	ClientIP   string    `query:"client_ip" maxLength:"64"`
	Text       string    `query:"text" doc:"Part of the error, the path or the request id." maxLength:"256"`
}

type recordPage struct {
	RecordFilter
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	Cursor string `query:"cursor" doc:"next_cursor of the page before."`
}

func (a *API) mountRecords(api huma.API) {
	tags := []string{"records"}
	route(api, huma.Operation{
		OperationID: "list-records", Method: http.MethodGet, Path: "/records", Tags: tags, Summary: "List request records, newest first",
		Description: "Where no index serves the filter, a page may hold fewer records than asked for, or none, and still name a next one: only a page without next_cursor is the last.",
	},
		func(ctx context.Context, in *recordPage) (*answer[adminapi.RecordPage], error) {
			q, err := in.query()
			if err != nil {
				return nil, err
			}
			q.Limit, q.Cursor = in.Limit, in.Cursor
			records, next, err := a.Store.Records(ctx, q)
			if err != nil {
				return nil, err
			}
			return &answer[adminapi.RecordPage]{adminapi.RecordPage{Records: mapped(records, wireRecord), NextCursor: next}}, nil
		})
	a.mountRecordExport(api, tags)
	a.mountRecordTail(api, tags)
	route(api, huma.Operation{OperationID: "get-record", Method: http.MethodGet, Path: "/records/{id}", Tags: tags, Summary: "Get a request record with its attempts and captured bodies"},
		func(ctx context.Context, in *struct {
			ID string `path:"id" doc:"The request id."`
		},
		) (*answer[adminapi.Record], error) {
			id, err := fleet.ParseRecordID(in.ID)
			if err != nil {
				return nil, fleet.NewError(fleet.CodeNotFound, "there is no record of this id; ids are UUIDs of 36 characters", nil)
			}
			record, err := a.Store.Record(ctx, id)
			if err != nil {
				return nil, err
			}
			return &answer[adminapi.Record]{wireRecord(record)}, nil
		})
}

var classes = []fleet.Class{
	fleet.ClassOK, fleet.ClassClient, fleet.ClassCanceled, fleet.ClassKeyDead, fleet.ClassKeyExhausted, fleet.ClassKeySuspect,
	fleet.ClassLimited, fleet.ClassModelDenied, fleet.ClassUpstream, fleet.ClassGateway,
}

func (f *RecordFilter) query() (fleet.RecordQuery, error) {
	var faults []fleet.FieldError
	fault := func(field, message string) {
		faults = append(faults, fleet.FieldError{Field: field, Message: message})
	}
	q := fleet.RecordQuery{
		From: f.From, To: f.To, Model: f.Model, Status: f.Status, StatusFrom: f.StatusFrom, StatusTo: f.StatusTo, Class: fleet.Class(f.Class),
		Stream: triState(f.Stream), Retried: triState(f.Retried), KeyTail: f.KeyTail, ProxyKeyFingerprint: f.ProxyKey,
		ClientIP: f.ClientIP, Text: f.Text,
	}
	var ok bool
	if q.GroupID, ok = parseID[fleet.GroupID](f.GroupID); !ok && f.GroupID != "" {
		fault("group_id", "must be an id, which is a positive number")
	}
	if q.ParentID, ok = parseID[fleet.GroupID](f.ParentID); !ok && f.ParentID != "" {
		fault("parent_id", "must be an id, which is a positive number")
	}
	if q.KeyID, ok = parseID[fleet.KeyID](f.KeyID); !ok && f.KeyID != "" {
		fault("key_id", "must be an id, which is a positive number")
	}
	if f.Class != "" && !slices.Contains(classes, q.Class) {
		fault("class", "must be one of ok, client, canceled, key_dead, key_exhausted, key_suspect, limited, model_denied, upstream and gateway")
	}
	if f.StatusTo != 0 && f.StatusTo < f.StatusFrom {
		fault("status_to", "must be at least status_from")
	}
	if !f.To.IsZero() && !f.From.Before(f.To) {
		fault("to", "must be later than from")
	}
	return q, fleet.InvalidFields(faults)
}

func triState(text string) *bool {
	if text == "" {
		return nil
	}
	return new(text == "true")
}

func wireRecord(r fleet.RequestRecord) adminapi.Record {
	return adminapi.Record{
		ID: r.ID.String(), StartedAt: wireTime(r.StartedAt), DurationMS: r.Duration.Milliseconds(), FirstByteMS: r.TimeToFirstByte.Milliseconds(),
		GroupID: idText(r.GroupID), GroupName: r.GroupName, ParentID: idText(r.ParentID), ParentName: r.ParentName,
		ProxyKeyFingerprint: r.ProxyKeyFingerprint, ClientIP: r.ClientIP, UserAgent: r.UserAgent, Method: r.Method, Path: r.Path,
		ModelAsked: r.ModelAsked, ModelSent: r.ModelSent, Stream: r.Stream, Status: r.Status, Class: string(r.Class), Error: r.Error,
		RequestBytes: r.RequestBytes, ResponseBytes: r.ResponseBytes,
		Attempts: mapped(r.Attempts, wireAttempt), Capture: wireCapture(r.Capture),
	}
}

func wireAttempt(t fleet.Attempt) adminapi.Attempt {
	return adminapi.Attempt{
		GroupID: idText(t.GroupID), KeyID: idText(t.KeyID), KeyTail: t.KeyTail, Upstream: t.Upstream, Status: t.Status,
		Class: string(t.Class), DurationMS: t.Duration.Milliseconds(), Reason: t.Reason,
	}
}

func wireCapture(c *fleet.BodyCapture) *adminapi.Capture {
	if c == nil {
		return nil
	}
	return &adminapi.Capture{Request: wireBody(c.Request, c.RequestTruncated), Response: wireBody(c.Response, c.ResponseTruncated)}
}

func wireBody(content []byte, truncated bool) adminapi.Body {
	text := content
	if truncated {
		text = wholeRunes(content)
	}
	if utf8.Valid(text) {
		return adminapi.Body{Content: string(text), Encoding: "text", Truncated: truncated}
	}
	return adminapi.Body{Content: base64.StdEncoding.EncodeToString(content), Encoding: "base64", Truncated: truncated}
}

// wholeRunes drops the character that a cut went through, so that a text stays a text.
func wholeRunes(b []byte) []byte {
	for back := 1; back < utf8.UTFMax && back <= len(b); back++ {
		if at := len(b) - back; utf8.RuneStart(b[at]) {
			if !utf8.FullRune(b[at:]) {
				return b[:at]
			}
			break
		}
	}
	return b
}
