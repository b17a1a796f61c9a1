package fleet_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
)

// startPatience is how long a node that must not start may take to say so.
const startPatience = 20 * time.Second

// wrongSecret stands in every setting that is wrong. No log may have it.
const wrongSecret = "hunter2-is-a-wrong-secret"

// refused starts a node that must not start, and looks at what it prints: one error that names the setting.
func refused(t *testing.T, want string, env ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startPatience)
	defer cancel()
	n, err := testenv.StartNode(ctx, binary, t.TempDir(), append([]string{"LOG_LEVEL=info"}, env...)...)
	logs := n.Logs()
	if err == nil {
		t.Errorf("it starts: %s", logs)
	} else if code := n.ExitState(); code != "exit status 1" && code != "exit status 2" {
		t.Errorf("it ends by %q, not by itself", code)
	}
	if !strings.Contains(logs, want) {
		t.Errorf("it does not say %q:\n%s", want, logs)
	}
	if strings.Contains(logs, wrongSecret) {
		t.Errorf("it tells a secret:\n%s", logs)
	}
}

// TestBadStart: what is wrong with the stores of a node is said at its start, by the name of the setting, and harms nothing.
func TestBadStart(t *testing.T) {
	postgres := testenv.Postgres(t)
	password := rand.Text()
	redis := testenv.NewRedis(t, testenv.RedisOptions{Password: password})
	replica := testenv.NewRedis(t, testenv.RedisOptions{Password: password, ReplicaOf: redis})
	// A fleet is there, and goes on after everything that follows.
	dsn, key := "DATABASE_DSN="+postgres.NewDatabase(t), "ENCRYPTION_KEY="+rand.Text()
	fleet := []string{dsn, key, "REDIS_DSN=" + redis.DSN()}
	good, err := testenv.StartNode(context.WithoutCancel(t.Context()), binary, t.TempDir(), fleet...)
	must(t, err)
	t.Cleanup(func() { must(t, good.Stop()) })
	group, err := good.Client().CreateGroup(t.Context(), adminapi.GroupInput{
		Name: "fleet", Channel: adminapi.ChannelOpenAI, Upstreams: []adminapi.Upstream{{URL: "http://127.0.0.1:1", Weight: 1}},
	})
	must(t, err)
	_, err = good.Client().AddKeys(t.Context(), group.ID, adminapi.KeyInput{Keys: []string{providerKey(1)}})
	must(t, err)

	newer := postgres.NewDatabase(t)
	other, err := testenv.StartNode(t.Context(), binary, t.TempDir(), "DATABASE_DSN="+newer)
	must(t, err)
	must(t, other.Stop())
	_, err = postgres.SQL(t.Context(), newer[strings.LastIndex(newer, "/")+1:strings.Index(newer, "?")],
		`INSERT INTO schema_migrations (version, name, applied_at) VALUES (9999, '9999_future', 0);`)
	must(t, err)

	wrong := func(dsn, password string) string {
		return strings.Replace(dsn, ":"+password+"@", ":"+wrongSecret+"@", 1)
	}
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"a database of no known kind":  {[]string{"DATABASE_DSN=oracle://u:" + wrongSecret + "@h/db"}, "DATABASE_DSN"},
		"a wrong database password":    {[]string{wrong(dsn, postgres.Password)}, "the user or the password of DATABASE_DSN"},
		"no such database":             {[]string{"DATABASE_DSN=" + postgres.DSN("nowhere")}, "the database that DATABASE_DSN names does not exist"},
		"a newer database":             {[]string{"DATABASE_DSN=" + newer}, "newer"},
		"no Redis URL":                 {append(fleet, "REDIS_DSN=memcached://"+wrongSecret+"@h"), "REDIS_DSN"},
		"a wrong Redis password":       {append(fleet, "REDIS_DSN="+wrong(redis.DSN(), password)), "the user name or password of REDIS_DSN"},
		"a read-only Redis":            {append(fleet, "REDIS_DSN="+replica.DSN()), "the Redis of REDIS_DSN is a read-only replica"},
		"another encryption key":       {append(fleet, "ENCRYPTION_KEY="+wrongSecret), "ENCRYPTION_KEY"},
		"no encryption key":            {append(fleet, "ENCRYPTION_KEY="), "ENCRYPTION_KEY"},
		"no auth key":                  {append(fleet, "AUTH_KEY="), "AUTH_KEY"},
		"a follower without Redis":     {append(fleet, "IS_SLAVE=true", "REDIS_DSN="), "a follower needs REDIS_DSN"},
		"a follower with SQLite":       {append(fleet, "IS_SLAVE=true", "DATABASE_DSN=gpt-load.db"), "DATABASE_DSN is a SQLite file"},
		"a prefix that cannot be used": {append(fleet, "REDIS_KEY_PREFIX=a b"), "REDIS_KEY_PREFIX"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, c.want, c.env...)
		})
	}
	exported, err := good.Client().Group(t.Context(), group.ID, false)
	if err != nil || exported.KeyCounts.Active != 1 {
		t.Errorf("afterwards the fleet has %+v, %v", exported.KeyCounts, err)
	}
	must(t, good.Restart(t.Context()))
}

// TestTwoFleetsOnOneRedis have nothing to do with each other: each has its own leader, changes and records.
func TestTwoFleetsOnOneRedis(t *testing.T) {
	postgres, redis := testenv.Postgres(t), testenv.NewRedis(t, testenv.RedisOptions{})
	var nodes []*testenv.Node
	for _, prefix := range []string{"blue", "green"} {
		n, err := testenv.StartNode(context.WithoutCancel(t.Context()), binary, t.TempDir(),
			"DATABASE_DSN="+postgres.NewDatabase(t), "REDIS_DSN="+redis.DSN(), "REDIS_KEY_PREFIX="+prefix)
		must(t, err)
		t.Cleanup(func() { must(t, n.Stop()) })
		nodes = append(nodes, n)
	}
	for i, n := range nodes {
		await(t, takeoverLimit, "each fleet has a leader of its own", func(ctx context.Context) error {
			fleet, err := n.Client().Nodes(ctx)
			if err == nil && (len(fleet.Nodes) != 1 || !fleet.Nodes[0].Self || fleet.Nodes[0].Role != "leader") {
				err = fmt.Errorf("fleet %d: %+v", i+1, fleet.Nodes)
			}
			return err
		})
	}
}
