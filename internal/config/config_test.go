package config_test

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/config"
	"gpt-load/internal/secret"
)

// load reads a configuration from an environment given as NAME=value and files of a fresh folder.
func load(t *testing.T, files map[string]string, env ...string) (config.Config, error) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	values := make(map[string]string)
	for _, line := range env {
		name, text, _ := strings.Cut(line, "=")
		values[name] = strings.ReplaceAll(text, "$DIR", dir)
	}
	from := config.Sources{Dir: dir, LookupEnv: func(name string) (string, bool) { text, ok := values[name]; return text, ok }}
	if _, ok := files["gpt-load.yaml"]; ok {
		from.File = filepath.Join(dir, "gpt-load.yaml")
	}
	return config.Load(from)
}

func mustLoad(t *testing.T, files map[string]string, env ...string) config.Config {
	t.Helper()
	c, err := load(t, files, env...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	c := mustLoad(t, nil)
	if c.Addr() != "0.0.0.0:3001" || c.ReadTimeout != time.Minute || c.WriteTimeout != 10*time.Minute || c.IdleTimeout != 2*time.Minute ||
		c.GracefulShutdownTimeout != 10*time.Second || c.MaxConcurrentRequests != 100 || c.IsSlave || c.Location.String() != "Asia/Shanghai" {
		t.Errorf("server: %+v", c)
	}
	if c.DataDir != "./data" || c.DatabaseDSN.Reveal() != "./data/gpt-load.db" || !c.RedisDSN.IsEmpty() || !c.AuthKey.IsEmpty() || c.BlockPrivateUpstreams {
		t.Errorf("storage and access: %+v", c)
	}
	if got := fmt.Sprint(c.CORS); got != "{false [] [GET POST PUT DELETE OPTIONS] [*] false}" {
		t.Errorf("CORS: %s", got)
	}
	if got := fmt.Sprint(c.Log); got != "{info text false ./data/logs/app.log}" {
		t.Errorf("log: %s", got)
	}
	for i, s := range c.Settings() {
		if s.Source != "default" || s.Text != config.Table()[i].Default {
			t.Errorf("%s = %q from %s", s.Name, s.Text, s.Source)
		}
	}
}

func TestSourcesInOrder(t *testing.T) {
	files := map[string]string{
		".env":          "PORT=2\nHOST=127.0.0.2\nENCRYPTION_KEY='with $ and #'\nexport LOG_LEVEL=warn # as it was\nOTHER=1\n",
		"gpt-load.yaml": "PORT: 1\nhost: 127.0.0.1\nlog_level: debug\nallowed_methods: [GET, PUT]\nenable_cors: yes\nallowed_origins: https://a.example\nis_slave:\nserver_read_timeout: 7\n",
	}
	c := mustLoad(t, files, "PORT=3", "HOST=")
	if c.Port != 3 || c.Host != "127.0.0.2" || c.Log.Level != "warn" || c.ReadTimeout != 7*time.Second {
		t.Errorf("port %d, host %s, level %s, read timeout %v", c.Port, c.Host, c.Log.Level, c.ReadTimeout)
	}
	if c.EncryptionKey.Reveal() != "with $ and #" {
		t.Errorf("a quoted value changed: %s", c.EncryptionKey.Reveal())
	}
	if got := fmt.Sprint(c.CORS.AllowedMethods, c.CORS.Enabled); got != "[GET PUT] true" {
		t.Error(got)
	}
	sources := make(map[string]config.Setting)
	for _, s := range c.Settings() {
		sources[s.Name] = s
	}
	if sources["PORT"].Source != "environment" || sources["HOST"].Source != ".env" || !strings.HasSuffix(sources["ALLOWED_METHODS"].Source, "gpt-load.yaml") {
		t.Errorf("sources: %v", sources)
	}
	if sources["ENCRYPTION_KEY"].Text != secret.Redacted {
		t.Errorf("a secret is shown: %v", sources["ENCRYPTION_KEY"])
	}
}

func TestTheFileMayBeNamedByAVariable(t *testing.T) {
	c := mustLoad(t, map[string]string{"other.yaml": "port: 4000"}, "GPT_LOAD_CONFIG=$DIR/other.yaml")
	if c.Port != 4000 {
		t.Errorf("port %d", c.Port)
	}
	_, err := load(t, nil, "GPT_LOAD_CONFIG=$DIR/absent.yaml")
	if err == nil || !strings.Contains(err.Error(), "absent.yaml") {
		t.Errorf("a file that is named but absent: %v", err)
	}
}

func TestDataDirMovesWhatLiesInIt(t *testing.T) {
	c := mustLoad(t, nil, "DATA_DIR=/var/lib/gpt-load", "LOG_FILE_PATH=/var/log/gpt-load.log")
	if c.DatabaseDSN.Reveal() != "/var/lib/gpt-load/gpt-load.db" || c.Log.FilePath != "/var/log/gpt-load.log" {
		t.Errorf("database %s, log %s", c.DatabaseDSN.Reveal(), c.Log.FilePath)
	}
}

func TestSecretsFromFiles(t *testing.T) {
	c := mustLoad(t, map[string]string{"key": "from-a-file\n"}, "AUTH_KEY_FILE=$DIR/key")
	if c.AuthKey.Reveal() != "from-a-file" {
		t.Errorf("got %q", c.AuthKey.Reveal())
	}
	c = mustLoad(t, map[string]string{"key": " two words \r\n", ".env": "PORT=1"}, "ENCRYPTION_KEY_FILE= $DIR/key")
	same := mustLoad(t, nil, "ENCRYPTION_KEY= two words ")
	if c.EncryptionKey.Reveal() != " two words " || !c.EncryptionKey.Equal(same.EncryptionKey) {
		t.Errorf("got %q and %q", c.EncryptionKey.Reveal(), same.EncryptionKey.Reveal())
	}
}

func TestEveryFaultAtOnce(t *testing.T) {
	files := map[string]string{
		"gpt-load.yaml": "sever_read_timeout: 5\nserver_idle_timeout: 0\nencryption_key: 12345678\nhost: {a: 1}\n",
		".env":          "LOG_FORMAT=xml\nREDIS_DSN=redis://:canary-redis@h\nREDIS_KEY_PREFIX={a}\nHTTP_PROXY_FILE=/no/such/file\n",
		"key":           "canary-file\n",
	}
	_, err := load(t, files, "PORT=70000", "MAX_CONCURRENT_REQUESTS=0", "TZ=Mars/Olympus", "AUTH_KEY=canary, key", "AUTH_KEY_FILE=$DIR/key",
		"https_proxy=gopher://u:canary-proxy@h", "IS_SLAVE=true", "ENABLE_CORS=maybe", "TRUSTED_PROXIES=10.0.0.0/8,here", "LOG_LEVEL=loud",
		"ALLOWED_ORIGINS=https://a.example/", "ALLOWED_METHODS=GET,P T", "NO_PROXY=http://x", "HOST=example.com:80")
	if err == nil {
		t.Fatal("accepted")
	}
	for _, words := range []string{
		"sever_read_timeout: is not a known key", "the nearest known one is server_read_timeout",
		"SERVER_IDLE_TIMEOUT: must be a whole number from 1 to 86400 seconds, not \"0\"",
		"ENCRYPTION_KEY: must be text",
		"LOG_FORMAT: must be text or json, not \"xml\" (from .env)",
		"REDIS_KEY_PREFIX: must be 1 to 64 letters, digits, and any of . _ -, not \"{a}\"",
		"HTTP_PROXY_FILE: reading /no/such/file: no such file",
		"PORT: must be a whole number from 0 to 65535, not \"70000\" (from environment)",
		"MAX_CONCURRENT_REQUESTS: must be a whole number from 1 to 1000000",
		"TZ: must be a name of the IANA time zone database",
		"AUTH_KEY: is set (from environment), and so is AUTH_KEY_FILE",
		"AUTH_KEY: must not hold spaces",
		"HTTPS_PROXY: must have the scheme http, https or socks5",
		"IS_SLAVE: is true, but DATABASE_DSN is a SQLite file",
		"ENABLE_CORS: must be true or false",
		"TRUSTED_PROXIES: must list addresses and CIDR ranges",
		"LOG_LEVEL: must be debug, info, warn or error",
		"ALLOWED_ORIGINS: must list origins",
		"ALLOWED_METHODS: holds \"P T\"",
		"NO_PROXY: must list hosts",
		"HOST: must be",
	} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("missing: %s", words)
		}
	}
	if strings.Contains(err.Error(), "canary") {
		t.Error("a secret stands in the error")
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestRulesOverSeveralEntries(t *testing.T) {
	for _, c := range []struct {
		name string
		env  []string
		says string // empty: accepted
	}{
		{"follower without Redis", []string{"IS_SLAVE=true", "DATABASE_DSN=postgres://h/db"}, "IS_SLAVE: is true, but a follower needs REDIS_DSN"},
		{"follower on MySQL without Redis", []string{"IS_SLAVE=true", "DATABASE_DSN=u:p@tcp(h:3306)/db"}, "a follower needs REDIS_DSN"},
		{"follower on SQLite", []string{"IS_SLAVE=true", "REDIS_DSN=redis://h"}, "is a SQLite file, which nodes cannot share"},
		{"follower on SQLite by URL", []string{"IS_SLAVE=true", "REDIS_DSN=redis://h", "DATABASE_DSN=sqlite://x.db"}, "is a SQLite file, which nodes cannot share"},
		{"a fleet without AUTH_KEY", []string{"REDIS_DSN=redis://h", "DATABASE_DSN=host=h dbname=d"}, "AUTH_KEY: is empty, but REDIS_DSN is set"},
		{"a fleet", []string{"REDIS_DSN=redis://h", "DATABASE_DSN=postgres://u:p@h/d", "AUTH_KEY=sk-1"}, ""},
		{"a follower", []string{"IS_SLAVE=true", "REDIS_DSN=redis://h", "DATABASE_DSN=host=h dbname=d", "AUTH_KEY=sk-1"}, ""},
		{"CORS without origins", []string{"ENABLE_CORS=true"}, "ALLOWED_ORIGINS: is empty"},
		{"CORS for everybody with cookies", []string{"ENABLE_CORS=true", "ALLOWED_ORIGINS=*", "ALLOW_CREDENTIALS=true"}, "ALLOW_CREDENTIALS: is true while"},
		{"CORS for one origin with cookies", []string{"ENABLE_CORS=1", "ALLOWED_ORIGINS=http://localhost:5173", "ALLOW_CREDENTIALS=on"}, ""},
		{"origins of two kinds", []string{"ALLOWED_ORIGINS=*,https://a.example"}, "must be * alone"},
		{"headers of two kinds", []string{"ALLOWED_HEADERS=*,X-A"}, "must be * alone"},
		{"a free port on an IPv6 address", []string{"PORT=0", "HOST=[::1]", "TZ=:UTC"}, ""},
	} {
		_, err := load(t, nil, c.env...)
		if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v, want words %q", c.name, err, c.says)
		}
	}
}

func TestDSNsOfUnknownKinds(t *testing.T) {
	_, err := load(t, nil, "DATABASE_DSN=oracle://u:canary@h/d", "REDIS_DSN=http://:canary@h", "AUTH_KEY=sk-1", "PORT=70000")
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Fatal(err)
	}
	for _, words := range []string{"DATABASE_DSN: names a kind of database that is not known; it must be a path", "REDIS_DSN: must be a URL: redis://", "PORT: "} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("missing: %s in %v", words, err)
		}
	}
	for _, dsn := range []string{"a b://c.db", "./a://b.db", "host=h password=x://y dbname=d", "SQLITE://x.db"} {
		mustLoad(t, nil, "DATABASE_DSN="+dsn)
	}
}

func TestBrokenFilesQuoteNothing(t *testing.T) {
	for _, c := range []struct{ name, file, content, says string }{
		{"text instead of YAML", "gpt-load.yaml", "canary-canary", "is not valid YAML"},
		{"an unknown anchor", "gpt-load.yaml", "port: 1\nauth_key: *canary", "is not valid YAML"},
		{"a key twice", "gpt-load.yaml", "port: 1\nauth_key: canary1\nauth_key: canary2", "names a key twice"},
		{"a sequence", "gpt-load.yaml", "auth_key: [canary]", "must be one value"},
		{"numbers in a sequence", "gpt-load.yaml", "allowed_methods: [1]", "must be a sequence of texts"},
		{"a number for a flag", "gpt-load.yaml", "enable_cors: 3", "ENABLE_CORS: must be true or false"},
		{"no assignment", ".env", "canary-canary", ".env: a line is not of the form NAME=value"},
		{"an open quotation", ".env", "AUTH_KEY=\"canary", ".env: a line is not of the form"},
		{"a value that # would cut", ".env", "AUTH_KEY=canary#canary", "AUTH_KEY: holds # or $"},
		{"a value that # would empty", ".env", "AUTH_KEY=#canary", "AUTH_KEY: holds # or $"},
		{"a value with a variable", ".env", "AUTH_KEY=\"canary$canary\"", "AUTH_KEY: holds # or $"},
	} {
		_, err := load(t, map[string]string{c.file: c.content})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want words %q", c.name, err, c.says)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error quotes the value: %v", c.name, err)
		}
	}
}

func TestSecretFileRefusals(t *testing.T) {
	for name, content := range map[string]string{"empty": "\n", "huge": strings.Repeat("x", 65<<10)} {
		_, err := load(t, map[string]string{"key": content}, "AUTH_KEY_FILE=$DIR/key")
		if err == nil || !strings.Contains(err.Error(), "AUTH_KEY_FILE: reading ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := load(t, nil, "AUTH_KEY_FILE=$DIR"); err == nil || !strings.Contains(err.Error(), "directory") {
		t.Errorf("a directory: %v", err)
	}
}

func TestNothingPrintsASecret(t *testing.T) {
	c := mustLoad(t, nil, "AUTH_KEY=canary-auth", "ENCRYPTION_KEY=canary-encryption", "DATABASE_DSN=canary-dsn.db", "http_proxy=http://u:canary-proxy@h:1")
	if printed := fmt.Sprintf("%+v %#v %v", c, c, c.Settings()); strings.Contains(printed, "canary") {
		t.Error(printed)
	}
	if got := len(c.Secrets()); got != 3 {
		t.Errorf("%d secrets, want the two keys and the proxy URL", got)
	}
}

func TestPasswordsOfDSNsAreSecrets(t *testing.T) {
	for dsn, password := range map[string]string{
		"postgres://u:canary@h:5432/db?sslmode=require":      "canary",
		"host=h user=u password='canary' dbname=db":          "canary",
		"mysql://u:can%40ary@h/db":                           "can@ary",
		"u:can@ary:x@tcp(h:3306)/db?tls=true":                "can@ary:x",
		"u@unix(/run/mysqld.sock)/db":                        "",
		"./data/a:b@c.db":                                    "",
		"rediss://default:canary@h:6380/0":                   "canary",
		"redis://:canary@h:26379/0?master_set=m&addr=h2:263": "canary",
	} {
		env, want := []string{"DATABASE_DSN=" + dsn}, []string{}
		if strings.HasPrefix(dsn, "redis") {
			env, want = []string{"REDIS_DSN=" + dsn, "AUTH_KEY=sk-1"}, []string{"sk-1", dsn}
		}
		if password != "" {
			want = append(want, password)
		}
		got := []string{}
		for _, s := range mustLoad(t, nil, env...).Secrets() {
			got = append(got, s.Reveal())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q", dsn, got)
		}
	}
}

func TestEnvProxy(t *testing.T) {
	c := mustLoad(t, nil, "HTTP_PROXY=http://upper:1", "http_proxy=proxy.example:3128", "HTTPS_PROXY=socks5://user:pass@socks.example:1080",
		"no_proxy=.internal.example, 10.0.0.0/8,exact.example:8443")
	for target, want := range map[string]string{
		"http://api.example/v1":         "http://proxy.example:3128",
		"https://api.example/v1":        "socks5://user:pass@socks.example:1080",
		"https://a.internal.example/":   "",
		"http://10.1.2.3:8080/":         "",
		"https://exact.example:8443/":   "",
		"https://exact.example/":        "socks5://user:pass@socks.example:1080",
		"http://127.0.0.1:9/":           "",
		"https://notinternal.example/x": "socks5://user:pass@socks.example:1080",
	} {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.EnvProxy(u)
		if err != nil || (got == nil) != (want == "") || got != nil && got.String() != want {
			t.Errorf("%s: %v, %v, want %q", target, got, err, want)
		}
	}
	direct := mustLoad(t, nil)
	if got, err := direct.EnvProxy(&url.URL{Scheme: "https", Host: "api.example"}); got != nil || err != nil {
		t.Errorf("without variables: %v, %v", got, err)
	}
}

func TestTrustedProxies(t *testing.T) {
	c := mustLoad(t, nil, "TRUSTED_PROXIES=10.1.2.3/8, ::1,192.0.2.1,::ffff:10.0.0.0/104,fd00::/8")
	if got := fmt.Sprint(c.TrustedProxies); got != "[10.0.0.0/8 ::1/128 192.0.2.1/32 10.0.0.0/8 fd00::/8]" {
		t.Error(got)
	}
}

func TestLoadOnlyLooksAtNothingElse(t *testing.T) {
	env := map[string]string{"HOST": "10.0.0.1", "PORT": "4000", "AUTH_KEY": "sk-of-the-admin-1234", "LOG_LEVEL": "loud", "IS_SLAVE": "true"}
	sources := config.Sources{Dir: t.TempDir(), LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
	c, err := config.LoadOnly(sources, "HOST", "PORT", "AUTH_KEY")
	if err != nil || c.Addr() != "10.0.0.1:4000" || c.AuthKey.IsEmpty() || c.IsSlave || len(c.Settings()) != 3 {
		t.Errorf("got %+v, %v", c, err)
	}
	env["PORT"] = "none"
	if _, err := config.LoadOnly(sources, "PORT"); err == nil || !strings.Contains(err.Error(), "PORT") {
		t.Errorf("a wrong port: %v", err)
	}
}
