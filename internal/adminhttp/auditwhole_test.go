package adminhttp_test

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gpt-load/internal/adminhttp"
	"gpt-load/internal/audit"
	"gpt-load/internal/fleet"
	bulk "gpt-load/internal/operation"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// changing says how to call an operation that changes something, and what has to be in the audit log after it.
type changing struct {
	kind audit.Kind
	call func(*stage) error
	// one is set when it happens to one thing, which the event names by its id; a group is enough for acts on several keys.
	one, grouped bool
}

// unaudited operations write no event, each for a reason.
var unaudited = map[string]struct {
	because string
	call    func(*stage) error
}{
	"preview-request": {"it shows what would be sent, and neither sends nor stores it", func(s *stage) error {
		_, err := s.client.Preview(s.ctx, s.group().ID, adminapi.PreviewInput{Model: "m"})
		return err
	}},
	"search-keys": {"it only reads; the key to look for must not stand in a URL, so it is a POST", func(s *stage) error {
		_, err := s.client.SearchKey(s.ctx, "", secretKey)
		return err
	}},
	"test-keys": {"a test changes keys by its verdicts only, and each of those is an event of its own", func(s *stage) error {
		g, id := s.key()
		_, err := s.client.TestKeys(s.ctx, g, id)
		return err
	}},
}

const secretKey = "sk-key-canary-0123456789-wxyz" // shown with its last four characters

// audited are all others.
var audited = map[string]changing{
	"login": {kind: audit.SessionOpened, one: true, call: func(s *stage) error { return s.login(s.browser) }},
	"logout": {kind: audit.SessionClosed, one: true, call: func(s *stage) error {
		if err := s.login(s.browser); err != nil {
			return err
		}
		return s.browser.Logout(s.ctx)
	}},
	"end-session": {kind: audit.SessionClosed, one: true, call: func(s *stage) error {
		other := s.newClient()
		session, err := other.Login(s.ctx, authKey)
		if err == nil {
			_, err = s.client.EndSession(s.ctx, session.ID)
		}
		return err
	}},
	"end-sessions": {kind: audit.SessionsEnded, call: func(s *stage) error {
		_, err := s.client.EndSessions(s.ctx)
		return err
	}},
	"change-settings": {kind: audit.SettingsChanged, call: func(s *stage) error {
		_, err := s.client.ChangeSettings(s.ctx, adminapi.SettingsPatch{"proxy_keys": "sk-client-canary-00001111", "proxy_url": "http://canary:canary@proxy:3128"})
		return err
	}},
	"undo-audit-event": {kind: audit.GroupChanged, one: true, grouped: true, call: func(s *stage) error {
		g := s.group()
		rules := []adminapi.HeaderRule{{Name: "X-Other", Action: "set", Value: "canary"}}
		if _, err := s.world.client.ChangeGroup(s.ctx, g.ID, adminapi.GroupPatch{HeaderRules: &rules}, 0); err != nil {
			return err
		}
		_, err := s.client.UndoAuditEvent(s.ctx, s.world.latest(audit.GroupChanged).ID)
		return err
	}},

	"create-group": {kind: audit.GroupCreated, one: true, grouped: true, call: func(s *stage) error {
		_, err := s.client.CreateGroup(s.ctx, s.input())
		return err
	}},
	"change-group": {kind: audit.GroupChanged, one: true, grouped: true, call: func(s *stage) error {
		keys := []string{"sk-client-canary-22223333"}
		_, err := s.client.ChangeGroup(s.ctx, s.group().ID, adminapi.GroupPatch{ProxyKeys: &keys}, 0)
		return err
	}},
	"delete-group": {kind: audit.GroupDeleted, one: true, grouped: true, call: func(s *stage) error {
		_, err := s.client.DeleteGroup(s.ctx, s.group().ID, 0)
		return err
	}},
	"copy-group": {kind: audit.GroupCopied, one: true, grouped: true, call: func(s *stage) error {
		_, err := s.client.CopyGroup(s.ctx, s.group().ID, adminapi.GroupCopyInput{Name: s.name() + "-copy"})
		return err
	}},
	"order-groups": {kind: audit.GroupsOrdered, call: func(s *stage) error {
		s.group()
		list, err := s.world.client.Groups(s.ctx)
		if err != nil {
			return err
		}
		var ids []string
		for _, g := range list.Groups {
			ids = append(ids, g.ID)
		}
		slices.Reverse(ids)
		_, err = s.client.OrderGroups(s.ctx, ids...)
		return err
	}},
	"set-members": {kind: audit.GroupChanged, one: true, grouped: true, call: func(s *stage) error {
		aggregate := s.world.group(adminapi.GroupInput{Name: s.name() + "-all", Kind: "aggregate", Channel: adminapi.ChannelOpenAI})
		_, err := s.client.SetMembers(s.ctx, aggregate.ID, []adminapi.Member{{GroupID: s.group().ID, Weight: 1, Tier: 1}}, 0)
		return err
	}},

	"add-keys": {kind: audit.KeysAdded, grouped: true, call: func(s *stage) error {
		_, err := s.client.AddKeys(s.ctx, s.group().ID, adminapi.KeyInput{Keys: []string{secretKey}})
		return err
	}},
	"delete-keys":  {kind: audit.KeysDeleted, one: true, grouped: true, call: actOnKey(adminapi.ActionDelete)},
	"disable-keys": {kind: audit.KeysDisabled, one: true, grouped: true, call: actOnKey(adminapi.ActionDisable)},
	"enable-keys":  {kind: audit.KeysEnabled, one: true, grouped: true, call: actOnKey(adminapi.ActionEnable, fleet.KeyDisabled)},
	"restore-keys": {kind: audit.KeysRestored, one: true, grouped: true, call: actOnKey(adminapi.ActionRestore, fleet.KeyInvalid)},
	"reset-cooldowns-keys": {kind: audit.KeysRestsEnded, one: true, grouped: true, call: func(s *stage) error {
		g, id := s.key()
		_, err := s.client.ResetCooldowns(s.ctx, g, adminapi.CooldownReset{KeySelection: adminapi.KeySelection{IDs: []string{id}}})
		return err
	}},
	"set-keys": {kind: audit.KeysEdited, one: true, grouped: true, call: func(s *stage) error {
		g, id := s.key()
		_, err := s.client.SetKeys(s.ctx, g, adminapi.KeyValues{KeySelection: adminapi.KeySelection{IDs: []string{id}}, Weight: new(7)})
		return err
	}},

	"import-keys": {kind: audit.OperationStarted, one: true, grouped: true, call: func(s *stage) error {
		s.world.ended(s.client.ImportKeys(s.ctx, s.group().ID, strings.NewReader(secretKey), adminclient.ImportOptions{}))
		return nil
	}},
	"start-operation": {kind: audit.OperationStarted, one: true, grouped: true, call: func(s *stage) error {
		g, _ := s.key()
		s.world.ended(s.client.StartOperation(s.ctx, g, adminapi.OperationInput{Kind: adminapi.OperationDeletion, All: true}))
		return nil
	}},
	"cancel-operation": {kind: audit.OperationCanceled, one: true, grouped: true, call: func(s *stage) error {
		g, _ := s.key()
		o, err := s.world.client.StartOperation(s.ctx, g, adminapi.OperationInput{Kind: adminapi.OperationValidation}) // ends when it is canceled
		if err == nil {
			<-s.validating
			s.world.ended(s.client.CancelOperation(s.ctx, o.ID))
		}
		return err
	}},
}

func actOnKey(action string, in ...fleet.KeyState) func(*stage) error {
	return func(s *stage) error {
		g, id := s.key(in...)
		_, err := s.client.ChangeKeys(s.ctx, g, action, adminapi.KeySelection{IDs: []string{id}})
		return err
	}
}

// stage is what one operation is called on.
type stage struct {
	world *world
	ctx   context.Context
	names int
	// client has AUTH_KEY, browser none; what they call is noted.
	client, browser *adminclient.Client
	validating      chan struct{}

	mu     sync.Mutex
	called map[string]string // the request ids of operations, by the operations' ids
}

func newStage(t *testing.T) *stage {
	s := &stage{ctx: t.Context(), validating: make(chan struct{}), called: make(map[string]string)}
	s.world = newWorld(t, func(o *adminhttp.Options) {
		o.Operations.Handle(bulk.Validation, func(ctx context.Context, _ *bulk.Run) error {
			close(s.validating)
			<-ctx.Done()
			return ctx.Err()
		})
	})
	s.world.test = func(fleet.KeyID) (adminhttp.TestResult, error) {
		return adminhttp.TestResult{OK: true, Status: 200}, nil
	}
	s.client, s.browser = s.newClient(adminclient.WithAuthKey(authKey)), s.newClient()
	return s
}

func (s *stage) newClient(options ...adminclient.Option) *adminclient.Client {
	return s.world.newNotedClient(s.note, options...)
}

func (s *stage) note(operation string, answer *http.Response) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.called[operation] = answer.Header.Get("X-Request-Id")
}

func (s *stage) login(c *adminclient.Client) error {
	_, err := c.Login(s.ctx, authKey)
	return err
}

func (s *stage) name() string {
	s.names++
	return "g" + strings.Repeat("x", s.names)
}

func (s *stage) input() adminapi.GroupInput {
	in := openai(s.name())
	in.ProxyKeys, in.HeaderRules = []string{"sk-client-canary-12345678"}, []adminapi.HeaderRule{{Name: "X-Key", Action: "set", Value: "canary"}}
	return in
}

func (s *stage) group() adminapi.Group { return s.world.group(s.input()) }

// key is a key in a group of its own; active unless a state is given.
func (s *stage) key(states ...fleet.KeyState) (group, id string) {
	t := s.world.t
	t.Helper()
	group = s.group().ID
	added, err := s.world.client.AddKeys(s.ctx, group, adminapi.KeyInput{Keys: []string{secretKey}, Disabled: slices.Contains(states, fleet.KeyDisabled)})
	if err != nil {
		t.Fatal(err)
	}
	id = added.Keys[0].ID
	if slices.Contains(states, fleet.KeyInvalid) {
		in, err := strconv.ParseInt(group, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		change := fleet.KeyChange{KeyID: keyID(t, id), GroupID: fleet.GroupID(in), State: fleet.KeyInvalid, Reason: "wrong", At: time.Now().Add(time.Second)}
		if err := s.world.store.ApplyKeyChanges(s.ctx, []fleet.KeyChange{change}); err != nil {
			t.Fatal(err)
		}
	}
	return group, id
}

// Whoever adds an operation that changes something says here what event it writes, or why none.
func TestEveryChangeIsAudited(t *testing.T) {
	s := newStage(t)
	seen := make(map[string]bool)
	for path, methods := range document(t).Paths {
		for method, op := range methods {
			seen[op.OperationID] = true
			if method == "get" {
				continue
			}
			change, ok := audited[op.OperationID]
			if exception, excepted := unaudited[op.OperationID]; excepted {
				if found := s.eventsOf(t, op.OperationID, exception.call); len(found) > 0 || ok {
					t.Errorf("%s is no exception any more (%s): it wrote %+v", op.OperationID, exception.because, found)
				}
				continue
			}
			if !ok {
				t.Errorf("%s %s (%s) changes something, and nothing is said of its event", method, path, op.OperationID)
				continue
			}
			s.check(t, op.OperationID, change, s.eventsOf(t, op.OperationID, change.call))
		}
	}
	for id := range audited {
		if !seen[id] {
			t.Errorf("there is no operation %s any more", id)
		}
	}
	for id := range unaudited {
		if !seen[id] {
			t.Errorf("there is no operation %s any more, which is an exception", id)
		}
	}
}

// eventsOf calls an operation and returns what its request wrote into the audit log.
func (s *stage) eventsOf(t *testing.T, operation string, call func(*stage) error) (found []adminapi.AuditEvent) {
	t.Helper()
	if err := call(s); err != nil {
		t.Fatalf("%s: %v", operation, err)
	}
	id := s.called[operation]
	if id == "" {
		t.Fatalf("%s was not called", operation)
	}
	for _, e := range s.world.events(adminapi.AuditFilter{Limit: 1000}) {
		if e.Who.RequestID == id {
			found = append(found, e)
		}
	}
	return found
}

func (s *stage) check(t *testing.T, operation string, want changing, found []adminapi.AuditEvent) {
	t.Helper()
	at := slices.IndexFunc(found, func(e adminapi.AuditEvent) bool { return e.Kind == string(want.kind) })
	if at < 0 {
		t.Errorf("%s wrote no %s: %+v", operation, want.kind, found)
		return
	}
	e, actor := found[at], audit.AuthKey
	if operation == "login" || operation == "logout" {
		actor = audit.Session
	}
	if e.Who.Kind != string(actor) || e.Who.ClientIP != "127.0.0.1" || (e.Who.Session != "") != (actor == audit.Session) {
		t.Errorf("%s was done by %+v", operation, e.Who)
	}
	if e.Noun != want.kind.Noun() || e.Count < 1 || want.one && e.NounID == "" || want.grouped && e.GroupID == "" {
		t.Errorf("%s has no target: %+v", operation, e)
	}
	if strings.Contains(asJSON(t, found), "canary") {
		t.Errorf("%s shows a secret: %+v", operation, found)
	}
}
