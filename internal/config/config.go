package config

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gpt-load/internal/secret"
)

// Config is the checked configuration of one process. It cannot print its secrets.
type Config struct {
	Host string // address to listen on
	Port int    // 0 takes any free port

	ReadTimeout             time.Duration // of one request's header and body
	WriteTimeout            time.Duration // of an answer without progress
	IdleTimeout             time.Duration // between two requests of a connection
	ShutdownDelay           time.Duration // still accepting when the process is told to end, in a fleet
	GracefulShutdownTimeout time.Duration // for requests in flight after that
	MaxConcurrentRequests   int           // proxied requests served at the same time

	IsSlave  bool           // never leads the fleet
	Location *time.Location // TZ: of log timestamps

	AuthKey          secret.Text // empty: EnsureAuthKey makes one
	EncryptionKey    secret.Text // empty: secrets are stored in clear
	EncryptionKeyOld secret.Text // see OldEncryption

	DataDir     string      // what the process keeps beside the database
	DatabaseDSN secret.Text // a path or a URL, which may hold a password

	RedisDSN       secret.Text // empty on a single node
	RedisKeyPrefix string

	TrustedProxies        []netip.Prefix // whose forwarding headers name the client
	BlockPrivateUpstreams bool

	CORS    CORS
	Metrics Metrics
	Log     Log

	AccessLog AccessLog
	Tracing   Tracing

	HTTPProxy  secret.Text // URLs, which may hold a password; EnvProxy applies them
	HTTPSProxy secret.Text
	NoProxy    string

	envProxy func(*url.URL) (*url.URL, error)
	settings []Setting
}

// CORS says which web origins a browser may let read the admin API and proxied answers.
type CORS struct {
	Enabled          bool
	AllowedOrigins   []string // "*" alone, or origins such as https://console.example.com
	AllowedMethods   []string
	AllowedHeaders   []string // "*" alone, or header names
	AllowCredentials bool     // never together with the origin "*"
}

// Metrics says where they are served.
type Metrics struct {
	Port  int         // of their own; 0 for none
	Token secret.Text // for /metrics on the main port; empty: not there
}

// Log says what is logged, how and where besides the standard error.
type Log struct {
	Level    string // debug, info, warn or error
	Format   string // text or json
	ToFile   bool
	FilePath string
}

// AccessLog says whether and how each proxied request is written to the standard output.
type AccessLog struct {
	Format string  // off, text or json
	Sample float64 // share of the requests that went well, 0 to 1
}

// Tracing says where traces go.
type Tracing struct {
	Endpoint *url.URL // nil when it is off
	Headers  map[string]secret.Text
	Ratio    float64 // share of the requests, 0 to 1
	Service  string
}

// Setting is one entry as it applies, for people: `gpt-load config` lists them.
type Setting struct {
	Name   string
	Text   string // secret.Redacted for a secret that is set
	Source string // default, environment, .env, or the path of a file
}

// Addr is the address to listen on.
func (c Config) Addr() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// EnvProxy picks the outgoing proxy for a URL by HTTP_PROXY, HTTPS_PROXY and NO_PROXY: nil means a direct connection,
// as it does for localhost and loopback addresses always.
func (c Config) EnvProxy(u *url.URL) (*url.URL, error) {
	if c.envProxy == nil {
		return nil, nil
	}
	return c.envProxy(u)
}

// Fleet reports whether the node is one of several that share a database and a Redis.
func (c Config) Fleet() bool { return !c.RedisDSN.IsEmpty() }

// Settings lists every entry in the order of the table, secrets redacted.
func (c Config) Settings() []Setting { return c.settings }

// Secrets lists the values that no log may ever show.
func (c Config) Secrets() []secret.Text {
	var set []secret.Text
	for _, t := range c.Tracing.Headers {
		if !t.IsEmpty() {
			set = append(set, t)
		}
	}
	for _, t := range []secret.Text{c.AuthKey, c.EncryptionKey, c.EncryptionKeyOld, c.Metrics.Token, c.RedisDSN, c.HTTPProxy, c.HTTPSProxy, passwordOf(c.RedisDSN), passwordOf(c.DatabaseDSN)} {
		if !t.IsEmpty() {
			set = append(set, t)
		}
	}
	return set
}

// passwordOf finds the password in a DSN of any accepted form; empty when there is none.
func passwordOf(dsn secret.Text) secret.Text {
	text := dsn.Reveal()
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		password, _ := u.User.Password()
		return secret.New(password)
	}
	if isSQLite(text) {
		return secret.Text{}
	}
	if end := strings.LastIndexByte(text, '@'); end >= 0 { // user:password@tcp(host:3306)/db
		_, password, _ := strings.Cut(text[:end], ":")
		return secret.New(password)
	}
	for field := range strings.FieldsSeq(text) { // host=... password=...
		if password, found := strings.CutPrefix(field, "password="); found {
			return secret.New(strings.Trim(password, "'"))
		}
	}
	return secret.Text{}
}

// Warnings says what is allowed but unwise, one sentence each, for the log of the start. Call it with the final
// AuthKey in place.
func (c Config) Warnings() []string {
	var warnings []string
	if why := Weakness(c.AuthKey); why != "" && !c.AuthKey.IsEmpty() {
		warnings = append(warnings, "AUTH_KEY is weak: "+why+". Whoever guesses it owns every key in this installation; `openssl rand -hex 24` makes a strong one.")
	}
	if why := Weakness(c.EncryptionKey); why != "" && !c.EncryptionKey.IsEmpty() {
		warnings = append(warnings, "ENCRYPTION_KEY is weak: "+why+". Whoever guesses it can read the stored keys from a copy of the database; `openssl rand -hex 32` makes a strong one.")
	}
	if why := Weakness(c.Metrics.Token); why != "" && !c.Metrics.Token.IsEmpty() {
		warnings = append(warnings, "METRICS_TOKEN is weak: "+why+". Metrics hold the names of groups and how they do.")
	}
	if c.Fleet() && isSQLite(c.DatabaseDSN.Reveal()) {
		warnings = append(warnings, "REDIS_DSN is set while DATABASE_DSN is a SQLite file: no other node can join. PostgreSQL or MySQL serve a fleet.")
	}
	if c.Fleet() && c.EncryptionKey.IsEmpty() {
		warnings = append(warnings, "ENCRYPTION_KEY is empty: this node keeps no local copy of the configuration and cannot start while the database is away.")
	}
	return warnings
}
