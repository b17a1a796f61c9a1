package adminapi

// MembersInput is every member of an aggregate.
type MembersInput struct {
	Members []Member `json:"members" doc:"At most 100 standard groups of the aggregate's channel, each once. The order is that of display."`
}

// MemberList is every member of an aggregate. A standard group has none.
type MemberList struct {
	GroupID  string         `json:"group_id"`
	Members  []MemberDetail `json:"members"`
	Revision int64          `json:"revision" doc:"Revision of the aggregate, also the ETag; send it as If-Match to change only what you saw."`
}

// MemberDetail is a member with what is shown beside it.
type MemberDetail struct {
	GroupID   string    `json:"group_id"`
	Name      string    `json:"name"`
	Weight    int       `json:"weight" doc:"0 to 1000; 0 switches it off."`
	Tier      int       `json:"tier" doc:"1 to 10. Tier n+1 serves only while tier n cannot."`
	Share     float64   `json:"share" doc:"The share of the requests of its tier that it gets while every member can serve, 0 to 1."`
	KeyCounts KeyCounts `json:"key_counts" doc:"The node's live view."`
}

// ParentList is every aggregate that a group is a member of, in the order of display.
type ParentList struct {
	GroupID  string   `json:"group_id"`
	Parents  []Parent `json:"parents"`
	Revision int64    `json:"revision" doc:"Revision of the whole configuration."`
}

// Parent is an aggregate that a group is a member of.
type Parent struct {
	GroupID  string  `json:"group_id" doc:"Of the aggregate."`
	Name     string  `json:"name"`
	Weight   int     `json:"weight" doc:"Of the group there."`
	Tier     int     `json:"tier" doc:"Of the group there."`
	Share    float64 `json:"share" doc:"As in the aggregate's list of members."`
	Revision int64   `json:"revision" doc:"Revision of the aggregate."`
}
