// Package keypool chooses provider keys and keeps their state.
package keypool
