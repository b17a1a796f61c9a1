package adminhttp_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func TestCopyGroup(t *testing.T) {
	w := newWorld(t)
	in := openai("from")
	in.DisplayName, in.ProxyKeys = "From", []string{"sk-client-canary-12345678"}
	in.HeaderRules = []adminapi.HeaderRule{{Name: "X-Key", Action: "set", Value: "header-secret"}}
	in.ParamOverrides = []adminapi.ParamOverride{{Path: "temperature", Value: json.RawMessage("0.70")}}
	in.ModelRedirects, in.ModelRedirectStrict = []adminapi.ModelRedirect{{From: "a", To: "b"}}, true
	in.Validation = adminapi.Validation{Model: "m"}
	in.Settings = map[string]any{"max_retries": 5, "proxy_url": "http://user:hunter22@proxy:3128"}
	from := w.group(in)
	all := w.group(adminapi.GroupInput{
		Name: "all", Kind: adminapi.KindAggregate, Channel: adminapi.ChannelOpenAI, Members: []adminapi.Member{{GroupID: from.ID, Weight: 3, Tier: 2}},
	})

	copied, err := w.client.CopyGroup(t.Context(), from.ID, adminapi.GroupCopyInput{Name: "to", DisplayName: new("To"), JoinAggregates: true})
	if err != nil {
		t.Fatal(err)
	}
	made := copied.Group
	if copied.Operation != nil || made.ProxyKeys[0] != "****5678" || w.lastRevision() != made.Revision {
		t.Errorf("copied %+v; the node was told %d", copied, w.lastRevision())
	}
	want, err := w.client.Group(t.Context(), from.ID, true)
	if err != nil {
		t.Fatal(err)
	}
	got, err := w.client.Group(t.Context(), made.ID, true)
	if err != nil {
		t.Fatal(err)
	}
	want.ID, want.Name, want.DisplayName, want.ProxyPath, want.Revision, want.CreatedAt, want.UpdatedAt = got.ID, "to", "To", "/proxy/to", got.Revision, got.CreatedAt, got.UpdatedAt
	if g, w := asJSON(t, got), asJSON(t, want); g != w {
		t.Errorf("the copy is %s\nwant %s", g, w)
	}
	members, err := w.client.Members(t.Context(), all.ID)
	if err != nil || len(members.Members) != 2 || members.Members[1].GroupID != made.ID || members.Members[1].Tier != 2 || members.Members[1].Share != 0.5 {
		t.Errorf("the aggregate has %+v, %v", members, err)
	}

	_, err = w.client.CopyGroup(t.Context(), from.ID, adminapi.GroupCopyInput{Name: "Not good", DisplayName: new(strings.Repeat("x", 129))})
	if got := fieldsOf(refused(t, err, adminapi.CodeInvalid)); !slices.Equal(got, []string{"name", "display_name"}) {
		t.Errorf("faults of %q", got)
	}
	_, err = w.client.CopyGroup(t.Context(), all.ID, adminapi.GroupCopyInput{Name: "all2", Keys: adminapi.CopyAllKeys})
	refused(t, err, adminapi.CodeInvalid)
	_, err = w.client.CopyGroup(t.Context(), "999", adminapi.GroupCopyInput{Name: "none"})
	refused(t, err, adminapi.CodeNotFound)
}

func asJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestCopyGroupWithItsKeys(t *testing.T) {
	w := newWorld(t)
	from := w.group(openai("from"))
	if _, err := w.client.AddKeys(t.Context(), from.ID, adminapi.KeyInput{Keys: []string{"sk-00000000-a", "sk-00000000-b"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.AddKeys(t.Context(), from.ID, adminapi.KeyInput{Keys: []string{"sk-00000000-c"}, Disabled: true}); err != nil {
		t.Fatal(err)
	}
	for which, want := range map[string]string{
		adminapi.CopyNoKeys: "", adminapi.CopyValidKeys: "active active", adminapi.CopyAllKeys: "active active disabled",
	} {
		copied, err := w.client.CopyGroup(t.Context(), from.ID, adminapi.GroupCopyInput{Name: "with-" + which, Keys: which})
		if err != nil {
			t.Fatal(err)
		}
		if (copied.Operation == nil) != (which == adminapi.CopyNoKeys) {
			t.Fatalf("%s: the operation is %+v", which, copied.Operation)
		}
		if copied.Operation != nil {
			if o := w.ended(*copied.Operation, nil); o.State != adminapi.OperationSucceeded || o.Kind != adminapi.OperationCopy || o.GroupID != copied.Group.ID {
				t.Errorf("%s: %+v", which, o)
			}
		}
		page, err := w.client.Keys(t.Context(), copied.Group.ID, adminclient.KeyFilter{})
		if err != nil {
			t.Fatal(err)
		}
		states := make([]string, len(page.Keys))
		for i, k := range page.Keys {
			states[i] = k.State
		}
		if got := strings.Join(states, " "); got != want {
			t.Errorf("%s: copied keys are %q, want %q", which, got, want)
		}
	}
}

func TestOrderGroups(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.group(openai("a")), w.group(openai("b")), w.group(openai("c"))
	revision, err := w.client.OrderGroups(t.Context(), c.ID, a.ID, b.ID)
	if err != nil || revision != w.lastRevision() {
		t.Fatalf("revision %d, the node was told %d, %v", revision, w.lastRevision(), err)
	}
	order := func() string {
		list, err := w.client.Groups(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, g := range list.Groups {
			names = append(names, g.Name)
		}
		return strings.Join(names, " ")
	}
	if got := order(); got != "c a b" {
		t.Errorf("ordered %q", got)
	}
	if _, err := w.client.DeleteGroup(t.Context(), b.ID, 0); err != nil {
		t.Fatal(err)
	}
	d := w.group(openai("aa"))
	before := order()
	if before != "c a aa" {
		t.Errorf("with a new group %q", before)
	}
	_, err = w.client.OrderGroups(t.Context(), a.ID, b.ID, c.ID)
	e := refused(t, err, adminapi.CodeConflict)
	if e.Status != http.StatusConflict || len(e.Details) != 2 || !strings.Contains(e.Details[0].Message, d.ID+" (aa)") || !strings.Contains(e.Details[1].Message, b.ID) {
		t.Errorf("answered %+v", e)
	}
	_, err = w.client.OrderGroups(t.Context(), a.ID, a.ID, "x")
	refused(t, err, adminapi.CodeInvalid)
	_, err = w.client.OrderGroups(t.Context(), slices.Repeat([]string{a.ID}, 10_001)...)
	refused(t, err, adminapi.CodeInvalid)
	if got := order(); got != before {
		t.Errorf("refused orders made %q of %q", got, before)
	}
}

func TestMembersAndParents(t *testing.T) {
	w := newWorld(t)
	a, b, c := w.group(openai("a")), w.group(openai("b")), w.group(openai("c"))
	gemini := openai("g")
	gemini.Channel = adminapi.ChannelGemini
	g := w.group(gemini)
	all := w.group(adminapi.GroupInput{Name: "all", Kind: adminapi.KindAggregate, Channel: adminapi.ChannelOpenAI})
	if _, err := w.client.AddKeys(t.Context(), a.ID, adminapi.KeyInput{Text: "sk-1234567890ab"}); err != nil {
		t.Fatal(err)
	}
	list, err := w.client.SetMembers(t.Context(), all.ID, []adminapi.Member{
		{GroupID: b.ID, Weight: 1, Tier: 1}, {GroupID: a.ID, Weight: 3, Tier: 1}, {GroupID: c.ID, Weight: 0, Tier: 2},
	}, all.Revision)
	if err != nil || list.Revision != w.lastRevision() {
		t.Fatalf("revision %d, the node was told %d, %v", list.Revision, w.lastRevision(), err)
	}
	want := []adminapi.MemberDetail{
		{GroupID: b.ID, Name: "b", Weight: 1, Tier: 1, Share: 0.25},
		{GroupID: a.ID, Name: "a", Weight: 3, Tier: 1, Share: 0.75, KeyCounts: adminapi.KeyCounts{Active: 1}},
		{GroupID: c.ID, Name: "c", Weight: 0, Tier: 2},
	}
	if got, err := w.client.Members(t.Context(), all.ID); err != nil || !slices.Equal(got.Members, want) || got.Revision != list.Revision {
		t.Errorf("members %+v, %v", got, err)
	}
	_, err = w.client.SetMembers(t.Context(), all.ID, nil, all.Revision)
	if e := refused(t, err, adminapi.CodePreconditionFailed); e.Revision != list.Revision {
		t.Errorf("the refusal tells revision %d, want %d", e.Revision, list.Revision)
	}
	for id, field := range map[string]string{all.ID: "aggregate itself", g.ID: "members share the channel", "999": "no group 999"} {
		_, err := w.client.SetMembers(t.Context(), all.ID, []adminapi.Member{{GroupID: id, Weight: 1, Tier: 1}}, 0)
		if e := refused(t, err, adminapi.CodeInvalid); len(e.Details) != 1 || e.Details[0].Field != "members[0].group_id" || !strings.Contains(e.Details[0].Message, field) {
			t.Errorf("member %s: %+v", id, e.Details)
		}
	}
	_, err = w.client.SetMembers(t.Context(), a.ID, []adminapi.Member{{GroupID: b.ID, Weight: 1, Tier: 1}}, 0)
	refused(t, err, adminapi.CodeInvalid)

	parents, err := w.client.Parents(t.Context(), a.ID)
	if err != nil || !slices.Equal(parents.Parents, []adminapi.Parent{{GroupID: all.ID, Name: "all", Weight: 3, Tier: 1, Share: 0.75, Revision: list.Revision}}) {
		t.Errorf("parents %+v, %v", parents, err)
	}
	if parents, err := w.client.Parents(t.Context(), all.ID); err != nil || len(parents.Parents) != 0 {
		t.Errorf("parents of an aggregate %+v, %v", parents, err)
	}
	if members, err := w.client.Members(t.Context(), a.ID); err != nil || len(members.Members) != 0 {
		t.Errorf("members of a standard group %+v, %v", members, err)
	}
	if _, err := w.client.SetMembers(t.Context(), all.ID, nil, 0); err != nil {
		t.Error(err)
	}
	if _, err := w.client.DeleteGroup(t.Context(), a.ID, 0); err != nil {
		t.Errorf("a group that is no member any more: %v", err)
	}
}
