package fleet_test

import (
	"testing"
	"time"

	"gpt-load/internal/testenv"
)

// TestDatabaseFrozen stops PostgreSQL where it is: connections stay open and nothing answers.
func TestDatabaseFrozen(t *testing.T) {
	d := startDrill(t)
	d.loseKey(0)
	must(t, d.store.Freeze())
	pause(t, 15*time.Second)
	must(t, d.store.Thaw())
	d.recovered()
	d.finish()
}

// TestDatabaseKilled ends PostgreSQL for a minute.
func TestDatabaseKilled(t *testing.T) {
	d := startDrill(t)
	d.loseKey(0)
	must(t, d.store.Kill())
	pause(t, time.Minute)
	must(t, d.store.Restart(t.Context()))
	d.recovered()
	d.finish()
}

// TestMariaDBKilled does the same to a fleet on MariaDB, for a shorter time.
func TestMariaDBKilled(t *testing.T) {
	d := startDrillOn(t, newWorldOf(t, testenv.NewMariaDB(t), binary, func(int) []string { return nil }))
	d.loseKey(0)
	must(t, d.store.Kill())
	pause(t, 10*time.Second)
	must(t, d.store.Restart(t.Context()))
	d.recovered()
	d.finish()
}
