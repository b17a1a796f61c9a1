package adminhttp

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	"gpt-load/internal/operation"
)

func (a *API) mountResult(api huma.API, tags []string) {
	file := &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	op := huma.Operation{
		OperationID: "get-operation-result", Method: http.MethodGet, Path: "/operations/{id}/result", Tags: tags, Summary: "Download the result of an operation",
		Description: "The file of an export once it has succeeded; of any other operation JSON lines, as far as it has come: what became of each entry or key. Values of keys are in exports only.",
		Responses: map[string]*huma.Response{"200": {Description: "The result", Content: map[string]*huma.MediaType{
			"text/plain": file, "text/csv": file, "application/json": {Schema: &huma.Schema{}}, "application/jsonl": file,
		}}},
	}
	routeWithin(longTimeout, api, op, a.operationResult)
}

func (a *API) operationResult(ctx context.Context, in *OperationRef) (*huma.StreamResponse, error) {
	o, err := a.operation(ctx, in.ID)
	switch {
	case err != nil:
		return nil, err
	case o.Kind == operation.Export && o.State != operation.Succeeded:
		return nil, fleet.NewError(fleet.CodeConflict, "the export is "+string(o.State)+"; its file is there when it has succeeded", nil)
	case o.Kind == operation.Export && o.Chunks == 0 && !operation.WroteNothing(o):
		return nil, fleet.NewError(fleet.CodeGone, "the file of the export was deleted a day after its end; export again", nil)
	}
	if o.Kind == operation.Export {
		e := audit.Event{Kind: audit.KeysExported, Name: o.GroupName, Group: o.GroupID, Count: o.Done, Reason: "operation " + idText(o.ID)}
		if err := a.Store.RecordEvent(ctx, e); err != nil {
			return nil, err
		}
	}
	name, mediaType := operation.ResultName(o)
	return &huma.StreamResponse{Body: func(c huma.Context) {
		c.SetHeader("Content-Type", mediaType)
		c.SetHeader("Content-Disposition", `attachment; filename="`+name+`"`)
		call := callOf(c.Context())
		// The context of the handler ends when it returns; this one is the request's.
		if err := a.Operations.WriteResult(c.Context(), o, &extendingWriter{c, call}); err != nil {
			call.logger.Warn("the result of an operation broke off", zap.Error(err))
			panic(http.ErrAbortHandler) // half a file must not look like a whole one
		}
	}}, nil
}

// extendingWriter moves the deadlines of the connection before each write, so that a slow download may take its time.
type extendingWriter struct {
	c    huma.Context
	call *call
}

// Write implements io.Writer.
func (w *extendingWriter) Write(p []byte) (int, error) {
	w.call.extend(usualTimeout)
	return w.c.BodyWriter().Write(p)
}
