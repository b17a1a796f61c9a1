package rediscluster

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/testenv"
)

func TestDSN(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]struct {
		addresses      string
		user, password string
		database       int
		masterSet      string
		tls            bool
	}{
		"redis://localhost":                      {addresses: "localhost:6379"},
		"redis://localhost/":                     {addresses: "localhost:6379"},
		"redis://10.0.0.1:7000/3":                {addresses: "10.0.0.1:7000", database: 3},
		"redis://10.0.0.1:7000?db=3":             {addresses: "10.0.0.1:7000", database: 3},
		"redis://[::1]:7000":                     {addresses: "[::1]:7000"},
		"redis://[::1]":                          {addresses: "[::1]:6379"},
		"redis://:p%40ss@h":                      {addresses: "h:6379", password: "p@ss"},
		"redis://ann:pass@h":                     {addresses: "h:6379", user: "ann", password: "pass"},
		"rediss://h":                             {addresses: "h:6379", tls: true},
		"rediss://h?skip_verify=true":            {addresses: "h:6379", tls: true},
		"redis://a:1?addr=b:2&addr=c":            {addresses: "a:1 b:2 c:6379"},
		"redis://a:1/2?addr=b:2&master_set=main": {addresses: "a:1 b:2", database: 2, masterSet: "main"},
		"redis://a?master_set=m&sentinel_password=x&sentinel_username=y": {addresses: "a:6379", masterSet: "m"},
		"unix:///run/redis.sock":            {addresses: "/run/redis.sock"},
		"unix://:pass@/run/redis.sock?db=1": {addresses: "/run/redis.sock", password: "pass", database: 1},
	} {
		t.Run(dsn, func(t *testing.T) {
			t.Parallel()
			o, err := parseDSN(secret.New(dsn))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(o.InitAddress, " "); got != want.addresses || o.Username != want.user || o.Password != want.password ||
				o.SelectDB != want.database || o.Sentinel.MasterSet != want.masterSet || (o.TLSConfig != nil) != want.tls {
				t.Errorf("got %s, user %q, password %q, database %d, master set %q, TLS %t",
					got, o.Username, o.Password, o.SelectDB, o.Sentinel.MasterSet, o.TLSConfig != nil)
			}
		})
	}
}

// TestWrongDSN is refused with the accepted forms and without a word of it.
func TestWrongDSN(t *testing.T) {
	t.Parallel()
	missing, empty := filepath.Join(t.TempDir(), "none.pem"), filepath.Join(t.TempDir(), "empty.pem")
	must(t, os.WriteFile(empty, nil, 0o600))
	for _, dsn := range []string{
		"", "localhost:6379", "hunter2", "http://hunter2@h", "redis://", "redis://:hunter2@", "redis://:hunter2@h:port", "redis://:hunter2@h:70000",
		"redis://:hunter2@h/x", "redis://:hunter2@h/1/2", "redis://:hunter2@h/-1", "redis://:hunter2@h/1?db=2", "redis://hunter2@h", "redis://:hunter2@h#x",
		"redis://:hun#ter2@h", "redis://:hun%zzter2@h", "redis://:hunter2@h?hunter2=1", "redis://:hunter2@h?db=hunter2", "redis://:hunter2@h?db=1&db=2",
		"redis://:hunter2@h,i:6379", "redis://:hunter2@h/1?addr=i", "redis://:hunter2@h?addr=", "redis://:hunter2@h?addr=a,b", "redis://:hunter2@h?master_set=",
		"redis://:hunter2@h?sentinel_password=x", "redis://:hunter2@h?skip_verify=1", "rediss://:hunter2@h?skip_verify=hunter2", "redis://:hunter2@h?%zz",
		"unix://", "unix://:hunter2@", "unix://host/path", "unix:///path?addr=h", "redis:hunter2",
	} {
		_, err := Open(Options{DSN: secret.New(dsn), Node: "n"})
		if fleet.CodeOf(err) != fleet.CodeInvalid {
			t.Errorf("%q: %v", dsn, err)
			continue
		}
		text := err.Error()
		if !strings.HasPrefix(text, "REDIS_DSN ") || !strings.Contains(text, "rediss://") || strings.Contains(text, "hunter2") || strings.Contains(text, "ter2") {
			t.Errorf("%q: %s", dsn, text)
		}
	}
	for _, parameter := range []string{"ca_file=" + missing, "ca_file=" + empty, "cert_file=" + missing, "key_file=" + missing} {
		_, err := Open(Options{DSN: secret.New("rediss://:hunter2@h?" + parameter), Node: "n"})
		if name, _, _ := strings.Cut(parameter, "="); fleet.CodeOf(err) != fleet.CodeInvalid || !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", parameter, err)
		}
	}
	for _, prefix := range []string{"a b", "{a}", "ä", strings.Repeat("a", longestPrefix+1)} {
		if _, err := Open(Options{DSN: secret.New("redis://h"), Prefix: prefix, Node: "n"}); fleet.CodeOf(err) != fleet.CodeInvalid || !strings.Contains(err.Error(), "REDIS_KEY_PREFIX") {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
}

func FuzzDSN(f *testing.F) {
	for _, seed := range []string{"redis://u:p@h:1/2?addr=x&master_set=y", "rediss://h?skip_verify=true", "unix:///p?db=1", "redis://[::1]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		o, err := parseDSN(secret.New(dsn))
		if err == nil && (len(o.InitAddress) == 0 || slices.Contains(o.InitAddress, "")) {
			t.Errorf("%q has the addresses %q", dsn, o.InitAddress)
		}
	})
}

// TestCheck says what is wrong with a Redis that is there, and which setting mends it.
func TestCheck(t *testing.T) {
	t.Parallel()
	type settings struct {
		options testenv.RedisOptions
		dsn     func(s *testenv.RedisServer) string // nil: the server's own
		code    fleet.Code                          // empty: all is well
		says    string
	}
	at := func(prefix string) func(s *testenv.RedisServer) string {
		return func(s *testenv.RedisServer) string { return prefix + s.Address() }
	}
	withAuthority := func(s *testenv.RedisServer) string { return s.DSN() + "?ca_file=" + s.Certificate.AuthorityFile }
	limited := func(rights string) testenv.RedisOptions {
		return testenv.RedisOptions{Conf: []string{"user ann on >pass " + rights}}
	}
	for name, test := range map[string]settings{
		"plain":             {},
		"password":          {options: testenv.RedisOptions{Password: "secret!"}},
		"user":              {options: testenv.RedisOptions{User: "ann", Password: "secret!"}},
		"rights":            {options: limited("~{test-*}:* &{test-*}:* +@all"), dsn: at("redis://ann:pass@")},
		"tls":               {options: testenv.RedisOptions{TLS: true, Password: "secret!"}, dsn: withAuthority},
		"tls-unverified":    {options: testenv.RedisOptions{TLS: true}, dsn: func(s *testenv.RedisServer) string { return s.DSN() + "?skip_verify=true" }},
		"tls-untrusted":     {options: testenv.RedisOptions{TLS: true}, code: fleet.CodeInvalid, says: "ca_file"},
		"tls-not-spoken":    {dsn: at("rediss://"), code: fleet.CodeUnavailable, says: "write redis://"},
		"tls-wanted":        {options: testenv.RedisOptions{TLS: true}, dsn: at("redis://"), code: fleet.CodeUnavailable, says: "write rediss://"},
		"no-password":       {options: testenv.RedisOptions{Password: "secret!"}, dsn: at("redis://"), code: fleet.CodeInvalid, says: "wants a password"},
		"wrong-password":    {options: testenv.RedisOptions{Password: "secret!"}, dsn: at("redis://:hunter2@"), code: fleet.CodeInvalid, says: "refuses the user name or password"},
		"wrong-user":        {dsn: at("redis://bob:hunter2@"), code: fleet.CodeInvalid, says: "refuses the user name or password"},
		"needless-password": {dsn: at("redis://:hunter2@")},
		"no-right-to-keys":  {options: limited("~other:* &* +@all"), dsn: at("redis://ann:pass@"), code: fleet.CodeInvalid, says: "REDIS_KEY_PREFIX"},
		"no-scripts":        {options: limited("~* &* +@all -@scripting"), dsn: at("redis://ann:pass@"), code: fleet.CodeInvalid, says: "all commands"},
		"no-such-database":  {dsn: func(s *testenv.RedisServer) string { return "redis://" + s.Address() + "/99" }, code: fleet.CodeInvalid, says: "database"},
		"no-cluster":        {dsn: func(s *testenv.RedisServer) string { return "redis://" + s.Address() + "?addr=" + s.Address() }, code: fleet.CodeInvalid, says: "names several servers"},
		"no-sentinel":       {dsn: func(s *testenv.RedisServer) string { return "redis://" + s.Address() + "?master_set=m" }, code: fleet.CodeInvalid, says: "is no Sentinel"},
		"full":              {options: testenv.RedisOptions{Conf: []string{"maxmemory 1"}}, code: fleet.CodeUnavailable, says: "maxmemory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testenv.NewRedis(t, test.options)
			dsn := server.DSN()
			if test.dsn != nil {
				dsn = test.dsn(server)
			}
			n := newNode(t, dsn)
			n.checks(t, test.code, test.says)
			if test.code == "" {
				listener := listenOn(t, n)
				await(t, "the subscription", listener.subscribed)
				n.checks(t, "", "")
			}
		})
	}
}

// checks fails unless Check answers with the code and words, and nothing in the log or the error is a secret.
func (n node) checks(t *testing.T, code fleet.Code, says string) {
	t.Helper()
	err := n.Check(t.Context())
	if code == "" {
		must(t, err)
		return
	}
	if fleet.CodeOf(err) != code || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v (%s), want %s with %q", err, fleet.CodeOf(err), code, says)
	}
	for _, e := range n.logs.All() {
		text := e.Message
		for _, value := range e.ContextMap() {
			if s, ok := value.(string); ok {
				text += " " + s
			}
		}
		for _, word := range []string{"hunter2", "secret!", "ann:", "@127"} {
			if strings.Contains(text, word) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%q is in %q or %q", word, text, err)
			}
		}
	}
	if len(n.logs.All()) != 1 {
		t.Errorf("the log: %q", n.messages())
	}
}

func TestCheckOfAReplica(t *testing.T) {
	t.Parallel()
	master := testenv.NewRedis(t, testenv.RedisOptions{})
	replica := testenv.NewRedis(t, testenv.RedisOptions{ReplicaOf: master})
	n := newNode(t, replica.DSN())
	n.checks(t, fleet.CodeInvalid, "read-only replica")
	redisDo(t, replica, "REPLICAOF", "NO", "ONE")
	n.checks(t, "", "")
	if n.linesWith("does again") != 1 {
		t.Errorf("the log: %q", n.messages())
	}
}

// TestCheckKnowsRightsOnChannels, which are not those on keys.
func TestCheckKnowsRightsOnChannels(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{Conf: []string{"user ann on >pass ~* resetchannels +@all"}})
	n := newNode(t, "redis://ann:pass@"+server.Address())
	n.checks(t, "", "")
	l := listenOn(t, n)
	eventually(t, "the refusal is known", func() bool { return n.Check(t.Context()) != nil })
	n.checks(t, fleet.CodeInvalid, "channels")
	redisDo(t, server, "ACL", "SETUSER", "ann", "allchannels")
	await(t, "the subscription", l.subscribed)
	n.checks(t, "", "")
}

func TestCheckOfARedisThatIsAway(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	link := testenv.NewTCPProxy(t, server.Address())
	for name, test := range map[string]struct {
		hurt, heal func() error
		says       string
	}{
		"refused": {func() error { link.Refuse(); return nil }, link.Heal, "cannot be reached"},
		"cut":     {func() error { link.Cut(); return nil }, link.Heal, "does not answer in time"},
		"frozen":  {server.Freeze, server.Thaw, "does not answer in time"},
	} {
		t.Run(name, func(t *testing.T) { // one after the other: they share the server
			must(t, test.hurt())
			early, late := newNode(t, server.DSNAt(link.Addr())), newNode(t, "redis://no-such-host.invalid")
			early.checks(t, fleet.CodeUnavailable, test.says)
			late.checks(t, fleet.CodeUnavailable, "not found")
			must(t, test.heal())
			eventually(t, "it works", func() bool { return early.Check(t.Context()) == nil })
			if early.linesWith("Redis answers again") != 1 {
				t.Errorf("the log: %q", early.messages())
			}
		})
	}
}
