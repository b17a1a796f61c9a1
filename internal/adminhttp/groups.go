package adminhttp

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/secret"
	"gpt-load/internal/settings"
	"gpt-load/pkg/adminapi"
)

// GroupRef is the group of a path. It is exported because huma reads embedded structs only then.
type GroupRef struct {
	ID string `path:"id" doc:"Id of the group."`
}

type groupGet struct {
	GroupRef
	Reveal bool `query:"reveal" doc:"Show secrets in clear."`
}

type groupAnswer struct {
	ETag string `header:"ETag" doc:"The revision of the group, for If-Match."`
	Body adminapi.Group
}

func (a *API) mountGroups(api huma.API) {
	tags := []string{"groups"}
	route(api, huma.Operation{OperationID: "list-groups", Method: http.MethodGet, Path: "/groups", Tags: tags, Summary: "List every group"}, a.listGroups)
	route(api, huma.Operation{
		OperationID: "create-group", Method: http.MethodPost, Path: "/groups", Tags: tags, Summary: "Make a group", DefaultStatus: http.StatusCreated,
	}, a.createGroup)
	route(api, huma.Operation{OperationID: "get-group", Method: http.MethodGet, Path: "/groups/{id}", Tags: tags, Summary: "Get a group"}, a.getGroup)
	route(api, huma.Operation{
		OperationID: "change-group", Method: http.MethodPatch, Path: "/groups/{id}", Tags: tags, Summary: "Change what is sent of a group",
		Description: "Lists are replaced whole; settings and validation are merged. Without If-Match the change goes on top of whatever is stored; with it, a group that has another revision by now is refused with 412.",
	}, a.changeGroup)
	route(api, huma.Operation{
		OperationID: "delete-group", Method: http.MethodDelete, Path: "/groups/{id}", Tags: tags, Summary: "Delete a group with its keys",
		Description: "A group that is a member of an aggregate is refused.",
	}, a.deleteGroup)
	route(api, huma.Operation{
		OperationID: "get-group-settings", Method: http.MethodGet, Path: "/groups/{id}/settings", Tags: tags,
		Summary: "Every setting that holds for a group, with where its value comes from",
	}, a.groupSettings)
}

func (a *API) listGroups(ctx context.Context, in *struct {
	Reveal bool   `query:"reveal" doc:"Show secrets in clear."`
	Name   string `query:"name" doc:"Only the group of this name."`
},
) (*answer[adminapi.GroupList], error) {
	revision, err := a.Store.Revision(ctx) // before the groups: never newer than they are
	if err != nil {
		return nil, err
	}
	groups, err := a.Store.Groups(ctx)
	if err != nil {
		return nil, err
	}
	list := adminapi.GroupList{Groups: make([]adminapi.Group, 0, len(groups)), Revision: revision}
	for _, g := range groups {
		if in.Name == "" || strings.EqualFold(in.Name, g.Name) {
			list.Groups = append(list.Groups, a.wireGroup(g, in.Reveal))
		}
	}
	return &answer[adminapi.GroupList]{list}, nil
}

func (a *API) createGroup(ctx context.Context, in *struct{ Body adminapi.GroupInput }) (*groupAnswer, error) {
	change := groupChange{group: fleet.Group{Kind: fleet.GroupKind(in.Body.Kind)}}
	if in.Body.Kind == "" {
		change.group.Kind = fleet.KindStandard
	}
	change.apply(asPatch(in.Body))
	rules, err := a.rulesNow(ctx)
	if err != nil {
		return nil, err
	}
	if in.Body.Sort == nil {
		change.group.Sort = behindAll(rules.Groups)
	}
	if err := change.check(rules); err != nil {
		return nil, err
	}
	created, err := a.Store.CreateGroup(ctx, change.group)
	if err != nil {
		return nil, err
	}
	return a.committed(ctx, created)
}

// behindAll is the Sort of a group that nobody gave a place. Groups that nobody ordered stay in the order of their names.
func behindAll(groups []fleet.Group) int {
	last := 0
	for _, g := range groups {
		last = max(last, g.Sort)
	}
	if last == 0 {
		return 0
	}
	return min(last+1, fleet.MaxSort)
}

// rulesNow are the rules with the groups as they are stored now. The store's own constraints hold for what others
// commit between this and our write.
func (a *API) rulesNow(ctx context.Context) (fleet.GroupRules, error) {
	groups, err := a.Store.Groups(ctx)
	rules := a.rules
	rules.Groups = groups
	return rules, err
}

func (a *API) getGroup(ctx context.Context, in *groupGet) (*groupAnswer, error) {
	g, err := a.group(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &groupAnswer{ETag: etag(g.Revision), Body: a.wireGroup(g, in.Reveal)}, nil
}

func (a *API) group(ctx context.Context, text string) (fleet.Group, error) {
	id, err := pathID[fleet.GroupID]("group", text)
	if err != nil {
		return fleet.Group{}, err
	}
	return a.Store.Group(ctx, id)
}

type groupPatch struct {
	GroupRef
	IfMatch string `header:"If-Match" doc:"Change the group only if this is still its revision."`
	Body    adminapi.GroupPatch
}

func (a *API) changeGroup(ctx context.Context, in *groupPatch) (*groupAnswer, error) {
	g, err := a.patchGroup(ctx, in.ID, in.IfMatch, in.Body)
	if err != nil {
		return nil, err
	}
	return a.committed(ctx, g)
}

// changeTries is how often a change without If-Match is applied anew to a group that somebody else changed
// in between. More than a few in a row means something is wrong.
const changeTries = 5

// patchGroup stores what a patch makes of a group.
func (a *API) patchGroup(ctx context.Context, id, ifMatch string, patch adminapi.GroupPatch) (fleet.Group, error) {
	only, err := parseRevision(ifMatch)
	if err != nil {
		return fleet.Group{}, err
	}
	for try := 1; ; try++ {
		stored, err := a.group(ctx, id)
		if err != nil {
			return fleet.Group{}, err
		}
		if err := fleet.CheckRevision("the group", only, stored.Revision); err != nil {
			return fleet.Group{}, err
		}
		change := groupChange{group: stored}
		change.apply(patch)
		rules, err := a.rulesNow(ctx)
		if err != nil {
			return fleet.Group{}, err
		}
		if err := change.check(rules); err != nil {
			return fleet.Group{}, err
		}
		updated, err := a.Store.UpdateGroup(ctx, change.group, stored.Revision)
		if fleet.CodeOf(err) != fleet.CodePreconditionFailed || only != 0 || try == changeTries {
			return updated, err
		}
	}
}

func (a *API) deleteGroup(ctx context.Context, in *struct {
	GroupRef
	IfMatch string `header:"If-Match" doc:"Delete the group only if this is still its revision."`
},
) (*answer[adminapi.Deleted], error) {
	only, err := parseRevision(in.IfMatch)
	if err != nil {
		return nil, err
	}
	id, err := pathID[fleet.GroupID]("group", in.ID)
	if err != nil {
		return nil, err
	}
	revision, err := a.Store.DeleteGroupAt(ctx, id, only)
	if err != nil {
		return nil, err
	}
	return &answer[adminapi.Deleted]{adminapi.Deleted{Revision: revision}}, a.serve(ctx, revision)
}

// committed makes the node serve by a group that was written and answers with it, secrets masked.
func (a *API) committed(ctx context.Context, g fleet.Group) (*groupAnswer, error) {
	if err := a.serve(ctx, g.Revision); err != nil {
		return nil, err
	}
	return &groupAnswer{ETag: etag(g.Revision), Body: a.wireGroup(g, false)}, nil
}

// serve waits until this node serves by a revision.
func (a *API) serve(ctx context.Context, revision int64) error {
	err := a.Reloader.Changed(ctx, revision)
	if err == nil {
		return nil
	}
	callOf(ctx).logger.Error("committed, but not served yet", zap.Int64("revision", revision), zap.String("error", secret.Redact(err.Error())))
	return fleet.NewError(fleet.CodeUnavailable, fmt.Sprintf("the change is saved as revision %d, but this node does not serve by it yet; it goes on trying, do not repeat the change", revision), err)
}

func (a *API) groupSettings(ctx context.Context, in *groupGet) (*answer[adminapi.GroupSettings], error) {
	system, err := a.Store.Settings(ctx)
	if err != nil {
		return nil, err
	}
	g, err := a.group(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	list := adminapi.GroupSettings{GroupID: idText(g.ID), Revision: g.Revision}
	for _, d := range settings.Table() {
		line := wireSetting(d, system, g.Settings, in.Reveal)
		if line.Level == adminapi.LevelGroup {
			inherited, level := settings.Effective(d, system, nil)
			line.Inherited, line.InheritedLevel = wireValue(d, inherited, in.Reveal), string(level)
		}
		list.Settings = append(list.Settings, line)
	}
	return &answer[adminapi.GroupSettings]{list}, nil
}

func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// parseRevision reads If-Match: one entity tag as ETag gave it, quotes or not; 0 means any.
func parseRevision(ifMatch string) (int64, error) {
	text := strings.Trim(strings.TrimPrefix(strings.TrimSpace(ifMatch), "W/"), `"`)
	if text == "" || text == "*" {
		return 0, nil
	}
	revision, err := strconv.ParseInt(text, 10, 64)
	if err != nil || revision <= 0 {
		return 0, invalid("If-Match", "must be one revision, as ETag gives it")
	}
	return revision, nil
}
