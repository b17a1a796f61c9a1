package adminapi

// The levels that a value can come from.
const (
	LevelDefault = "default"
	LevelSystem  = "system"
	LevelGroup   = "group"
)

// Setting is one line of the settings table with the value that holds.
type Setting struct {
	Name          string `json:"name"`
	Section       string `json:"section" doc:"Where it is shown: basic, requests, connections, keys or streams."`
	Kind          string `json:"kind" enum:"integer,boolean,string"`
	Unit          string `json:"unit,omitempty" doc:"Of an integer: seconds, minutes or days."`
	Default       any    `json:"default"`
	Min           *int64 `json:"min,omitempty" doc:"Of an integer, inclusive."`
	Max           *int64 `json:"max,omitempty" doc:"Of an integer, inclusive."`
	GroupOverride bool   `json:"group_override" doc:"A group may override it."`
	Secret        bool   `json:"secret" doc:"Masked unless reveal=true."`
	Doc           string `json:"doc"`
	Value         any    `json:"value"`
	Level         string `json:"level" doc:"Where the value comes from." enum:"default,system,group"`
	Inherited     any    `json:"inherited,omitempty" doc:"For a group's override: the value that would hold without it."`
	// InheritedLevel is set where Level is group, also when the inherited value is empty.
	InheritedLevel string `json:"inherited_level,omitempty" doc:"For a group's override: where that value comes from." enum:"default,system"`
}

// SettingList is the whole table.
type SettingList struct {
	Settings []Setting `json:"settings"`
	Revision int64     `json:"revision" doc:"Revision of the whole configuration."`
	// SettingsRevision stands still while only groups change.
	SettingsRevision int64 `json:"settings_revision" doc:"Revision of the last change of a setting, also the ETag; send it as If-Match to change only what you saw."`
}

// SettingsPatch maps names of settings to new values; null goes back to the default.
type SettingsPatch map[string]any
