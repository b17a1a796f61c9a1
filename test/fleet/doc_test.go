// Package fleet_test does harm to a fleet of real processes with real servers, under load, and looks at what its clients, its
// operator and its database see. Each drill prints its figures.
//
// Latencies are measured, so nothing else should run on the machine beside these tests; `./task test` runs them by themselves.
package fleet_test
