// Package terminal is what a command shows to people and asks of them: tables that fit the window, a progress bar,
// questions. Where a stream is not a terminal nothing is coloured, cut, drawn or asked.
//
// Everything that others wrote, such as the error text of a provider, passes Clean before it is shown: a terminal would
// obey the control sequences in it.
package terminal
