package adminhttp

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/pkg/adminapi"
)

// statusOf is the one map from codes to HTTP.
var statusOf = map[fleet.Code]int{
	fleet.CodeInvalid:      http.StatusUnprocessableEntity,
	fleet.CodeNotFound:     http.StatusNotFound,
	fleet.CodeConflict:     http.StatusConflict,
	fleet.CodeUnauthorized: http.StatusUnauthorized,
	fleet.CodeForbidden:    http.StatusForbidden,
	fleet.CodeTooLarge:     http.StatusRequestEntityTooLarge,
	fleet.CodeRateLimited:  http.StatusTooManyRequests,
	fleet.CodeGone:         http.StatusGone,
	fleet.CodeUnavailable:  http.StatusServiceUnavailable,
	fleet.CodeInternal:     http.StatusInternalServerError,

	fleet.CodePreconditionFailed: http.StatusPreconditionFailed,
}

// codeOf is for statuses that come from HTTP itself and not from a code.
func codeOf(status int) fleet.Code {
	for code, s := range statusOf {
		if s == status {
			return code
		}
	}
	if status >= 400 && status < 500 {
		return fleet.CodeInvalid
	}
	return fleet.CodeInternal
}

// problem is an error on its way through huma.
type problem struct {
	adminapi.Problem
	status     int
	retryAfter time.Duration
}

// Error implements error.
func (p *problem) Error() string { return p.Message }

// GetStatus implements huma.StatusError.
func (p *problem) GetStatus() int { return p.status }

// writeHeaders tells set what the answer needs besides its body.
func (p *problem) writeHeaders(set func(name, value string)) {
	if p.retryAfter > 0 {
		seconds := (p.retryAfter + time.Second - 1) / time.Second
		set("Retry-After", strconv.Itoa(int(seconds)))
	}
	if p.Revision > 0 {
		set("ETag", etag(p.Revision))
	}
	if p.status == http.StatusUnauthorized {
		set("WWW-Authenticate", `Bearer realm="GPT-Load admin API"`)
	}
}

// tryLater is an error with the time after which another try makes sense.
type tryLater struct {
	error
	after time.Duration
}

// Unwrap gives the error itself, whose code counts.
func (t *tryLater) Unwrap() error { return t.error }

// adoptProblems makes huma answer with our error shape and check what we want checked. These are variables of the
// whole process; nothing else in it uses huma.
var adoptProblems = sync.OnceFunc(func() {
	huma.ValidateStrictCasing = true
	huma.DefaultArrayNullable = false
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return problemFor(context.Background(), status, message, errs)
	}
	huma.NewErrorWithContext = func(c huma.Context, status int, message string, errs ...error) huma.StatusError {
		p := problemFor(c.Context(), status, message, errs)
		p.writeHeaders(c.SetHeader)
		return p
	}
})

// problemFor translates whatever went wrong into an answer and, when it is ours to look at, into a line of the log.
func problemFor(ctx context.Context, status int, message string, errs []error) *problem {
	call := callOf(ctx)
	if message == "cannot read request body" { // huma takes a client that broke off for a defect of ours
		status, message, errs = http.StatusBadRequest, "the body broke off before its end", nil
	}
	for _, err := range errs {
		if status >= http.StatusInternalServerError || errors.As(err, new(*fleet.Error)) {
			return problemOf(call, err)
		}
	}
	p := &problem{status: status}
	p.Code, p.Message, p.RequestID = adminapi.Code(codeOf(status)), message, call.id
	p.Details = make([]adminapi.FieldProblem, 0, len(errs))
	for _, err := range errs {
		if err != nil {
			p.Details = append(p.Details, fieldProblem(err))
		}
	}
	if message == "validation failed" {
		p.Message = "some values are not valid"
	}
	return p
}

// problemOf is the answer for an error that a handler or a middleware returned.
func problemOf(call *call, err error) *problem {
	p := &problem{status: http.StatusInternalServerError}
	p.RequestID, p.Details = call.id, []adminapi.FieldProblem{}

	var later *tryLater
	var known *fleet.Error
	var fromEcho *echo.HTTPError
	switch {
	case errors.As(err, &known) && known.Code != fleet.CodeInternal:
		p.status, p.Code, p.Message, p.Revision = statusOf[known.Code], adminapi.Code(known.Code), known.Message, known.Revision
		for _, f := range known.Fields {
			p.Details = append(p.Details, adminapi.FieldProblem(f))
		}
		if errors.As(err, &later) {
			p.retryAfter = later.after
		}
		if known.Code == fleet.CodeUnavailable {
			p.retryAfter = time.Second
			call.logger.Warn("admin request", zap.String("message", known.Message), zap.String("cause", causeOf(known)))
		}
	case errors.As(err, &fromEcho):
		p.status, p.Code = fromEcho.Code, adminapi.Code(codeOf(fromEcho.Code))
		p.Message = routingMessage(fromEcho.Code)
	case errors.Is(err, context.DeadlineExceeded):
		p.status, p.Code, p.retryAfter = http.StatusServiceUnavailable, adminapi.CodeUnavailable, time.Second
		p.Message = "the request took longer than an admin request may; a store is slow or away, try again or with less at a time"
		call.logger.Warn("admin request out of time", zap.Error(err))
	case errors.Is(err, context.Canceled):
		p.status, p.Code, p.Message = fleet.StatusClientGone, adminapi.CodeUnavailable, "the client went away"
	default:
		p.Code, p.Message = adminapi.CodeInternal, "something went wrong here; the server's log says more under this request id"
		call.logger.Error("admin request", zap.String("error", secret.Redact(err.Error())))
	}
	return p
}

// causeOf is the cause of an error as the log may have it.
func causeOf(err *fleet.Error) string {
	if err.Cause == nil {
		return ""
	}
	return secret.Redact(err.Cause.Error())
}

func routingMessage(status int) string {
	switch status {
	case http.StatusNotFound:
		return "there is nothing at this path; " + adminapi.Prefix + "/openapi.json lists what there is"
	case http.StatusMethodNotAllowed:
		return "this path does not take this method; " + adminapi.Prefix + "/openapi.json lists what it takes"
	}
	return http.StatusText(status)
}

// fieldProblem puts huma's finding into our words: without the "body." in front, and never with the value, which
// may be a secret.
func fieldProblem(err error) adminapi.FieldProblem {
	var detailed huma.ErrorDetailer
	if !errors.As(err, &detailed) {
		return adminapi.FieldProblem{Field: "body", Message: err.Error()}
	}
	detail := detailed.ErrorDetail()
	field, message := detail.Location, detail.Message
	for _, where := range []string{"body.", "query.", "path.", "header."} {
		field = strings.TrimPrefix(field, where)
	}
	if name, ok := strings.CutPrefix(message, "expected required property "); ok {
		name, _, _ = strings.Cut(name, " ")
		message = "is needed"
		if field == "body" {
			field = name
		} else {
			field += "." + name
		}
	}
	if message == "unexpected property" {
		message = "is not a member that this request knows; " + adminapi.Prefix + "/openapi.json lists them"
	}
	return adminapi.FieldProblem{Field: field, Message: message}
}

// writeProblem answers what no operation of huma answered.
func writeProblem(w http.ResponseWriter, r *http.Request, p *problem) {
	p.writeHeaders(w.Header().Set)
	if r.Method == http.MethodHead {
		w.WriteHeader(p.status)
		return
	}
	writeJSON(w, p.status, p.Problem)
}
