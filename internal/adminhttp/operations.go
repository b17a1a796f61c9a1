package adminhttp

import (
	"context"
	"errors"
	"io"
	"math"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/internal/fleet"
	"gpt-load/internal/keyfile"
	"gpt-load/internal/operation"
	"gpt-load/pkg/adminapi"
)

// OperationRef is the operation of a path.
type OperationRef struct {
	ID string `path:"id" doc:"Id of the operation."`
}

func (a *API) mountOperations(api huma.API) {
	tags := []string{"operations"}
	a.mountImport(api, tags)
	route(api, huma.Operation{
		OperationID: "start-operation", Method: http.MethodPost, Path: "/groups/{id}/operations", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary:     "Begin a validation, deletion, export or copy of keys",
		Description: "It waits for a node, which is a matter of seconds. A group has one operation of each kind at a time: a second one is a conflict whose detail operation_id names the first.",
	}, a.startOperation)
	route(api, huma.Operation{
		OperationID: "list-operations", Method: http.MethodGet, Path: "/operations", Tags: tags, Summary: "List operations of every node, newest first",
		Description: "Operations stay for seven days after their end, the file of an export for one.",
	}, a.listOperations)
	route(api, huma.Operation{OperationID: "get-operation", Method: http.MethodGet, Path: "/operations/{id}", Tags: tags, Summary: "Get an operation"},
		func(ctx context.Context, in *OperationRef) (*answer[adminapi.Operation], error) {
			o, err := a.operation(ctx, in.ID)
			return a.operationAnswer(o, err)
		})
	route(api, huma.Operation{
		OperationID: "cancel-operation", Method: http.MethodPost, Path: "/operations/{id}/cancel", Tags: tags, Summary: "Cancel an operation; what it did stays",
	}, func(ctx context.Context, in *OperationRef) (*answer[adminapi.Operation], error) {
		id, err := pathID[operation.ID]("operation", in.ID)
		if err != nil {
			return nil, err
		}
		o, err := a.Operations.Cancel(ctx, id)
		return a.operationAnswer(o, err)
	})
	a.mountResult(api, tags)
}

func (a *API) operation(ctx context.Context, text string) (operation.Operation, error) {
	id, err := pathID[operation.ID]("operation", text)
	if err != nil {
		return operation.Operation{}, err
	}
	return a.Operations.Get(ctx, id)
}

func (a *API) operationAnswer(o operation.Operation, err error) (*answer[adminapi.Operation], error) {
	if err != nil {
		return nil, err
	}
	return &answer[adminapi.Operation]{a.wireOperation(o)}, nil
}

func (a *API) wireOperation(o operation.Operation) adminapi.Operation {
	w := adminapi.Operation{
		ID: idText(o.ID), Kind: string(o.Kind), GroupID: idText(o.GroupID), GroupName: o.GroupName, State: string(o.State),
		Done: o.Done, Total: o.Total, Counts: o.Counts, InputBytes: o.InputBytes, ResultBytes: o.Bytes, Error: o.Error, Node: o.Node,
		CancelAsked: o.CancelAsked, CreatedAt: wireTime(o.CreatedAt),
	}
	if w.Counts == nil {
		w.Counts = map[string]int64{}
	}
	if !o.StartedAt.IsZero() {
		at := wireTime(o.StartedAt)
		w.StartedAt = &at
		end := a.Clock()
		if !o.EndedAt.IsZero() {
			end = o.EndedAt
		}
		if took := end.Sub(o.StartedAt); took > 0 {
			w.PerSecond = math.Round(10*float64(o.Done)/max(took.Seconds(), time.Millisecond.Seconds())) / 10
		}
	}
	if !o.EndedAt.IsZero() {
		at := wireTime(o.EndedAt)
		w.EndedAt = &at
	}
	return w
}

func (a *API) startOperation(ctx context.Context, in *struct {
	GroupRef
	Body adminapi.OperationInput
},
) (*answer[adminapi.Operation], error) {
	o, err := operationOf(&in.Body)
	if err != nil {
		return nil, err
	}
	g, err := a.keyGroup(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if o.GroupID = g.ID; o.Options.From == g.ID {
		return nil, invalid("from_group_id", "is the group itself; name another one")
	}
	o, err = a.Operations.Start(ctx, o)
	return a.operationAnswer(o, err)
}

// operationOf checks what an operation is to do.
func operationOf(in *adminapi.OperationInput) (operation.Operation, error) {
	o := operation.Operation{Kind: operation.Kind(in.Kind)}
	filter, err := operationFilter(in)
	if err != nil {
		return o, err
	}
	if !filter.IsZero() {
		o.Options.Filter = &filter
	}
	switch o.Kind {
	case operation.Validation:
		o.Options.PerSecond = in.PerSecond
	case operation.Deletion:
		if filter.IsZero() == !in.All {
			return o, invalid("state", "send either state, filter or all, so that nothing is deleted that was not meant")
		}
	case operation.Export:
		if !in.Reveal {
			return o, invalid("reveal", "must be true: an export holds the keys in clear")
		}
		if o.Options.Format = keyfile.Format(in.Format); o.Options.Format == keyfile.Detect {
			o.Options.Format = keyfile.CSV
		}
	case operation.Copy:
		o.Options.Disabled = in.Disabled
		if o.Options.From, err = filterID[fleet.GroupID]("from_group_id", in.FromGroupID); err == nil && o.Options.From == 0 {
			err = invalid("from_group_id", "must name the group whose keys are copied")
		}
	}
	return o, err
}

// operationFilter is which keys an operation is about.
func operationFilter(in *adminapi.OperationInput) (fleet.KeyFilter, error) {
	if in.Filter == nil {
		return parseKeyFilter("", adminapi.KeyFilter{State: in.State})
	}
	if in.State != "" {
		return fleet.KeyFilter{}, invalid("state", "is the same as filter.state; send one of them")
	}
	return parseKeyFilter("filter.", *in.Filter)
}

func (a *API) listOperations(ctx context.Context, in *struct {
	GroupID string `query:"group_id"`
	Kind    string `query:"kind" enum:"import,validation,deletion,export,copy,change"`
	State   string `query:"state" enum:"uploading,waiting,running,succeeded,failed,canceled"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	Cursor  string `query:"cursor" doc:"next_cursor of the page before."`
},
) (*answer[adminapi.OperationPage], error) {
	group, err := filterID[fleet.GroupID]("group_id", in.GroupID)
	if err != nil {
		return nil, err
	}
	page, next, err := a.Operations.List(ctx, operation.Query{
		Group: group, Kind: operation.Kind(in.Kind), State: operation.State(in.State), Limit: in.Limit, Cursor: in.Cursor,
	})
	if err != nil {
		return nil, err
	}
	return &answer[adminapi.OperationPage]{adminapi.OperationPage{Operations: mapped(page, a.wireOperation), NextCursor: next}}, nil
}

// importInput has no Body, so that huma leaves the body to us: it is read as it comes, not held.
type importInput struct {
	GroupRef
	Disabled bool   `query:"disabled" doc:"Add them switched off, whatever the file says."`
	Format   string `query:"format" enum:"text,lines,csv,json,jsonl" doc:"How the file is written; found out from its beginning when left out. lines takes one key a line, exactly as it stands."`

	contentType string
	body        io.Reader
}

// Resolve implements huma.Resolver to get hold of the body.
func (in *importInput) Resolve(c huma.Context) []error {
	in.contentType = c.Header("Content-Type")
	in.body = &uploadReader{r: c.BodyReader(), call: callOf(c.Context())}
	return nil
}

var _ huma.Resolver = (*importInput)(nil)

func (a *API) mountImport(api huma.API, tags []string) {
	file := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, Description: "Text with newlines, spaces, tabs, commas or semicolons between the keys, CSV, JSON or JSON lines; plain or compressed with gzip."}}
	op := huma.Operation{
		OperationID: "import-keys", Method: http.MethodPost, Path: "/groups/{id}/keys/import", Tags: tags, DefaultStatus: http.StatusAccepted,
		Summary: "Begin an import of keys from a file",
		Description: "At most 256 MiB, read as it comes. A file that breaks off or is none of keys is refused as a whole, and nothing is changed. The answer is an operation; " +
			"its result says of each entry whether it was added, a duplicate or rejected, and why.",
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"text/plain": file}},
	}
	routeWithin(longTimeout, api, op, a.importKeys)
	for _, kind := range importTypes {
		op.RequestBody.Content[kind] = file
	}
	// Added after the registration: seeing a form, huma would read the body itself.
	op.RequestBody.Content["multipart/form-data"] = &huma.MediaType{Schema: &huma.Schema{
		Type: huma.TypeObject, Properties: map[string]*huma.Schema{"file": {Type: huma.TypeString, Format: "binary"}},
	}}
}

// importTypes are the media types of files of keys.
var importTypes = []string{
	"text/plain", "text/csv", "application/json", "application/jsonl", "application/x-ndjson", "application/gzip", "application/x-gzip", "application/octet-stream",
}

func (a *API) importKeys(ctx context.Context, in *importInput) (*answer[adminapi.Operation], error) {
	g, err := a.keyGroup(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	kind, parameters, err := mime.ParseMediaType(in.contentType)
	if err != nil && in.contentType != "" || kind != "" && kind != "multipart/form-data" && !slices.Contains(importTypes, kind) {
		return nil, invalid("Content-Type", "must be multipart/form-data or one of "+strings.Join(importTypes, ", "))
	}
	file := in.body
	if kind == "multipart/form-data" {
		if file, err = fileOfForm(multipart.NewReader(in.body, parameters["boundary"])); err != nil {
			return nil, err
		}
	}
	// A file whose size is known to be too large is not even read; what stands around it in a form is less than that.
	const around = 64 << 10
	if callOf(ctx).http.ContentLength > a.Operations.MaxInputBytes+around {
		tooLarge := operation.ErrTooLarge(a.Operations.MaxInputBytes)
		tooLarge.Message += "; nothing was changed"
		return nil, tooLarge
	}
	format := keyfile.Format(in.Format)
	if format == keyfile.Detect {
		format = keyfile.OfContentType(kind)
	}
	o, err := a.Operations.Upload(ctx, operation.Operation{GroupID: g.ID, Options: operation.Options{Format: format, Disabled: in.Disabled}}, file)
	return a.operationAnswer(o, err)
}

// fileOfForm finds the file of a form, and at its end makes sure that there is no other.
func fileOfForm(form *multipart.Reader) (io.Reader, error) {
	part, err := nextFile(form)
	if errors.Is(err, io.EOF) {
		return nil, invalid("file", "the form holds no file; send it as the field \"file\"")
	}
	return &formReader{form: form, part: part}, err
}

func nextFile(form *multipart.Reader) (*multipart.Part, error) {
	for {
		part, err := form.NextPart()
		if err != nil && !errors.Is(err, io.EOF) {
			err = formFault(err)
		}
		if err != nil || part.FileName() != "" || part.FormName() == "file" {
			return part, err
		}
	}
}

type formReader struct {
	form *multipart.Reader
	part *multipart.Part
	end  error
}

// Read implements io.Reader.
func (f *formReader) Read(p []byte) (int, error) {
	if f.end != nil {
		return 0, f.end
	}
	n, err := f.part.Read(p)
	if errors.Is(err, io.EOF) {
		if _, err = nextFile(f.form); err == nil {
			err = invalid("file", "the form holds two files; send one at a time")
		}
		if errors.Is(err, io.EOF) {
			err = io.EOF // as it is: it may come wrapped
		}
	} else if err != nil {
		err = formFault(err)
	}
	f.end = err
	return n, err
}

// formFault leaves our own errors alone and says of any other that the form is at fault.
func formFault(err error) error {
	if fleet.CodeOf(err) != fleet.CodeInternal {
		return err
	}
	return fleet.NewError(fleet.CodeInvalid, "the body is not a whole multipart/form-data form", err)
}

// uploadReader moves the deadlines of the connection before each read, so that a slow upload may take its time while a stalled
// one ends.
type uploadReader struct {
	r    io.Reader
	call *call
}

// Read implements io.Reader.
func (u *uploadReader) Read(p []byte) (int, error) {
	u.call.extend(usualTimeout)
	n, err := u.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, fleet.NewError(fleet.CodeInvalid, "the upload broke off before its end", err)
	}
	return n, err
}
