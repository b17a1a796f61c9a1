package adminclient

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"gpt-load/pkg/adminapi"
)

// Groups lists every group in the order of display, secrets masked.
func (c *Client) Groups(ctx context.Context) (adminapi.GroupList, error) {
	return call[adminapi.GroupList](ctx, c, request{method: http.MethodGet, path: at("groups")})
}

// GroupByName finds a group by its name; a name that no group has is CodeNotFound.
func (c *Client) GroupByName(ctx context.Context, name string) (adminapi.Group, error) {
	list, err := call[adminapi.GroupList](ctx, c, request{method: http.MethodGet, path: at("groups"), query: url.Values{"name": {name}}})
	if err != nil {
		return adminapi.Group{}, err
	}
	if len(list.Groups) == 0 {
		return adminapi.Group{}, &Error{
			Status: http.StatusNotFound, Problem: adminapi.Problem{Code: adminapi.CodeNotFound, Message: "there is no group " + strconv.Quote(name)},
		}
	}
	return list.Groups[0], nil
}

// Group gets a group; with showSecrets its secrets are in clear.
func (c *Client) Group(ctx context.Context, id string, showSecrets bool) (adminapi.Group, error) {
	return call[adminapi.Group](ctx, c, request{method: http.MethodGet, path: at("groups", id), query: reveal(showSecrets)})
}

// CreateGroup makes a group.
func (c *Client) CreateGroup(ctx context.Context, in adminapi.GroupInput) (adminapi.Group, error) {
	return call[adminapi.Group](ctx, c, request{method: http.MethodPost, path: at("groups"), json: in})
}

// ChangeGroup changes what the patch sets. ifRevision, unless 0, must be the group's revision, else CodePreconditionFailed.
func (c *Client) ChangeGroup(ctx context.Context, id string, patch adminapi.GroupPatch, ifRevision int64) (adminapi.Group, error) {
	return call[adminapi.Group](ctx, c, request{method: http.MethodPatch, path: at("groups", id), header: ifMatch(ifRevision), json: patch})
}

// DeleteGroup deletes a group with its keys and returns the new revision. ifRevision is as in ChangeGroup.
func (c *Client) DeleteGroup(ctx context.Context, id string, ifRevision int64) (int64, error) {
	deleted, err := call[adminapi.Deleted](ctx, c, request{method: http.MethodDelete, path: at("groups", id), header: ifMatch(ifRevision)})
	return deleted.Revision, err
}

// GroupSettings lists every setting that holds for a group, with where its value comes from.
func (c *Client) GroupSettings(ctx context.Context, id string, showSecrets bool) (adminapi.GroupSettings, error) {
	return call[adminapi.GroupSettings](ctx, c, request{method: http.MethodGet, path: at("groups", id, "settings"), query: reveal(showSecrets)})
}

func ifMatch(revision int64) http.Header {
	if revision == 0 {
		return nil
	}
	return http.Header{"If-Match": {strconv.Quote(strconv.FormatInt(revision, 10))}}
}
