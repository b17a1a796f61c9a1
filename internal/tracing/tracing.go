// Package tracing sends spans of proxied requests to an OpenTelemetry collector, over OTLP and HTTP: one for each request, with a
// child for each attempt. The trace context of W3C comes from the client and goes on to the provider.
//
// Nothing waits for the collector. Spans stand in a queue of fixed size; while it is full, as when the collector is slow or away,
// they are dropped. A nil Tracer does nothing and costs a comparison.
package tracing

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

const (
	// queueSpans bounds what waits for the collector; a span holds about 2 KiB.
	queueSpans  = 4096
	batchSpans  = 512
	batchPause  = 2 * time.Second
	exportLimit = 10 * time.Second
	// farewell bounds the last export when the node ends.
	farewell = 2 * time.Second
)

// Options say where spans go. All fields are needed but Headers.
type Options struct {
	Endpoint *url.URL // of the collector; /v1/traces is below it
	Headers  map[string]secret.Text
	Ratio    float64 // share of the requests that begin a trace, 0 to 1; those that come with one follow it
	Service  string
	Version  string
	Node     string
	Log      *zap.Logger
}

// Tracer makes spans. Its methods do nothing on nil.
type Tracer struct {
	ratio    float64
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
}

// New makes a tracer. It needs no collector to be there. Close ends it.
func New(ctx context.Context, o Options) (*Tracer, error) {
	headers := make(map[string]string, len(o.Headers))
	for name, value := range o.Headers {
		headers[name] = value.Reveal()
	}
	otlp, err := otlptracehttp.New(ctx,
		otlptracehttp.WithEndpointURL(strings.TrimSuffix(o.Endpoint.String(), "/")+"/v1/traces"),
		otlptracehttp.WithHeaders(headers), otlptracehttp.WithTimeout(exportLimit),
		// What a collector does not take is lost: spans that wait for it would push out newer ones.
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: false}),
		otlptracehttp.WithProxy(func(*http.Request) (*url.URL, error) { return nil, nil }), // HTTP_PROXY is for providers
	)
	if err != nil {
		return nil, fmt.Errorf("tracing to OTEL_EXPORTER_OTLP_ENDPOINT: %w", err)
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithSampler(sdktrace.AlwaysSample()), // Begin decides
		sdktrace.WithBatcher(&exporter{SpanExporter: otlp, log: o.Log}, sdktrace.WithMaxQueueSize(queueSpans), sdktrace.WithMaxExportBatchSize(batchSpans),
			sdktrace.WithBatchTimeout(batchPause), sdktrace.WithExportTimeout(exportLimit)),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", o.Service), attribute.String("service.version", o.Version), attribute.String("service.instance.id", o.Node),
		)),
	)
	return &Tracer{ratio: o.Ratio, provider: provider, tracer: provider.Tracer("gpt-load/internal/proxy")}, nil
}

// Close sends what is left, if the collector takes it within two seconds.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // what is lost now was told, or is of the last moment
}

// exporter tells when spans begin to be lost, and when that is over.
type exporter struct {
	sdktrace.SpanExporter
	log     *zap.Logger
	failing atomic.Bool
}

// ExportSpans implements sdktrace.SpanExporter. It keeps errors from OpenTelemetry's own handler, which would write each to the
// standard error.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch {
	case err != nil && !e.failing.Swap(true):
		e.log.Warn("the collector of traces takes no spans; they are dropped until it does, and requests go on as before", zap.Error(err))
	case err == nil && e.failing.Swap(false):
		e.log.Info("the collector of traces takes spans again")
	}
	return nil
}

var w3c propagation.TraceContext

// Request is the span of one proxied request. Its methods do nothing on nil.
type Request struct {
	tracer  trace.Tracer
	ctx     context.Context
	span    trace.Span
	attempt trace.Span // the last one, until it is known how it ended
	begun   time.Time  // of that
	// What is known of that. Given all at once, attributes cost a third.
	attributes []attribute.KeyValue
}

// Begin starts the span of a request, as a child of the trace that its header names. It returns nil for a request that is not
// traced, which costs nothing more: a trace that the client does not sample goes on to the provider as it came.
func (t *Tracer) Begin(ctx context.Context, header http.Header, started time.Time) *Request {
	if t == nil {
		return nil
	}
	switch sampled, follows := parentOf(header); {
	case follows && !sampled, !follows && rand.Float64() >= t.ratio: // #nosec G404 -- picks a sample, guards nothing
		return nil
	}
	r := &Request{tracer: t.tracer}
	// The name is known when the request is; the span begins with it all the same.
	r.ctx, r.span = t.tracer.Start(w3c.Extract(ctx, propagation.HeaderCarrier(header)), "request", trace.WithTimestamp(started), trace.WithSpanKind(trace.SpanKindServer))
	return r
}

// parentOf reads of a traceparent (W3C Trace Context, section 3.2) whether there is one, and whether its sender samples the trace.
// What else is wrong with it the library finds out, and begins another trace.
func parentOf(header http.Header) (sampled, follows bool) {
	values := header["Traceparent"]
	if len(values) != 1 {
		return false, false
	}
	const flags, length = 53, 55 // version 00: 2 + 32 + 16 + 2 digits and three dashes
	parent := values[0]
	if len(parent) < length {
		return false, false
	}
	bits, err := strconv.ParseUint(parent[flags:length], 16, 8)
	return err == nil && bits&1 == 1, err == nil
}

// Attempt starts the span of an attempt in a group of this channel, and returns what names it for the provider. record has the
// attempts before it.
func (r *Request) Attempt(record *fleet.RequestRecord, channel fleet.Channel, begun time.Time) (traceparent, tracestate string) {
	if r == nil {
		return "", ""
	}
	n := len(record.Attempts)
	if n > 0 {
		r.endAttempt(&record.Attempts[n-1], trace.WithTimestamp(r.begun.Add(record.Attempts[n-1].Duration)))
	}
	does := operation(record.Path)
	r.attributes = append(inference(does, record.ModelSent, channel), gatewayAttempt.Int(n+1), gatewayGroup.String(record.GroupName))
	ctx, attempt := r.tracer.Start(r.ctx, spanName(does, record.ModelSent, record.Method), trace.WithTimestamp(begun), trace.WithSpanKind(trace.SpanKindClient))
	r.attempt, r.begun = attempt, begun
	carrier := propagation.MapCarrier{}
	w3c.Inject(ctx, carrier)
	return carrier["traceparent"], carrier["tracestate"]
}

// endAttempt ends the span of the last attempt: of one that failed when that was known, of one that was relayed with the request.
func (r *Request) endAttempt(a *fleet.Attempt, at ...trace.SpanEndOption) {
	if r.attempt == nil {
		return
	}
	all := r.attributes
	all = append(all, serverAddress.String(a.Upstream), gatewayClass.String(string(a.Class)), gatewayReason.String(a.Reason), gatewayKeyTail.String(a.KeyTail))
	if a.Status > 0 {
		all = append(all, httpStatus.Int(a.Status))
	}
	if a.Class != fleet.ClassOK {
		all = append(all, errorType.String(a.Reason))
		r.attempt.SetStatus(codes.Error, a.Reason)
	}
	r.attempt.SetAttributes(all...)
	r.attempt.End(at...)
	r.attempt = nil
}

// End completes the spans of a request that has ended. channel is that of the group that was asked.
func (r *Request) End(record *fleet.RequestRecord, channel fleet.Channel) {
	if r == nil {
		return
	}
	defer r.span.End()
	n := len(record.Attempts)
	switch {
	case n > 0:
		r.endAttempt(&record.Attempts[n-1])
	case r.attempt != nil: // a panic in its middle
		r.attempt.End()
	}
	does := operation(record.Path)
	r.span.SetName(spanName(does, record.ModelAsked, record.Method))
	all := append(inference(does, record.ModelAsked, channel),
		httpMethod.String(clip(record.Method)), httpStatus.Int(record.Status), urlPath.String(clip(record.Path)), clientAddress.String(record.ClientIP),
		gatewayGroup.String(record.GroupName), gatewayClass.String(string(record.Class)), gatewayRequest.String(record.ID.String()), gatewayAttempts.Int(n),
	)
	if record.ParentName != "" {
		all = append(all, gatewayAggregate.String(record.ParentName))
	}
	if record.Class != fleet.ClassOK {
		all = append(all, errorType.String(string(record.Class)))
		if record.Status >= http.StatusInternalServerError { // a client's mistake is no error of a server's span
			r.span.SetStatus(codes.Error, string(record.Class))
		}
	}
	r.span.SetAttributes(all...)
}
