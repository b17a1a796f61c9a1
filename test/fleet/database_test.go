package fleet_test

import (
	"testing"
	"time"
)

// TestDatabaseFrozen stops PostgreSQL where it is: connections stay open and nothing answers.
func TestDatabaseFrozen(t *testing.T) {
	d := startDrill(t)
	d.loseKey(0)
	must(t, d.postgres.Freeze())
	pause(t, 15*time.Second)
	must(t, d.postgres.Thaw())
	d.recovered()
	d.finish()
}

// TestDatabaseKilled ends PostgreSQL for a minute.
func TestDatabaseKilled(t *testing.T) {
	d := startDrill(t)
	d.loseKey(0)
	must(t, d.postgres.Kill())
	pause(t, time.Minute)
	must(t, d.postgres.Restart(t.Context()))
	d.recovered()
	d.finish()
}
