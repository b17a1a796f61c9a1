package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
)

// FileVariable names the YAML file when the flag --config does not.
const FileVariable = "GPT_LOAD_CONFIG"

const sourceDefault = "default"

// Sources says where Load looks. The zero value is what a process uses that was given no flag.
type Sources struct {
	File      string                           // YAML file; empty takes GPT_LOAD_CONFIG, and none when that is empty too
	Dir       string                           // folder of `.env`; empty is the working directory
	LookupEnv func(name string) (string, bool) // nil is os.LookupEnv
}

// Error lists everything that is wrong with a configuration. It quotes no secret.
type Error struct {
	Faults []fleet.FieldError
}

// Error gives one line for each fault.
func (e *Error) Error() string {
	var b strings.Builder
	if len(e.Faults) == 1 {
		b.WriteString("the configuration has a wrong value:")
	} else {
		fmt.Fprintf(&b, "the configuration has %d wrong values:", len(e.Faults))
	}
	for _, f := range e.Faults {
		b.WriteString("\n  " + f.Field + ": " + f.Message)
	}
	return b.String()
}

// Load reads, checks and returns the configuration. The error is always an *Error with every fault in it. AuthKey
// may be empty: see EnsureAuthKey.
func Load(from Sources) (Config, error) {
	l := newLoader(from)
	c := Config{}
	for _, e := range table {
		l.load(&c, e)
	}
	l.faults = append(l.faults, crossFaults(c)...)
	if len(l.faults) > 0 {
		return Config{}, &Error{Faults: l.faults}
	}
	proxies := httpproxy.Config{HTTPProxy: c.HTTPProxy.Reveal(), HTTPSProxy: c.HTTPSProxy.Reveal(), NoProxy: c.NoProxy}
	c.envProxy = proxies.ProxyFunc()
	return c, nil
}

// LoadOnly is Load for a program that needs a few entries, such as the address and the auth key of a node: what is wrong
// with the others is not looked at, and they stay empty. The names have to be those of the table.
func LoadOnly(from Sources, names ...string) (Config, error) {
	l := newLoader(from)
	c := Config{}
	for _, e := range table {
		if slices.Contains(names, e.Name) {
			l.load(&c, e)
		}
	}
	if len(l.faults) > 0 {
		return Config{}, &Error{Faults: l.faults}
	}
	return c, nil
}

// value is one value as a source wrote it.
type value struct {
	text   string
	source string
}

// layer is one source of values; the environment is asked by name, files are read whole.
type layer struct {
	source string
	lookup func(name string) (string, bool)
}

type loader struct {
	layers []layer // first one goes first
	faults []fleet.FieldError
}

func newLoader(from Sources) *loader {
	lookupEnv := from.LookupEnv
	if lookupEnv == nil {
		lookupEnv = os.LookupEnv
	}
	l := &loader{layers: []layer{{source: "environment", lookup: lookupEnv}}}

	dotenv := filepath.Join(from.Dir, ".env")
	values, faults := readDotenv(dotenv)
	l.add(".env", values, faults)

	file := from.File
	if file == "" {
		file = strings.TrimSpace(l.find(FileVariable).text)
	}
	if file != "" {
		values, faults := readYAML(file)
		l.add(file, values, faults)
	}
	return l
}

// add appends the layer of a file, whose values are by lower-case name.
func (l *loader) add(source string, values map[string]string, faults []fleet.FieldError) {
	l.faults = append(l.faults, faults...)
	l.layers = append(l.layers, layer{source: source, lookup: func(name string) (string, bool) {
		text, ok := values[strings.ToLower(name)]
		return text, ok
	}})
}

// find returns the first value that is not empty; earlier names go before later ones within one layer.
func (l *loader) find(names ...string) value {
	for _, layer := range l.layers {
		for _, name := range names {
			if text, _ := layer.lookup(name); strings.TrimSpace(text) != "" {
				return value{text: text, source: layer.source}
			}
		}
	}
	return value{}
}

// load finds the value of one entry and applies it.
func (l *loader) load(c *Config, e Entry) {
	names := []string{e.Name}
	if e.anyCase {
		names = []string{strings.ToLower(e.Name), e.Name}
	}
	v := l.find(names...)
	if e.Secret {
		v = l.fromFile(e, v) // as it is: a passphrase may begin or end with a space
	} else {
		v.text = strings.TrimSpace(v.text)
	}
	if v.source == "" {
		v = value{text: e.Default, source: sourceDefault}
		if e.fromDataDir && c.DataDir != defaultDataDir {
			v.text = filepath.Join(c.DataDir, strings.TrimPrefix(e.Default, defaultDataDir+"/"))
		}
	}
	if err := e.apply(c, v.text); err != nil {
		message := err.Error()
		if v.source != sourceDefault {
			message += " (from " + v.source + ")"
		}
		l.fault(e.Name, message)
	}
	shown := v.text
	if e.Secret && v.source != sourceDefault {
		shown = secret.Redacted
	}
	c.settings = append(c.settings, Setting{Name: e.Name, Text: shown, Source: v.source})
}

// fromFile replaces v by the content of the file that NAME_FILE names, if it is set.
func (l *loader) fromFile(e Entry, v value) value {
	name := e.Name + "_FILE"
	file := l.find(name)
	if file.source == "" {
		return v
	}
	if v.source != "" {
		l.fault(e.Name, "is set (from "+v.source+"), and so is "+name+" (from "+file.source+"); keep one of them")
		return v
	}
	path := strings.TrimSpace(file.text)
	text, err := readSecretFile(path)
	if err != nil {
		l.fault(name, err.Error()+" (from "+file.source+")")
		return v
	}
	return value{text: text, source: path}
}

func (l *loader) fault(name, message string) {
	l.faults = append(l.faults, fleet.FieldError{Field: name, Message: message})
}

// crossFaults are the rules over several entries.
func crossFaults(c Config) []fleet.FieldError {
	var faults []fleet.FieldError
	fault := func(name, message string) {
		faults = append(faults, fleet.FieldError{Field: name, Message: message})
	}
	if c.IsSlave && c.RedisDSN.IsEmpty() {
		fault("IS_SLAVE", "is true, but a follower needs REDIS_DSN: it hears of changes through Redis; set IS_SLAVE=false to run a single node")
	}
	if c.IsSlave && isSQLite(c.DatabaseDSN.Reveal()) {
		fault("IS_SLAVE", "is true, but DATABASE_DSN is a SQLite file, which nodes cannot share; set IS_SLAVE=false to run a single node")
	}
	if c.Fleet() && c.AuthKey.IsEmpty() {
		fault("AUTH_KEY", "is empty, but REDIS_DSN is set: the nodes of a fleet need the same AUTH_KEY, so none can make its own; `openssl rand -hex 24` makes a strong one")
	}
	if c.Metrics.Port != 0 && c.Metrics.Port == c.Port {
		fault("METRICS_PORT", "is the same as PORT; take another, or leave it at 0 and set METRICS_TOKEN to serve /metrics on the main port")
	}
	if old, set := c.OldEncryption(); set && old.Equal(c.EncryptionKey) {
		fault("ENCRYPTION_KEY_OLD", "is the same as ENCRYPTION_KEY; take it out")
	}
	if c.CORS.Enabled && len(c.CORS.AllowedOrigins) == 0 {
		fault("ALLOWED_ORIGINS", "is empty while ENABLE_CORS is true: name the origins that may read answers, or *")
	}
	if c.CORS.Enabled && c.CORS.AllowCredentials && len(c.CORS.AllowedOrigins) == 1 && c.CORS.AllowedOrigins[0] == "*" {
		fault("ALLOW_CREDENTIALS", "is true while ALLOWED_ORIGINS is *: every web site could act with the cookies of its visitor; name the origins")
	}
	return faults
}

// isSQLite tells a path or SQLite URL from the address of a server.
func isSQLite(dsn string) bool {
	dsn = strings.TrimSpace(dsn)
	if scheme, _, found := strings.Cut(dsn, "://"); found {
		return strings.EqualFold(scheme, "sqlite")
	}
	server := strings.Contains(dsn, "@tcp(") || strings.Contains(dsn, "@unix(") || // the MySQL driver's form
		strings.HasPrefix(dsn, "host=") || strings.Contains(dsn, " host=") || strings.Contains(dsn, "dbname=") // libpq's
	return !server
}
