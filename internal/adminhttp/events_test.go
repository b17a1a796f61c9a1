package adminhttp_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/cookiejar"
	"testing"
	"time"

	"gpt-load/internal/cluster"
	"gpt-load/internal/fleet"
	"gpt-load/internal/requestlog"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

// streamClient does not read answers as a whole, as the checked clients do.
func (w *world) streamClient(options ...adminclient.Option) *adminclient.Client {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	transport := &http.Transport{}
	w.t.Cleanup(transport.CloseIdleConnections)
	c, err := adminclient.New(w.server.URL, append([]adminclient.Option{adminclient.WithHTTPClient(&http.Client{Jar: jar, Transport: transport})}, options...)...)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// following is a stream that a test reads event by event.
type following struct {
	t    *testing.T
	next func() (adminapi.Event, error, bool)
	last string
}

func follow(t *testing.T, c *adminclient.Client, lastID string, topics ...string) *following {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	next, stop := iter.Pull2(c.Events(ctx, lastID, topics...))
	t.Cleanup(func() {
		cancel()
		stop()
	})
	return &following{t: t, next: next}
}

// await reads up to an event of a name that fits, into out.
func (f *following) await(name string, out any, fits func() bool) {
	f.t.Helper()
	for {
		e, err, ok := f.next()
		if err != nil || !ok {
			f.t.Fatalf("waiting for %s: %v", name, err)
		}
		if e.ID != "" {
			f.last = e.ID
		}
		if e.Name != name {
			continue
		}
		if err := e.Decode(out); err != nil {
			f.t.Fatal(err)
		}
		if fits == nil || fits() {
			return
		}
	}
}

func TestEventsTellOfKeysNodesAndRecords(t *testing.T) {
	w := newWorld(t)
	w.self = cluster.Member{ID: "node-1", Role: cluster.RoleSingle}
	g := w.group(openai("openai"))
	added, err := w.client.AddKeys(t.Context(), g.ID, adminapi.KeyInput{Text: "sk-canary-aaaaaaaaaaaa0001"})
	if err != nil {
		t.Fatal(err)
	}
	s := follow(t, w.streamClient(adminclient.WithAuthKey(authKey)), "")
	var begin adminapi.StreamBegin
	if s.await(adminapi.EventBegin, &begin, nil); begin.Resumed {
		t.Error("a first stream goes on where none was")
	}
	var nodes adminapi.NodeList
	if s.await(adminapi.TopicNodes, &nodes, nil); len(nodes.Nodes) != 1 || nodes.Nodes[0].ID != "node-1" {
		t.Errorf("nodes %+v", nodes)
	}
	var traffic adminapi.TrafficEvent
	if s.await(adminapi.TopicTraffic, &traffic, nil); len(traffic.Minutes) != 10 {
		t.Errorf("traffic %+v", traffic)
	}
	key := added.Keys[0].ID
	until := w.clock().Add(time.Hour)
	w.api.KeysChanged(1, fleet.KeyChange{KeyID: 1, GroupID: 1, State: fleet.KeyActive, At: w.clock(), Cooldowns: []fleet.Cooldown{{Until: until, Reason: "rate_limited"}}})
	var keys adminapi.KeysEvent
	s.await(adminapi.TopicKeys, &keys, func() bool { return len(keys.Changes) > 0 })
	if k := keys.Changes[0]; k.KeyID != key || k.GroupID != g.ID || k.State != adminapi.KeyCooling || k.Reason != "rate_limited" || len(k.Cooldowns) != 1 {
		t.Errorf("key %+v", k)
	}
	w.api.ConfigurationChanged(7)
	var revision adminapi.RevisionEvent
	if s.await(adminapi.TopicRevision, &revision, nil); revision.Revision != 7 {
		t.Errorf("revision %+v", revision)
	}
	seen := s.last
	batch := requestlog.Batch{Source: "a", Position: 1}
	for range 3 {
		batch.Records = append(batch.Records, fleet.RequestRecord{ID: fleet.NewRecordID(w.clock()), StartedAt: w.clock(), GroupID: 1, Status: 200, Class: fleet.ClassOK})
	}
	if err := w.store.WriteRecords(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	var records adminapi.RecordsEvent
	if s.await(adminapi.TopicRecords, &records, nil); records.Count != 3 || records.Cursor == "" {
		t.Errorf("records %+v", records)
	}
	again := follow(t, w.streamClient(adminclient.WithAuthKey(authKey)), seen, adminapi.TopicRecords)
	if again.await(adminapi.EventBegin, &begin, nil); !begin.Resumed {
		t.Error("a client that comes back does not go on")
	}
	again.await(adminapi.TopicRecords, &records, nil)
}

func TestEventStreamsEnd(t *testing.T) {
	w := newWorld(t)
	browser := w.streamClient()
	if _, err := browser.Login(t.Context(), authKey); err != nil {
		t.Fatal(err)
	}
	ofSession, ofKey := follow(t, browser, ""), follow(t, w.streamClient(adminclient.WithAuthKey(authKey)), "")
	var begin adminapi.StreamBegin
	ofSession.await(adminapi.EventBegin, &begin, nil)
	ofKey.await(adminapi.EventBegin, &begin, nil)
	if _, err := w.client.EndSessions(t.Context()); err != nil {
		t.Fatal(err)
	}
	var end adminapi.StreamEnd
	if ofSession.await(adminapi.EventEnd, &end, nil); end.Reason != adminapi.EndSession {
		t.Errorf("ended with %+v", end)
	}
	if _, err, _ := ofSession.next(); !errors.Is(err, io.EOF) {
		t.Errorf("after its end: %v", err)
	}
	w.api.Leave()
	if ofKey.await(adminapi.EventEnd, &end, nil); end.Reason != adminapi.EndShutdown {
		t.Errorf("ended with %+v", end)
	}
	_, err, _ := follow(t, w.client, "").next()
	refused(t, err, adminapi.CodeUnavailable)
}

func TestEventsAreForThoseWhoMayAsk(t *testing.T) {
	w := newWorld(t)
	_, err, _ := follow(t, w.newClient(), "").next()
	refused(t, err, adminapi.CodeUnauthorized)
	_, err, _ = follow(t, w.client, "", "weather").next()
	refused(t, err, adminapi.CodeInvalid)
}
