// Package upstream connects to provider addresses and chooses among them.
package upstream
