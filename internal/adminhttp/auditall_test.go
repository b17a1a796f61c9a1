package adminhttp_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/adminhttp"
	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	bulk "gpt-load/internal/operation"
	"gpt-load/pkg/adminapi"
)

// unaudited are the operations with a body that change nothing by themselves, and why they leave no event.
var unaudited = map[string]string{
	"search-keys":     "only reads: the key that is looked for is no part of an address",
	"preview-request": "only reads: a draft is no part of an address",
	"test-keys":       "what a test finds out is an event of the verdict, by nobody",
}

// changingCall is one call that changes something, and the event that it leaves. Each is made once, in the order of the list.
type changingCall struct {
	id, method, path, body string
	kind                   audit.Kind
	header                 http.Header
	before                 func() // what has to be so for the call to change something
}

// TestEveryChangeLeavesAnEvent calls each operation of the document that is not for reading.
func TestEveryChangeLeavesAnEvent(t *testing.T) {
	begun := make(chan struct{})
	w := newWorld(t, func(o *adminhttp.Options) {
		o.Operations.Handle(bulk.Validation, func(ctx context.Context, _ *bulk.Run) error {
			close(begun)
			<-ctx.Done() // until it is canceled
			return ctx.Err()
		})
	})
	var cookie, session, undo string
	login := func() {
		cookie = w.loginToken()
		sessions, err := w.client.Sessions(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		session = sessions.Sessions[0].ID
	}
	rest := func() {
		err := w.store.ApplyKeyChanges(t.Context(), []fleet.KeyChange{{
			KeyID: 1, GroupID: 1, State: fleet.KeyActive, Cooldowns: []fleet.Cooldown{{Until: time.Now().Add(time.Hour), Reason: "rate_limited"}}, At: time.Now().Add(time.Second),
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	retire := func() {
		err := w.store.ApplyKeyChanges(t.Context(), []fleet.KeyChange{{KeyID: 1, GroupID: 1, State: fleet.KeyInvalid, Reason: "invalid_api_key", At: time.Now().Add(time.Minute)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	upstream := `"upstreams":[{"url":"https://api.openai.com","weight":1}]`
	calls := []changingCall{
		{id: "create-group", method: "POST", path: "/groups", body: `{"name":"one","channel":"openai",` + upstream + `,"proxy_keys":["sk-canary-of-clients-0001"]}`, kind: audit.GroupCreated},
		{id: "create-group", method: "POST", path: "/groups", body: `{"name":"all","kind":"aggregate","channel":"openai"}`, kind: audit.GroupCreated},
		{id: "change-group", method: "PATCH", path: "/groups/1", body: `{"description":"changed","proxy_keys":["sk-canary-of-clients-0002"]}`, kind: audit.GroupChanged},
		{id: "set-members", method: "PUT", path: "/groups/2/members", body: `{"members":[{"group_id":"1","weight":1,"tier":1}]}`, kind: audit.GroupChanged},
		{id: "order-groups", method: "PUT", path: "/groups/order", body: `{"group_ids":["1","2"]}`, kind: audit.GroupsOrdered},
		{id: "copy-group", method: "POST", path: "/groups/1/copy", body: `{"name":"copy"}`, kind: audit.GroupCopied},
		{id: "change-settings", method: "PATCH", path: "/settings", body: `{"max_retries":5,"proxy_keys":"sk-canary-of-clients-0003"}`, kind: audit.SettingsChanged},
		{id: "add-keys", method: "POST", path: "/groups/1/keys", body: `{"keys":["sk-canary-of-provider-01","sk-canary-of-provider-02"]}`, kind: audit.KeysAdded},
		{id: "set-keys", method: "POST", path: "/groups/1/keys/set", body: `{"ids":["1"],"weight":7}`, kind: audit.KeysEdited},
		{id: "disable-keys", method: "POST", path: "/groups/1/keys/disable", body: `{"ids":["1"]}`, kind: audit.KeysDisabled},
		{id: "enable-keys", method: "POST", path: "/groups/1/keys/enable", body: `{"ids":["1"]}`, kind: audit.KeysEnabled},
		{id: "reset-cooldowns-keys", method: "POST", path: "/groups/1/keys/reset-cooldowns", body: `{"ids":["1"]}`, kind: audit.KeysRestsEnded, before: rest},
		{id: "restore-keys", method: "POST", path: "/groups/1/keys/restore", body: `{"ids":["1"]}`, kind: audit.KeysRestored, before: retire},
		{id: "delete-keys", method: "POST", path: "/groups/1/keys/delete", body: `{"ids":["2"]}`, kind: audit.KeysDeleted},
		{id: "import-keys", method: "POST", path: "/groups/3/keys/import", body: "sk-canary-of-provider-03", kind: audit.OperationStarted, header: http.Header{"Content-Type": {"text/plain"}}},
		{id: "start-operation", method: "POST", path: "/groups/1/operations", body: `{"kind":"validation"}`, kind: audit.OperationStarted},
		{id: "cancel-operation", method: "POST", path: "/operations/2/cancel", kind: audit.OperationCanceled, before: func() { <-begun }},
		{id: "undo-audit-event", method: "POST", path: "/audit/{undo}/undo", kind: audit.SettingsChanged, before: func() { undo = w.latest(audit.SettingsChanged).ID }},
		{id: "delete-group", method: "DELETE", path: "/groups/2", kind: audit.GroupDeleted},
		{id: "login", method: "POST", path: "/session", body: `{"auth_key":"` + authKey + `"}`, kind: audit.SessionOpened, header: anonymous},
		{id: "end-session", method: "DELETE", path: "/sessions/{session}", kind: audit.SessionClosed, before: login},
		{id: "end-sessions", method: "DELETE", path: "/sessions", kind: audit.SessionsEnded, before: login},
		{id: "logout", method: "DELETE", path: "/session", kind: audit.SessionClosed, before: login},
	}
	tried := make(map[string]bool)
	for _, c := range calls {
		if c.before != nil {
			c.before()
		}
		if c.id == "logout" {
			c.header = with(anonymous, "Cookie", cookie, "X-Requested-With", "test")
		}
		if c.header == nil {
			c.header = http.Header{"Content-Type": {"application/json"}}
		}
		known := make(map[string]bool)
		for _, e := range w.events(adminapi.AuditFilter{Kind: string(c.kind)}) {
			known[e.ID] = true
		}
		path := strings.NewReplacer("{undo}", undo, "{session}", session).Replace(c.path)
		if status, _, text := w.raw(c.method, path, c.header, c.body); status/100 != 2 {
			t.Fatalf("%s answered %d %s", c.id, status, text)
		}
		var left []adminapi.AuditEvent
		for _, e := range w.events(adminapi.AuditFilter{Kind: string(c.kind)}) {
			if !known[e.ID] {
				left = append(left, e)
			}
		}
		if len(left) != 1 || left[0].Who.Kind == string(audit.System) || left[0].Who.RequestID == "" || left[0].Count < 1 {
			t.Errorf("%s left %+v", c.id, left)
		}
		tried[c.id] = true
	}
	for path, methods := range document(t).Paths {
		for method, op := range methods {
			why, excepted := unaudited[op.OperationID]
			switch {
			case method == "get" || method == "head":
			case excepted == tried[op.OperationID]:
				t.Errorf("%s %s (%s) is to be tried here, or to be left out with a reason; the reason is %q", method, path, op.OperationID, why)
			}
			delete(unaudited, op.OperationID)
		}
	}
	for id := range unaudited {
		t.Errorf("there is no operation %s any more", id)
	}
	text, err := json.Marshal(w.events(adminapi.AuditFilter{Limit: 100}))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"sk-canary", authKey, strings.TrimPrefix(cookie, "gpt_load")} {
		if strings.Contains(string(text), secret) {
			t.Errorf("the audit log has a secret: %s", text)
		}
	}
}
