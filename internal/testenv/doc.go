// Package testenv runs what tests, benchmarks and drills need as processes of their own on free ports of 127.0.0.1: the real
// gpt-load binary, and private servers of PostgreSQL, MariaDB and Redis. All of them die with the process that started
// them, whether it runs as root or not. The product never imports it.
//
// The Start functions are for programs; the functions that take a testing.TB are for tests. The servers come from Debian's
// packages, which .ci/needs installs.
package testenv
