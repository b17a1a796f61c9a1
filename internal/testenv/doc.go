// Package testenv runs the real gpt-load binary, and private servers of PostgreSQL, MariaDB, Redis and nginx, for tests,
// benchmarks and drills. Each is a process of its own on a free port of 127.0.0.1 and dies with the process that started
// it, whether that runs as root or not. The product never imports this package.
//
// The Start functions are for programs; the functions that take a testing.TB are for tests. The servers come from Debian's
// packages, which .ci/needs installs. They differ from what a developer's machine usually has where that is hard on an
// application: odd time zones, language-aware sorting in PostgreSQL, latin1 and case-blind names in MariaDB.
package testenv
