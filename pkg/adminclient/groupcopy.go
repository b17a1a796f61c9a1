package adminclient

import (
	"context"
	"net/http"

	"gpt-load/pkg/adminapi"
)

// CopyGroup makes a group like another one. Keys, if wanted, are copied by the operation in the answer; WaitOperation waits for
// its end.
func (c *Client) CopyGroup(ctx context.Context, id string, in adminapi.GroupCopyInput) (adminapi.GroupCopied, error) {
	return call[adminapi.GroupCopied](ctx, c, request{method: http.MethodPost, path: at("groups", id, "copy"), json: in})
}

// OrderGroups puts all groups into an order and returns the new revision. A list that is not that of the groups there are is
// CodeConflict.
func (c *Client) OrderGroups(ctx context.Context, ids ...string) (int64, error) {
	if ids == nil {
		ids = []string{}
	}
	ordered, err := call[adminapi.GroupOrdered](ctx, c, request{method: http.MethodPut, path: at("groups", "order"), json: adminapi.GroupOrder{GroupIDs: ids}})
	return ordered.Revision, err
}

// Members lists the members of an aggregate with their shares.
func (c *Client) Members(ctx context.Context, id string) (adminapi.MemberList, error) {
	return call[adminapi.MemberList](ctx, c, request{method: http.MethodGet, path: at("groups", id, "members")})
}

// SetMembers replaces the members of an aggregate. ifRevision is as in ChangeGroup.
func (c *Client) SetMembers(ctx context.Context, id string, members []adminapi.Member, ifRevision int64) (adminapi.MemberList, error) {
	if members == nil {
		members = []adminapi.Member{}
	}
	return call[adminapi.MemberList](ctx, c, request{
		method: http.MethodPut, path: at("groups", id, "members"), header: ifMatch(ifRevision), json: adminapi.MembersInput{Members: members},
	})
}

// Parents lists the aggregates that a group is a member of.
func (c *Client) Parents(ctx context.Context, id string) (adminapi.ParentList, error) {
	return call[adminapi.ParentList](ctx, c, request{method: http.MethodGet, path: at("groups", id, "parents")})
}
