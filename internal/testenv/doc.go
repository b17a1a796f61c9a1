// Package testenv runs the real gpt-load binary for tests and benchmarks, as a process of its own on a free loopback
// port with a data folder of its own. The product never imports it.
package testenv
