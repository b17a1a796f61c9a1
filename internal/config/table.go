package config

import (
	"time"

	"gpt-load/internal/secret"
	"gpt-load/internal/settings"
)

// Kind is the type of an entry.
type Kind string

// The kinds.
const (
	KindInt    Kind = "integer"
	KindBool   Kind = "boolean"
	KindString Kind = "string"
	KindList   Kind = "list" // comma-separated; a sequence in YAML
)

// Entry is one line of the table: everything that the parser and the documents need to know.
type Entry struct {
	Name    string // of the environment variable; the YAML key is the same in lower case
	Section string
	Kind    Kind
	Default string
	Allowed string // range or form in words
	Secret  bool   // never shown; may come from the file that NAME_FILE names
	Doc     string

	// fromDataDir moves the default along with DATA_DIR.
	fromDataDir bool
	// anyCase also reads the variable in lower case, which goes first: curl's rule for proxies.
	anyCase bool
	apply   func(c *Config, text string) error
}

// Table lists every entry in the order in which it is shown. DATA_DIR stands before what derives from it.
func Table() []Entry { return table }

const (
	defaultDataDir = "./data"
	maxKeyBytes    = 512 // of AUTH_KEY: what settings allows for a proxy key, which it starts as
)

// The accepted forms of DSNs in words.
const (
	databaseForms = "a path or sqlite:// URL; postgres://user:password@host:5432/db, or host=... dbname=...; mysql://user:password@host:3306/db, user:password@tcp(host:3306)/db, or user@unix(/path)/db"
	redisForms    = "a URL: redis://, rediss:// for TLS, or unix://; Sentinel as redis://host:26379/0?master_set=NAME&addr=host2:26379, Cluster by several addr"
)

// The names and defaults are those of GPT-Load 1.x where it has the entry.
var table = []Entry{
	text("HOST", "server", "0.0.0.0", "an address or a host name", "Address to listen on. 127.0.0.1 serves this machine only.",
		func(c *Config, s string) error { return parseHost(s, &c.Host) }),
	number("PORT", "server", 3001, 0, 65535, "", "Port to listen on. 0 takes any free one and logs it.",
		func(c *Config, n int64) { c.Port = int(n) }),
	seconds("SERVER_READ_TIMEOUT", 60, 86400, "Longest time to receive one request, body included. A proxied body may take longer as long as it keeps coming.",
		func(c *Config) *time.Duration { return &c.ReadTimeout }),
	seconds("SERVER_WRITE_TIMEOUT", 600, 86400, "Longest time to send one answer. A proxied answer may take longer as long as it keeps coming.",
		func(c *Config) *time.Duration { return &c.WriteTimeout }),
	seconds("SERVER_IDLE_TIMEOUT", 120, 86400, "How long a client's idle connection is kept.",
		func(c *Config) *time.Duration { return &c.IdleTimeout }),
	number("SERVER_SHUTDOWN_DELAY", "server", 5, 0, 600, "seconds", "How long a node of a fleet goes on accepting after SIGTERM, while /readyz says no, so that load balancers leave it first. A single node does not wait.",
		func(c *Config, n int64) { c.ShutdownDelay = time.Duration(n) * time.Second }),
	seconds("SERVER_GRACEFUL_SHUTDOWN_TIMEOUT", 10, 86400, "How long requests in flight, live streams included, may go on after that; then they are ended with an error. Behind a load balancer give it minutes, as the compose files and the chart do. A second signal ends the process at once.",
		func(c *Config) *time.Duration { return &c.GracefulShutdownTimeout }),
	number("MAX_CONCURRENT_REQUESTS", "server", 100, 1, 1_000_000, "", "Proxied requests served at the same time; a few more wait shortly, the rest get 429 or 503 with Retry-After.",
		func(c *Config, n int64) { c.MaxConcurrentRequests = int(n) }),
	list("TRUSTED_PROXIES", "server", "", "addresses and CIDR ranges", "Reverse proxies whose X-Forwarded-For names the client. Empty trusts none.",
		func(c *Config, s []string) (err error) { c.TrustedProxies, err = parsePrefixes(s); return err }),
	text("TZ", "server", "Asia/Shanghai", "a name of the IANA time zone database, such as Europe/Berlin or UTC", "Time zone of log timestamps.",
		func(c *Config, s string) (err error) { c.Location, err = parseLocation(s); return err }),

	secretText("AUTH_KEY", "access", "1 to 512 bytes without spaces and commas", "Key of the admin API and the console, and the first proxy key. Empty: the first start makes a strong one and stores it as `auth-key` in DATA_DIR.",
		func(c *Config, t secret.Text) error { c.AuthKey = t; return checkAuthKey(t) }),
	secretText("ENCRYPTION_KEY", "access", "up to 4096 bytes", "Passphrase that encrypts provider keys and other secrets in the database. `gpt-load migrate-keys` sets, changes or removes it later. Empty stores them in clear.",
		func(c *Config, t secret.Text) error { c.EncryptionKey = t; return checkEncryptionKey(t) }),
	secretText("ENCRYPTION_KEY_OLD", "access", "up to 4096 bytes, or none", "Only for `gpt-load migrate-keys --online`: the key before ENCRYPTION_KEY, whose secrets are read, too; none where they were stored in clear.",
		func(c *Config, t secret.Text) error { c.EncryptionKeyOld = t; return checkEncryptionKey(t) }),

	text("DATA_DIR", "storage", defaultDataDir, "a folder", "What the process keeps beside the database: the generated auth key and request records on their way to the database.",
		func(c *Config, s string) error { c.DataDir = s; return nil }),
	fromDataDir(secretText("DATABASE_DSN", "storage", databaseForms, "The database: a path for the embedded SQLite, PostgreSQL, or MySQL. The nodes of a fleet share one.",
		func(c *Config, t secret.Text) error { c.DatabaseDSN = t; return checkDatabaseDSN(t) }), "gpt-load.db"),
	secretText("REDIS_DSN", "fleet", redisForms, "Redis of the fleet: changes, records and leadership travel through it. Empty runs a single node.",
		func(c *Config, t secret.Text) error { c.RedisDSN = t; return checkRedisDSN(t) }),
	text("REDIS_KEY_PREFIX", "fleet", "gpt-load", "1 to 64 letters, digits, and any of . _ -", "What the names of all keys in Redis begin with. Fleets that share a Redis need different ones.",
		func(c *Config, s string) error { c.RedisKeyPrefix = s; return checkKeyPrefix(s) }),
	flag("IS_SLAVE", "fleet", "This node is a follower: it serves like the others but never leads the fleet. With false it competes for leading, which does the background work.",
		func(c *Config) *bool { return &c.IsSlave }),

	flag("BLOCK_PRIVATE_UPSTREAMS", "outgoing", "Refuse upstreams at loopback, link-local and private addresses, checked after DNS at every connection.",
		func(c *Config) *bool { return &c.BlockPrivateUpstreams }),
	proxyURL("HTTP_PROXY", "Outgoing proxy for http upstreams, unless proxy_url is set. Also read in lower case, as curl does.",
		func(c *Config) *secret.Text { return &c.HTTPProxy }),
	proxyURL("HTTPS_PROXY", "Outgoing proxy for https upstreams, unless proxy_url is set. Also read in lower case.",
		func(c *Config) *secret.Text { return &c.HTTPSProxy }),
	anyCase(list("NO_PROXY", "outgoing", "", "host names, .domains, addresses and CIDR ranges, each with an optional port, or *", "Upstreams that are reached without HTTP_PROXY and HTTPS_PROXY. Also read in lower case.",
		func(c *Config, s []string) error { return parseNoProxy(s, &c.NoProxy) })),

	flag("ENABLE_CORS", "cors", "Answer cross-origin requests of browsers.",
		func(c *Config) *bool { return &c.CORS.Enabled }),
	list("ALLOWED_ORIGINS", "cors", "", "* or origins such as https://app.example.com", "Origins that may read answers. Needed with ENABLE_CORS.",
		func(c *Config, s []string) error { c.CORS.AllowedOrigins = s; return checkOrigins(s) }),
	list("ALLOWED_METHODS", "cors", "GET,POST,PUT,DELETE,OPTIONS", "HTTP methods", "Methods that cross-origin requests may use.",
		func(c *Config, s []string) error { c.CORS.AllowedMethods = s; return checkTokens(s) }),
	list("ALLOWED_HEADERS", "cors", "*", "* or header names", "Request headers that cross-origin requests may carry.",
		func(c *Config, s []string) error { c.CORS.AllowedHeaders = s; return checkTokens(s) }),
	flag("ALLOW_CREDENTIALS", "cors", "Let cross-origin requests carry cookies. Not with the origin *.",
		func(c *Config) *bool { return &c.CORS.AllowCredentials }),

	number("METRICS_PORT", "signals", 0, 0, 65535, "", "Port that serves Prometheus metrics at /metrics, without a login, on the address of HOST. 0 opens none.",
		func(c *Config, n int64) { c.Metrics.Port = int(n) }),
	secretText("METRICS_TOKEN", "signals", "1 to 512 bytes without spaces and commas", "Bearer token that opens /metrics on the main port. Empty: it is not served there.",
		func(c *Config, t secret.Text) error { c.Metrics.Token = t; return checkAuthKey(t) }),
	text("OTEL_EXPORTER_OTLP_ENDPOINT", "signals", "", "an http or https URL", "OpenTelemetry collector that gets traces of requests by OTLP over HTTP, at /v1/traces below this URL, such as http://collector:4318. Empty traces nothing.",
		func(c *Config, s string) (err error) { c.Tracing.Endpoint, err = parseEndpoint(s); return err }),
	secretText("OTEL_EXPORTER_OTLP_HEADERS", "signals", "name=value, several parted by commas", "HTTP headers for the collector, such as its credentials. Values may be percent-encoded.",
		func(c *Config, t secret.Text) (err error) { c.Tracing.Headers, err = parseHeaders(t); return err }),
	text("OTEL_TRACES_SAMPLER_ARG", "signals", "0.1", "0 to 1", "Share of the requests that are traced. A request that comes with a trace (W3C traceparent) follows that.",
		func(c *Config, s string) (err error) { c.Tracing.Ratio, err = parseRatio(s); return err }),
	text("OTEL_SERVICE_NAME", "signals", "gpt-load", "text", "Name of this installation in traces.",
		func(c *Config, s string) error { c.Tracing.Service = s; return nil }),

	choice("LOG_LEVEL", "info", []string{"debug", "info", "warn", "error"}, "Least level that is logged.",
		func(c *Config) *string { return &c.Log.Level }),
	choice("LOG_FORMAT", "text", []string{"text", "json"}, "text for people, json for collectors.",
		func(c *Config) *string { return &c.Log.Format }),
	flag("LOG_ENABLE_FILE", "logs", "Also log to a file, rotated at 100 MB; ten compressed old ones are kept.",
		func(c *Config) *bool { return &c.Log.ToFile }),
	fromDataDir(text("LOG_FILE_PATH", "logs", "", "a path", "The log file.",
		func(c *Config, s string) error { c.Log.FilePath = s; return nil }), "logs/app.log"),
	choice("ACCESS_LOG", "off", []string{"off", "text", "json"}, "One line for each proxied request on the standard output, with the request id.",
		func(c *Config) *string { return &c.AccessLog.Format }),
	number("ACCESS_LOG_SAMPLE", "logs", 100, 0, 100, "percent", "Share of the requests that went well in the access log. All others are always in it.",
		func(c *Config, n int64) { c.AccessLog.Sample = float64(n) / 100 }),
}

func text(name, section, def, allowed, doc string, apply func(*Config, string) error) Entry {
	return Entry{Name: name, Section: section, Kind: KindString, Default: def, Allowed: allowed, Doc: doc, apply: apply}
}

func secretText(name, section, allowed, doc string, apply func(*Config, secret.Text) error) Entry {
	e := text(name, section, "", allowed, doc, func(c *Config, s string) error { return apply(c, secret.New(s)) })
	e.Secret = true
	return e
}

func proxyURL(name, doc string, field func(*Config) *secret.Text) Entry {
	return anyCase(secretText(name, "outgoing", "an http, https or socks5 URL, with credentials if needed", doc, func(c *Config, t secret.Text) (err error) {
		*field(c), err = parseProxy(t)
		return err
	}))
}

func number(name, section string, def, lowest, highest int64, unit, doc string, set func(*Config, int64)) Entry {
	return Entry{
		Name: name, Section: section, Kind: KindInt, Default: formatInt(def), Allowed: rangeText(lowest, highest, unit), Doc: doc,
		apply: func(c *Config, s string) error {
			n, err := settings.ParseInt(s, lowest, highest, unit)
			set(c, n)
			return err
		},
	}
}

func seconds(name string, def, highest int64, doc string, field func(*Config) *time.Duration) Entry {
	return number(name, "server", def, 1, highest, "seconds", doc, func(c *Config, n int64) { *field(c) = time.Duration(n) * time.Second })
}

func flag(name, section, doc string, field func(*Config) *bool) Entry {
	return Entry{
		Name: name, Section: section, Kind: KindBool, Default: "false", Allowed: "true or false", Doc: doc,
		apply: func(c *Config, s string) (err error) { *field(c), err = settings.ParseBool(s); return err },
	}
}

func list(name, section, def, allowed, doc string, apply func(*Config, []string) error) Entry {
	return Entry{
		Name: name, Section: section, Kind: KindList, Default: def, Allowed: allowed, Doc: doc,
		apply: func(c *Config, s string) error { return apply(c, splitList(s)) },
	}
}

func choice(name, def string, of []string, doc string, field func(*Config) *string) Entry {
	allowed := orList(of)
	return text(name, "logs", def, allowed, doc, func(c *Config, s string) error { return parseChoice(s, of, field(c)) })
}

func fromDataDir(e Entry, path string) Entry {
	e.Default, e.fromDataDir = defaultDataDir+"/"+path, true
	return e
}

func anyCase(e Entry) Entry {
	e.anyCase = true
	return e
}
