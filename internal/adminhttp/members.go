package adminhttp

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"gpt-load/internal/fleet"
	"gpt-load/pkg/adminapi"
)

type membersAnswer struct {
	ETag string `header:"ETag" doc:"The revision of the aggregate, for If-Match."`
	Body adminapi.MemberList
}

func (a *API) mountMembers(api huma.API) {
	tags := []string{"groups"}
	route(api, huma.Operation{
		OperationID: "list-members", Method: http.MethodGet, Path: "/groups/{id}/members", Tags: tags, Summary: "List the members of an aggregate with their shares",
	}, a.listMembers)
	route(api, huma.Operation{
		OperationID: "set-members", Method: http.MethodPut, Path: "/groups/{id}/members", Tags: tags, Summary: "Replace the members of an aggregate",
		Description: "Members are standard groups of the aggregate's channel. With If-Match, an aggregate that has another revision by now is refused with 412.",
	}, a.setMembers)
	route(api, huma.Operation{
		OperationID: "list-parents", Method: http.MethodGet, Path: "/groups/{id}/parents", Tags: tags, Summary: "List the aggregates that a group is a member of",
		Description: "A group that has parents is not deleted before it was taken out of them.",
	}, a.listParents)
}

func (a *API) listMembers(ctx context.Context, in *GroupRef) (*membersAnswer, error) {
	g, err := a.group(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return a.membersOf(ctx, g)
}

func (a *API) membersOf(ctx context.Context, g fleet.Group) (*membersAnswer, error) {
	all, err := a.Store.Groups(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[fleet.GroupID]string, len(all))
	for _, other := range all {
		names[other.ID] = other.Name
	}
	list := adminapi.MemberList{GroupID: idText(g.ID), Revision: g.Revision, Members: mapped(g.Members, func(m fleet.Member) adminapi.MemberDetail {
		return adminapi.MemberDetail{
			GroupID: idText(m.GroupID), Name: names[m.GroupID], Weight: m.Weight, Tier: m.Tier, Share: shareOf(m, g.Members),
			KeyCounts: adminapi.KeyCounts(a.Pools.Counts(m.GroupID)),
		}
	})}
	return &membersAnswer{ETag: etag(g.Revision), Body: list}, nil
}

// shareOf is a member's part of what its tier serves.
func shareOf(m fleet.Member, all []fleet.Member) float64 {
	sum := 0
	for _, other := range all {
		if other.Tier == m.Tier {
			sum += other.Weight
		}
	}
	if sum == 0 {
		return 0
	}
	return float64(m.Weight) / float64(sum)
}

func (a *API) setMembers(ctx context.Context, in *struct {
	GroupRef
	IfMatch string `header:"If-Match" doc:"Change the members only if this is still the aggregate's revision."`
	Body    adminapi.MembersInput
},
) (*membersAnswer, error) {
	g, err := a.patchGroup(ctx, in.ID, in.IfMatch, adminapi.GroupPatch{Members: &in.Body.Members})
	if err != nil {
		return nil, err
	}
	if err := a.serve(ctx, g.Revision); err != nil {
		return nil, err
	}
	return a.membersOf(ctx, g)
}

func (a *API) listParents(ctx context.Context, in *GroupRef) (*answer[adminapi.ParentList], error) {
	g, err := a.group(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	revision, err := a.Store.Revision(ctx) // before the groups: never newer than they are
	if err != nil {
		return nil, err
	}
	all, err := a.Store.Groups(ctx)
	if err != nil {
		return nil, err
	}
	list := adminapi.ParentList{GroupID: idText(g.ID), Revision: revision, Parents: []adminapi.Parent{}}
	for _, parent := range all {
		for _, m := range parent.Members {
			if m.GroupID == g.ID {
				list.Parents = append(list.Parents, adminapi.Parent{
					GroupID: idText(parent.ID), Name: parent.Name, Weight: m.Weight, Tier: m.Tier, Share: shareOf(m, parent.Members), Revision: parent.Revision,
				})
			}
		}
	}
	return &answer[adminapi.ParentList]{list}, nil
}
