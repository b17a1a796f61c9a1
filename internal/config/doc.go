// Package config reads what a process needs to know before it can serve: addresses, secrets, storage, limits
// and logs. What may change while it runs is in package settings.
//
// One table names every entry with its default, bounds and documentation; parsing, `.env.example`, the example
// YAML file and the tables of the README all come from it. The environment goes before the `.env` file of the
// working directory, that before the YAML file, that before the default. An empty value counts as not set.
package config
