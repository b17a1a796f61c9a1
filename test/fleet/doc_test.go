// Package fleet_test does harm to a fleet of real processes with real servers, under load, and looks at what its clients, its
// operator and its database see. Each drill prints its figures.
//
// Latencies and the time to agree again are measured. `./task drills` holds them to their limits and wants a machine that does
// nothing else; in `./task test`, which runs wherever somebody changes the code, a limit is ten times as high, so that a
// neighbour's work does not look like a defect and a node that hangs still does.
package fleet_test
