package main

import (
	"reflect"
	"testing"
)

func TestParseCommandStats(t *testing.T) {
	got, err := parseCommandStats("# Commandstats\r\ncmdstat_xadd:calls=21,usec=1,usec_per_call=0.05\r\n" +
		"cmdstat_config|get:calls=3,usec=9\r\ncmdstat_info:calls=9,usec=1\r\ncmdstat_auth:calls=9,usec=1\r\n")
	if want := (tally{"xadd": 21, "config|get": 3}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if _, err := parseCommandStats("cmdstat_xadd:calls=many,usec=1"); err == nil {
		t.Error("a count that is none was read")
	}
}

func TestParseStatements(t *testing.T) {
	got, err := parseStatements("3|begin\n2|SELECT a || b FROM t\n4|begin")
	if want := (tally{"begin": 7, "SELECT a || b FROM t": 2}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	if _, err := parseStatements("SELECT 1"); err == nil {
		t.Error("a line without a count was read")
	}
}

func TestRecordStatement(t *testing.T) {
	for statement, want := range map[string]string{
		"begin": "begin",
		`UPDATE "record_sources" AS "source_row" SET position = $1`:            "UPDATE record_sources",
		"INSERT INTO request_records (id) SELECT * FROM unnest($1::bytea[])":   "INSERT request_records",
		`SELECT "revision_row"."name" FROM "revisions"`:                        "",
		`SELECT "settings"."request_records_of_somebody_else" FROM "settings"`: "",
	} {
		if got := recordStatement(statement); got != want {
			t.Errorf("%s: %q, want %q", statement, got, want)
		}
	}
}

// TestBalance: time and batches are taken away, and what is left shows.
func TestBalance(t *testing.T) {
	idle := []tally{{"get": 40, "xread": 30}, {"get": 44, "xread": 30}}
	busy := tally{"get": 43, "xread": 35, "xadd": 5, "hgetall": 10_000}
	got := balance(busy, idle, recordCommand)
	want := balanced{
		idle: 72, quietest: 70, busiest: 74, busy: 10_083, batches: 10, rest: 10_001,
		batchKinds: []string{"xadd 5", "xread 5"}, newKinds: []string{"hgetall 10000"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestSince(t *testing.T) {
	now := tally{"get": 5, "set": 2, "xadd": 1}
	if got := now.since(tally{"get": 3, "set": 2}); !reflect.DeepEqual(got, tally{"get": 2, "xadd": 1}) || got.total() != 3 {
		t.Errorf("%v", got)
	}
}
