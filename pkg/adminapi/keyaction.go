package adminapi

// The actions on keys. A test changes what it finds out; see POST /groups/{id}/keys/test.
const (
	ActionDisable        = "disable"
	ActionEnable         = "enable"
	ActionRestore        = "restore"
	ActionDelete         = "delete"
	ActionResetCooldowns = "reset-cooldowns"
	ActionSet            = "set"
	ActionTest           = "test"
)

// KeySelection names the keys to act on, in one way: ids, a filter (state is short for a filter of nothing else) or all.
type KeySelection struct {
	IDs    []string   `json:"ids,omitempty" doc:"At most 10000 ids; those of other groups are passed over."`
	State  string     `json:"state,omitempty" doc:"All keys of the group in these states: see KeyFilter."`
	Filter *KeyFilter `json:"filter,omitempty" doc:"All keys of the group that fit, and at least one thing to fit."`
	All    bool       `json:"all,omitempty" doc:"Every key of the group."`
	DryRun bool       `json:"dry_run,omitempty" doc:"Change nothing: only say how many keys it is about, and show the first few."`
}

// CooldownReset is the body of the action reset-cooldowns.
type CooldownReset struct {
	KeySelection
	Model string `json:"model,omitempty" maxLength:"512" doc:"Only the rests for this model; all rests when it is left out, those for every model included."`
}

// KeyValues is the body of the action set. What is left out stays as it is.
type KeyValues struct {
	KeySelection
	Weight     *int     `json:"weight,omitempty" minimum:"1" maximum:"100" doc:"Share of the requests, relative to the other keys."`
	Notes      *string  `json:"notes,omitempty" maxLength:"500"`
	AddTags    []string `json:"add_tags,omitempty" doc:"At most 10 tags in all, each of 1 to 40 letters, digits and - _ . :"`
	RemoveTags []string `json:"remove_tags,omitempty"`
}

// KeysChanged says what an action did, or what it would do.
type KeysChanged struct {
	Changed int `json:"changed" doc:"Keys that were changed at once."`
	// Operation is set when there are more than 1000 of them.
	Operation *Operation `json:"operation,omitempty" doc:"Goes on with the keys: a selection of more than 1000 by filter, state or all is not changed at once."`
	Matching  int        `json:"matching,omitempty" doc:"Of a dry run: the keys that it is about, those left out that the action is not for. Exact up to 100000."`
	More      bool       `json:"more,omitempty" doc:"Of a dry run: there are more than matching says."`
	Examples  []Key      `json:"examples,omitempty" doc:"Of a dry run: the first 5."`
}

// KeyTests are the results of testing keys now, in the order of the ids asked for, or of ids.
type KeyTests struct {
	Results   []KeyTest  `json:"results"`
	Operation *Operation `json:"operation,omitempty" doc:"Goes on with the keys: a selection of more than 100 by filter, state or all is not tested at once."`
	Matching  int        `json:"matching,omitempty" doc:"Of a dry run: as of the other actions."`
	More      bool       `json:"more,omitempty"`
	Examples  []Key      `json:"examples,omitempty"`
}
