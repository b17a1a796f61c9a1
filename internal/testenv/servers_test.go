package testenv_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"gpt-load/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(testenv.WithServers(m)) }

func TestShared(t *testing.T) {
	begin := time.Now()
	pg := testenv.Postgres(t)
	t.Log("pg", time.Since(begin))
	begin = time.Now()
	t.Log(pg.NewDatabase(t), time.Since(begin))
	t.Log(pg.SQL(t.Context(), "postgres", "select version(); show timezone; select now(); select 'a' < 'B';"))
	begin = time.Now()
	my := testenv.MariaDB(t)
	t.Log("mariadb", time.Since(begin))
	begin = time.Now()
	t.Log(my.NewDatabase(t), time.Since(begin))
	t.Log(my.SQL(t.Context(), "", "select version(); select now(); select @@collation_server, @@sql_mode;"))
	begin = time.Now()
	r := testenv.Redis(t)
	t.Log("redis", time.Since(begin), r.DSN())
	begin = time.Now()
	r = testenv.NewRedis(t, testenv.RedisOptions{User: "u", Password: "p", TLS: true})
	t.Log("redis", time.Since(begin), r.DSN())
	t.Log(r.Do(t.Context(), "SET", "a", "b"))
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Log(r.Do(t.Context(), "GET", "a"))
}
