// Package settings is the one table of every dynamic setting: name, type, unit, default, bounds, whether a
// group may override it, and what it does. The admin API, the documents and the data plane all read this table;
// a setting exists by its line there and nowhere else.
//
// Values travel as canonical text (what is stored) and as Values (what is used). Three levels apply: the
// default, the system's value, the group's override.
package settings
