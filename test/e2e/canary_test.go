package e2e_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// Secrets that must stay where they were put. The two kinds of provider keys differ in whether their form gives them
// away: nothing but knowing the second kind can keep it out of a log.
const (
	canaryKey         = "canary-provider-key-4f1d"   // in sk-{canary}-{n}
	canaryOddKey      = "canary.odd/key+with=signs~" // in {canary}{n}
	canaryDeadKey     = "canary-key-of-dead-group-02"
	canaryTenant      = "canary-proxy-key-of-a-tenant-81c2"
	canaryWrong       = "canary-wrong-credential-c3d4"
	canaryPrompt      = "the canary sings before dawn 93ab"
	canaryProxyUser   = "canary-outgoing-user"
	canaryProxySecret = "canary-outgoing-password-55d0"
	canaryDSN         = "canary-dsn-password-e5f6"
	canaryRejected    = "canary-rejected-key-a7b8"
	canaryPassphrase  = "canary horse battery staple 9c0d"
	canaryCookie      = "canary-session-cookie-1122"
)

var canaries = []string{
	canaryKey, canaryOddKey, canaryDeadKey, canaryTenant, canaryWrong, canaryPrompt, canaryProxyUser, canaryProxySecret, canaryDSN,
	canaryRejected, canaryPassphrase, canaryCookie, testenv.AuthKey,
}

// sings reports the canary that text holds.
func sings(text string) string {
	for _, canary := range canaries {
		if strings.Contains(text, canary) {
			return canary
		}
	}
	return ""
}

// canaryWorld is a world in which everything secret is a canary.
type canaryWorld struct {
	*world
	group    string
	requests int // that leave a record
}

func startCanaries(t *testing.T) *canaryWorld {
	t.Helper()
	w := &canaryWorld{world: start(t, "LOG_LEVEL=debug", "ACCESS_LOG=text", "LOG_ENABLE_FILE=true", "ENCRYPTION_KEY="+canaryPassphrase, "MAX_CONCURRENT_REQUESTS=500")}
	w.settings(adminapi.SettingsPatch{"request_log_write_interval_minutes": 0})
	w.group = w.world.group("canary", adminapi.ChannelOpenAI, 0, func(g *adminapi.GroupInput) {
		g.ProxyKeys = []string{canaryTenant}
		g.Settings = map[string]any{"max_retries": 1, "request_timeout": 8, "response_header_timeout": 1, "stream_idle_timeout": 1, "first_token_timeout": 1, "cooldown_wait_seconds": 0}
	})
	var keys []string
	for i := range 300 {
		keys = append(keys, fmt.Sprintf("sk-%s-%04d", canaryKey, i), fmt.Sprintf("%s%04d", canaryOddKey, i))
	}
	w.addKeys(w.group, keys...)
	dead := w.world.group("dead-proxy", adminapi.ChannelOpenAI, 0, func(g *adminapi.GroupInput) {
		g.Settings = map[string]any{"proxy_url": "http://" + canaryProxyUser + ":" + canaryProxySecret + "@127.0.0.1:1", "max_retries": 1}
	})
	w.addKeys(dead, "sk-"+canaryDeadKey)
	return w
}

func (w *world) addKeys(group string, keys ...string) {
	w.t.Helper()
	added, err := w.admin.AddKeys(w.t.Context(), group, adminapi.KeyInput{Keys: keys})
	if err != nil || added.Added != len(keys) {
		w.t.Fatalf("%+v, %v", added, err)
	}
}

// ask sends the prompt with a tenant's key and checks what the client gets.
func (w *canaryWorld) ask(group, path string, stream bool, key string, header ...string) {
	body := fmt.Sprintf(`{"model":"m","stream":%v,"messages":[{"role":"user","content":%q}]}`, stream, canaryPrompt)
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.node.URL+"/proxy/"+group+path, strings.NewReader(body))
	if err != nil {
		w.t.Error(err)
		return
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.AddCookie(&http.Cookie{Name: adminapi.SessionCookie, Value: canaryCookie})
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	w.heard(strings.Join(header, " ")+" "+path, request)
}

// heard sends a request and fails the test when a canary comes back.
func (w *canaryWorld) heard(story string, request *http.Request) {
	response, err := client.Do(request)
	if err != nil {
		if canary := sings(err.Error()); canary != "" && !strings.Contains(request.URL.String(), canary) {
			w.t.Errorf("%s: the error holds %q: %v", story, canary, err)
		}
		return
	}
	defer func() { _ = response.Body.Close() }()
	body, _ := io.ReadAll(response.Body) // an aborted transfer is part of some stories
	if canary := sings(fmt.Sprint(response.Header, response.Trailer) + string(body)); canary != "" {
		w.t.Errorf("%s: the answer (%s) holds %q:\n%v\n%.2000s", story, response.Status, canary, response.Header, body)
	}
}

// TestCanary pushes canaries through everything that can happen to a request and looks for them everywhere.
func TestCanary(t *testing.T) {
	w := startCanaries(t)
	w.provider.Script(
		fakeprovider.Rule{Match: fakeprovider.Match{Path: "/v1/quotes/client"}, Then: fakeprovider.Then{Status: 400, Body: `{"error":{"message":"invalid content '` + canaryPrompt + `'"}}`, Header: jsonType}},
		fakeprovider.Rule{Match: fakeprovider.Match{Path: "/v1/quotes/dsn"}, Then: fakeprovider.Then{
			Status: 403, Body: `{"error":{"code":"account_deactivated","message":"postgres://svc:` + canaryDSN + `@db/x says no"}}`, Header: jsonType,
		}},
		fakeprovider.Rule{Match: fakeprovider.Match{Path: "/v1/quotes/key"}, Then: fakeprovider.Then{Handler: http.HandlerFunc(quoteKey)}},
	)
	told := w.listen()
	w.everyFault()
	w.wrongCredentials()
	w.ask("canary", "/v1/chat/completions", false, canaryTenant)
	w.ask("canary", "/v1/chat/completions", true, canaryTenant)
	w.ask("canary", "/v1/quotes/dsn", false, canaryTenant)
	w.ask("canary", "/v1/quotes/key", false, canaryTenant)
	w.ask("dead-proxy", "/v1/chat/completions", false, testenv.AuthKey)
	w.get("/proxy/canary/v1/models?key=" + canaryTenant)
	w.get("/proxy/canary/v1/a/../b?key=" + canaryTenant)
	w.clientQuote()
	w.keyTests()
	w.operatorMistakes()

	eventually(t, "the records are stored", func() bool {
		page, err := w.admin.Records(t.Context(), adminapi.RecordFilter{GroupID: w.group, Limit: 1000})
		return err == nil && len(page.Records) >= w.requests
	})
	w.adminAnswers()
	w.files("while the node runs")
	if err := w.node.Stop(); err != nil {
		t.Error(err)
	}
	w.files("after the node's end")
	events := <-told
	if !strings.Contains(events, "event: ") {
		t.Errorf("the stream of events told nothing: %.200s", events)
	}
	if canary := sings(events); canary != "" {
		t.Errorf("the stream of events holds %q", canary)
	}
	if canary := sings(w.node.Logs()); canary != "" {
		for line := range strings.Lines(w.node.Logs()) {
			if strings.Contains(line, canary) {
				t.Errorf("the log holds %q: %s", canary, line)
			}
		}
	}
}

var jsonType = http.Header{"Content-Type": {"application/json"}}

// quoteKey is a provider that repeats the key it got wherever it can.
func quoteKey(w http.ResponseWriter, r *http.Request) {
	key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	quoted, _ := json.Marshal(key)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Www-Authenticate", "Bearer error_description="+string(quoted))
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = fmt.Fprintf(w, `{"error":{"code":"invalid_api_key","message":"Incorrect API key provided: %s","hint":%s}}`, quoted[1:len(quoted)-1], quoted)
}

// everyFault asks for each fault of the catalogue, plain and streamed. Refused connections would hit the others.
func (w *canaryWorld) everyFault() {
	var all sync.WaitGroup
	slots := make(chan struct{}, 32)
	for _, fault := range fakeprovider.Faults() {
		if fault.Name == "refused" {
			continue
		}
		for _, stream := range []bool{false, true} {
			w.requests++
			slots <- struct{}{}
			all.Go(func() {
				w.ask("canary", "/v1/chat/completions", stream, canaryTenant, "X-Fake-Fault", fault.Name)
				<-slots
			})
		}
	}
	all.Wait()
}

// listen reads the stream of events until the node ends it, and then hands over what came, which is nothing if it was refused.
func (w *canaryWorld) listen() <-chan string {
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.node.URL+adminapi.Prefix+"/events", http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+testenv.AuthKey)
	told := make(chan string, 1)
	go func() {
		defer close(told)
		response, err := client.Do(request)
		if err != nil {
			return
		}
		defer func() { _ = response.Body.Close() }()
		all, _ := io.ReadAll(response.Body) // however it ends
		told <- string(all)
	}()
	return told
}

func (w *canaryWorld) wrongCredentials() {
	w.ask("canary", "/v1/chat/completions", false, canaryWrong)
	for _, name := range []string{"X-Api-Key", "X-Goog-Api-Key", "Api-Key"} {
		w.ask("canary", "/v1/chat/completions", false, "", name, canaryWrong)
	}
	w.ask("no-such-group", "/v1/chat/completions", false, canaryTenant)
	w.get("/proxy/canary/v1/models?key=" + canaryWrong)
	w.get("/proxy/?key=" + canaryWrong)
	w.get("/api/v1/groups?key=" + canaryWrong)
	w.get("/nothing/here?key=" + canaryWrong)
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.node.URL+"/api/v1/groups", http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+canaryWrong)
	w.heard("a wrong AUTH_KEY", request)
	if _, err := w.admin.Login(w.t.Context(), canaryWrong); err == nil || sings(err.Error()) != "" {
		w.t.Errorf("logging in with a wrong key: %v", err)
	}
}

func (w *canaryWorld) get(path string) {
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.node.URL+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	w.heard(path, request)
}

// clientQuote: a 400 is the client's to see, its own prompt included; nobody else's.
func (w *canaryWorld) clientQuote() {
	w.requests++
	status, body, err := w.do(http.MethodPost, "/proxy/canary/v1/quotes/client", `{"model":"m","messages":[{"role":"user","content":"`+canaryPrompt+`"}]}`)
	if err != nil || status != 400 || !strings.Contains(body, canaryPrompt) {
		w.t.Errorf("%d %s %v", status, body, err)
	}
}

// keyTests tests keys that pass, keys that the provider repeats, and keys behind a dead outgoing proxy.
func (w *canaryWorld) keyTests() {
	w.provider.SetKeys("sk-" + canaryKey + "-0000")
	for _, name := range []string{"canary", "dead-proxy"} {
		group, err := w.admin.GroupByName(w.t.Context(), name)
		if err != nil {
			w.t.Fatal(err)
		}
		page, err := w.admin.Keys(w.t.Context(), group.ID, adminclient.KeyFilter{Limit: 10})
		if err != nil {
			w.t.Fatal(err)
		}
		var ids []string
		for _, key := range page.Keys {
			ids = append(ids, key.ID)
		}
		tests, err := w.admin.TestKeys(w.t.Context(), group.ID, ids...)
		if err != nil || sings(fmt.Sprint(tests)) != "" {
			w.t.Errorf("%s: %+v, %v", name, tests, err)
		}
	}
}

// operatorMistakes are refused without repeating what was secret in them.
func (w *canaryWorld) operatorMistakes() {
	ctx := w.t.Context()
	result, err := w.admin.ImportKeys(ctx, w.group, strings.NewReader("sk-fine-key-0001\n"+canaryRejected+"\x01\x02\n"+strings.Repeat(canaryRejected, 2000)+"\n"), adminclient.ImportOptions{})
	if err == nil {
		result, err = w.admin.WaitOperation(ctx, result.ID, nil)
	}
	if err == nil {
		err = w.admin.EachOutcome(ctx, result.ID, func(o adminapi.OperationOutcome) error {
			if sings(fmt.Sprint(o)) != "" {
				w.t.Errorf("the result of an import tells %v", o)
			}
			return nil
		})
	}
	if err != nil || result.Counts["rejected"] == 0 || sings(fmt.Sprint(result)) != "" {
		w.t.Errorf("import: %.500s, %v", fmt.Sprint(result), err)
	}
	for name, err := range map[string]error{
		"an upstream with user information": func() error {
			_, err := w.admin.CreateGroup(ctx, adminapi.GroupInput{Name: "x", Channel: adminapi.ChannelOpenAI, Upstreams: []adminapi.Upstream{{URL: "https://u:" + canaryProxySecret + "@example.com", Weight: 1}}})
			return err
		}(),
		"a broken proxy_url": func() error {
			_, err := w.admin.ChangeSettings(ctx, adminapi.SettingsPatch{"proxy_url": "gopher://" + canaryProxyUser + ":" + canaryProxySecret + "@h:port"})
			return err
		}(),
		"a proxy_url that is no URL": func() error {
			_, err := w.admin.ChangeSettings(ctx, adminapi.SettingsPatch{"proxy_url": "http://" + canaryProxyUser + ":" + canaryProxySecret + "%zz@h"})
			return err
		}(),
		"a proxy key with a space": func() error {
			_, err := w.admin.ChangeGroup(ctx, w.group, adminapi.GroupPatch{ProxyKeys: &[]string{canaryTenant + "\n"}}, 0)
			return err
		}(),
		"a key of the wrong type": func() error {
			_, err := w.admin.ChangeSettings(ctx, adminapi.SettingsPatch{"proxy_keys": []any{canaryTenant, 1}})
			return err
		}(),
	} {
		if err == nil {
			w.t.Errorf("%s was taken", name)
		} else if canary := sings(err.Error()); canary != "" {
			w.t.Errorf("%s: the error holds %q: %v", name, canary, err)
		}
	}
}

// adminAnswers reads everything that the admin API tells without being asked to reveal.
func (w *canaryWorld) adminAnswers() {
	document, err := w.admin.OpenAPI(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var api struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(document, &api); err != nil {
		w.t.Fatal(err)
	}
	records, err := w.admin.Records(w.t.Context(), adminapi.RecordFilter{Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	keys, err := w.admin.Keys(w.t.Context(), w.group, adminclient.KeyFilter{Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	events, err := w.admin.Audit(w.t.Context(), adminapi.AuditFilter{Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	var recordIDs, keyIDs, eventIDs []string
	for _, e := range events.Events {
		eventIDs = append(eventIDs, e.ID)
	}
	for _, r := range records.Records {
		recordIDs = append(recordIDs, r.ID)
	}
	for _, k := range keys.Keys {
		keyIDs = append(keyIDs, k.ID)
	}
	asked := 0
	for path, methods := range api.Paths {
		if methods["get"] == nil || path == "/keys/{id}/value" || path == "/events" { // the one that reveals, and the one without an end
			continue
		}
		ids := []string{w.group}
		switch {
		case strings.HasPrefix(path, "/records"):
			ids = recordIDs
		case strings.HasPrefix(path, "/audit"):
			ids = eventIDs
		case strings.HasPrefix(path, "/keys"):
			ids = keyIDs
		}
		if !strings.Contains(path, "{id}") {
			ids = ids[:1]
		}
		for _, id := range ids {
			asked++
			status, body, err := w.do(http.MethodGet, adminapi.Prefix+strings.ReplaceAll(path, "{id}", id), "")
			if err != nil || status != 200 {
				w.t.Errorf("GET %s: %d %s %v", path, status, body, err)
			}
			if canary := sings(body); canary != "" {
				at := strings.Index(body, canary)
				w.t.Errorf("GET %s holds %q: ...%s...", path, canary, body[max(at-300, 0):min(at+100, len(body))])
			}
		}
	}
	if asked < w.requests {
		w.t.Errorf("only %d answers were read", asked)
	}
}

// files looks into the database, its journal, the spool, the log file and whatever else the node wrote.
func (w *canaryWorld) files(when string) {
	for _, canary := range canaries {
		if where := grep(w.t, w.node.Dir, canary); where != "" {
			w.t.Errorf("%s %q stands in %s", when, canary, filepath.Base(where))
		}
	}
}
