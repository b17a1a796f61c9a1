package adminhttp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/labstack/echo/v4"
	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/operation"
	"gpt-load/internal/secret"
	"gpt-load/pkg/adminapi"
)

// Options are what the control plane is made of. All but the last six are needed.
type Options struct {
	AuthKey  secret.Text
	Logger   *zap.Logger
	Store    Store
	Pools    Pools
	Tester   Tester
	Reloader Reloader
	Nodes    Nodes
	// Operations begins and shows long bulk work; make it with RefuseKey.
	Operations *operation.Service
	// Ready lists the parts of the node; every one must be ready for GET /readyz to answer 200. It must be quick.
	Ready func() []Check
	// CheckParamPath tells whether a text is a path of a param override: jsonbody.ParsePath without its result.
	CheckParamPath func(path string) error
	// Secrets are judged by the dashboard; of them Weakness is needed.
	Secrets Secrets

	Version string // shown in the OpenAPI document and by GET /health
	CORS    CORS
	// TrustedProxies are the peers whose X-Forwarded-For and X-Forwarded-Proto are believed.
	TrustedProxies []netip.Prefix
	// Clock tells the time; nil takes time.Now.
	Clock func() time.Time
	// StartedAt is what the uptime counts from; zero takes the time of New.
	StartedAt time.Time
	// NodeName is what event streams call this node.
	NodeName string
}

// API is the control plane of one node.
type API struct {
	Options

	rules    fleet.GroupRules
	signer   sessionSigner
	live     *sessionCache
	guesses  *guessLimiter
	refusals refusals
	origins  *http.CrossOriginProtection
	routes   *http.ServeMux

	events    *eventLog
	streams   *eventStreams
	keyEvents *keyEvents
}

// New checks the options and builds the routes. It starts nothing.
func New(o Options) (*API, error) {
	if o.AuthKey.IsEmpty() || o.Logger == nil || o.Store == nil || o.Pools == nil || o.Tester == nil || o.Reloader == nil || o.Nodes == nil || o.Operations == nil || o.Ready == nil || o.CheckParamPath == nil || o.Secrets.Weakness == nil {
		return nil, errors.New("adminhttp.New: AuthKey, Logger, Store, Pools, Tester, Reloader, Nodes, Operations, Ready, CheckParamPath and Secrets.Weakness are all needed")
	}
	if err := o.CORS.check(); err != nil {
		return nil, err
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.StartedAt.IsZero() {
		o.StartedAt = o.Clock()
	}
	signer, err := newSessionSigner(o.AuthKey)
	if err != nil {
		return nil, err
	}
	origins := http.NewCrossOriginProtection()
	if err := o.CORS.trust(origins); err != nil {
		return nil, err
	}
	a := &API{
		Options: o, rules: fleet.GroupRules{CheckParamPath: o.CheckParamPath},
		signer: signer, live: newSessionCache(), guesses: newGuessLimiter(o.Clock), origins: origins, routes: http.NewServeMux(),
		events: newEventLog(), streams: newEventStreams(), keyEvents: newKeyEvents(),
	}
	return a, a.buildRoutes()
}

// Mount hands /api/v1, /health, /livez, /readyz and /startupz of e to the API, and makes echo answer its own errors in the
// API's shape.
func (a *API) Mount(e *echo.Echo) {
	handler := echo.WrapHandler(a)
	for _, path := range []string{"/health", "/livez", "/readyz", "/startupz", adminapi.Prefix, adminapi.Prefix + "/*"} {
		e.Any(path, handler)
	}
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if c.Response().Committed {
			return
		}
		call := a.newCall(c.Request(), c.Response())
		c.Response().Header().Set("X-Request-Id", call.id)
		setSecurityHeaders(c.Response().Header())
		writeProblem(c.Response(), c.Request(), problemOf(call, err))
	}
}

// buildRoutes registers every operation. Huma sits on the standard library's mux: its echo adapter would link
// the next major version of echo as well, and inside /api/v1 nothing of echo is needed.
func (a *API) buildRoutes() error {
	a.mountHealth()
	api := humago.NewWithPrefix(a.routes, adminapi.Prefix, a.humaConfig())
	api.UseMiddleware(a.authenticate(api))
	a.mountSession(api)
	a.mountGroups(api)
	a.mountGroupCopy(api)
	a.mountMembers(api)
	a.mountPreview(api)
	a.mountProxyKeys(api)
	a.mountKeys(api)
	a.mountKeyActions(api)
	a.mountOperations(api)
	a.mountSettings(api)
	a.mountRecords(api)
	a.mountStatistics(api)
	a.mountDashboard(api)
	a.mountNodes(api)
	a.mountAudit(api)
	a.mountEvents(api)

	// Made here, once: huma's own route makes it at the first request, with a data race between two of them.
	document, err := json.Marshal(api.OpenAPI())
	a.routes.HandleFunc("GET "+adminapi.Prefix+"/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(document)
	})
	return err
}

func (a *API) humaConfig() huma.Config {
	adoptProblems()
	config := huma.DefaultConfig("GPT-Load admin API", a.Version)
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	config.Servers = []*huma.Server{{URL: adminapi.Prefix}}
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", ""
	config.CreateHooks = nil // no $schema members in answers
	config.RejectUnknownQueryParameters = true
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer":  {Type: "http", Scheme: "bearer", Description: "AUTH_KEY, for automation."},
		"session": {Type: "apiKey", In: "cookie", Name: adminapi.SessionCookie, Description: "From POST /session, for browsers. A write must name the same origin in Sec-Fetch-Site or Origin, as browsers do by themselves, or have an X-Requested-With header."},
	}
	return config
}

// schemaName names the schema of an error after its wire type.
func schemaName(t reflect.Type, hint string) string {
	if t == reflect.TypeFor[*problem]() || t == reflect.TypeFor[problem]() {
		return "Problem"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// Bounds of one admin request.
const (
	usualTimeout = 30 * time.Second
	longTimeout  = 10 * time.Minute // imports, tests and deletions of many keys
	usualBody    = 2 << 20          // bytes
)

// route registers one operation that needs a login, with the usual bounds where op sets none.
func route[I, O any](api huma.API, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	routeWithin(usualTimeout, api, op, handle)
}

// routeWithin is route for an operation that may work for longer.
func routeWithin[I, O any](limit time.Duration, api huma.API, op huma.Operation, handle func(context.Context, *I) (*O, error)) {
	if op.Security == nil {
		op.Security = []map[string][]string{{"bearer": {}}, {"session": {}}}
	}
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = usualBody
	}
	if op.BodyReadTimeout == 0 {
		op.BodyReadTimeout = usualTimeout
	}
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		callOf(ctx).extend(limit)
		return handle(ctx, in)
	})
}

// answer wraps a body for huma.
type answer[T any] struct{ Body T }
