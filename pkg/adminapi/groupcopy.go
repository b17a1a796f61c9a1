package adminapi

// The keys that a copy of a group takes along.
const (
	CopyNoKeys    = "none"
	CopyValidKeys = "valid" // active ones, resting or not
	CopyAllKeys   = "all"
)

// GroupCopyInput makes a group like another one.
type GroupCopyInput struct {
	Name           string  `json:"name" doc:"Name of the copy: 1 to 64 of a-z, 0-9, - _ and ."`
	DisplayName    *string `json:"display_name,omitempty" doc:"At most 128 characters; that of the original when left out."`
	Keys           string  `json:"keys,omitempty" enum:"none,valid,all" default:"none" doc:"The keys to copy: none, valid (active ones, resting or not) or all, each in the state that it has."`
	JoinAggregates bool    `json:"join_aggregates,omitempty" doc:"Make the copy a member, with the same weight and tier, of every aggregate that the original is a member of."`
}

// GroupCopied is a copy of a group.
type GroupCopied struct {
	Group     Group      `json:"group"`
	Operation *Operation `json:"operation,omitempty" doc:"What copies the keys, batch by batch; absent when none are copied."`
}

// GroupOrder is every group in the order of display.
type GroupOrder struct {
	GroupIDs []string `json:"group_ids" maxItems:"10000" doc:"Each group there is, once."`
}

// GroupOrdered is the answer to a new order.
type GroupOrdered struct {
	GroupIDs []string `json:"group_ids"`
	Revision int64    `json:"revision" doc:"The new revision of the configuration, and of each group whose sort changed."`
}
