package adminhttp

import (
	"context"
	"reflect"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/operation"
	"gpt-load/internal/secret"
	"gpt-load/pkg/adminapi"
)

const (
	// watchPause is between two looks at the nodes, and at operations that are under way.
	watchPause = 2 * time.Second
	// watchStore is between two looks at the database for everything else, as for configuration and keys.
	watchStore = 5 * time.Second
	// watchTimeout bounds one look.
	watchTimeout = 5 * time.Second
	// watchLinger is how long the node goes on looking after its last stream, for a client that comes back.
	watchLinger = 30 * time.Second

	operationsWatched = 50
	trafficMinutes    = 10
	trafficGroups     = 100
)

// KeysChanged tells of keys that a verdict, an operator or another node changed; without changes, that keys of the group came or went.
// It is quick and keeps nobody waiting.
func (a *API) KeysChanged(group fleet.GroupID, changes ...fleet.KeyChange) {
	a.keyEvents.add(group, changes...)
}

// ConfigurationChanged tells that the node serves by a revision.
func (a *API) ConfigurationChanged(revision int64) {
	a.tell(adminapi.TopicRevision, adminapi.RevisionEvent{Revision: revision})
}

// Leave ends all event streams, because the node shuts down, and refuses others.
func (a *API) Leave() { a.streams.close() }

// Run feeds the event streams until ctx ends, and then ends them. Without streams it asks nobody. It returns nil.
func (a *API) Run(ctx context.Context) error {
	defer a.streams.close()
	var running sync.WaitGroup
	running.Go(func() { a.tellKeys(ctx) })
	running.Go(func() { a.watch(ctx) })
	running.Wait()
	return nil
}

func (a *API) tell(topic string, event any) {
	if err := a.events.add(topic, event); err != nil {
		a.Logger.Error("an event could not be told", zap.String("topic", topic), zap.Error(err))
	}
}

// tellKeys makes one event of what happens to keys within keyEventWait.
func (a *API) tellKeys(ctx context.Context) {
	timer := time.NewTimer(keyEventWait)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.keyEvents.wake:
		}
		timer.Reset(keyEventWait)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if event := a.keyEvents.take(a.Clock()); len(event.Groups) > 0 {
			a.tell(adminapi.TopicKeys, event)
		}
	}
}

// watcher looks, for all streams of the node at once, at what is not announced. It belongs to one goroutine.
type watcher struct {
	api        *API
	nodes      adminapi.NodeList
	operations map[operation.ID]adminapi.Operation // those of the last look; nil before the first
	busy       bool                                // some of them have not ended
	records    int64                               // revision; -1 before the first look
	minute     time.Time                           // end of the traffic that was told
	lookedAt   time.Time                           // at the store
	usedAt     time.Time                           // when there was a stream; zero while nobody looks
	failing    bool
}

func (a *API) watch(ctx context.Context) {
	w := watcher{api: a, records: -1}
	ticker := time.NewTicker(watchPause)
	defer ticker.Stop()
	for {
		asked := false
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-a.streams.look:
			asked = true
		}
		streams, sessions := a.streams.count()
		switch {
		case streams > 0:
			w.usedAt = time.Now()
		case w.usedAt.IsZero():
			continue
		case time.Since(w.usedAt) > watchLinger:
			a.events.restart()
			w = watcher{api: a, records: -1}
			continue
		}
		w.look(ctx, sessions > 0, asked)
	}
}

// look tells what is new. asked says that somebody just came or that sessions ended.
func (w *watcher) look(ctx context.Context, sessions, asked bool) {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	w.lookAtNodes(ctx)
	whole := asked || time.Since(w.lookedAt) >= watchStore
	var err error
	if whole || w.busy {
		err = w.lookAtOperations(ctx)
	}
	if whole {
		w.lookedAt = time.Now()
		if err == nil {
			err = w.lookAtRecords(ctx)
		}
		if err == nil && sessions {
			err = w.api.endStreamsOfSessions(ctx)
		}
	}
	if err != nil && ctx.Err() == nil && !w.failing {
		w.api.Logger.Warn("the event streams lack news: the database does not answer", zap.String("cause", secret.Redact(err.Error())))
	}
	w.failing = err != nil
}

func (w *watcher) lookAtNodes(ctx context.Context) {
	answer, err := w.api.listNodes(ctx, nil)
	if err != nil {
		return
	}
	// What moves all the time is no news by itself.
	calm := adminapi.NodeList{Complete: answer.Body.Complete, Nodes: slices.Clone(answer.Body.Nodes)}
	for i := range calm.Nodes {
		n := &calm.Nodes[i]
		n.InFlight, n.RecordsWaiting, n.SeenAt, n.StartedAt, n.ClockOffsetMS = 0, 0, time.Time{}, time.Time{}, 0
	}
	if !reflect.DeepEqual(calm, w.nodes) {
		w.nodes = calm
		w.api.tell(adminapi.TopicNodes, answer.Body)
	}
}

func (w *watcher) lookAtOperations(ctx context.Context) error {
	page, _, err := w.api.Operations.List(ctx, operation.Query{Limit: operationsWatched})
	if err != nil {
		return err
	}
	first, seen := w.operations == nil, make(map[operation.ID]adminapi.Operation, len(page))
	event := adminapi.OperationsEvent{Operations: []adminapi.Operation{}}
	w.busy = false
	for _, o := range page {
		wire := w.api.wireOperation(o)
		calm := wire
		calm.PerSecond = 0
		seen[o.ID] = calm
		w.busy = w.busy || !wire.Ended()
		// At first those that ended long ago are no news.
		if known, ok := w.operations[o.ID]; ok && !reflect.DeepEqual(known, calm) || !ok && (!first || !wire.Ended()) {
			event.Operations = append(event.Operations, wire)
		}
	}
	w.operations = seen
	if len(event.Operations) > 0 {
		w.api.tell(adminapi.TopicOperations, event)
	}
	return nil
}

func (w *watcher) lookAtRecords(ctx context.Context) error {
	revision, count, err := w.api.Store.RecordsWritten(ctx, w.records)
	if err != nil {
		return err
	}
	fresh := revision != w.records
	if fresh && w.records >= 0 {
		w.api.tell(adminapi.TopicRecords, adminapi.RecordsEvent{Count: count, Cursor: strconv.FormatInt(revision, 10)})
	}
	w.records = revision
	to := w.api.Clock().UTC().Truncate(time.Minute)
	if !fresh && to.Equal(w.minute) {
		return nil
	}
	event, err := w.api.traffic(ctx, to)
	if err == nil {
		w.minute = to
		w.api.tell(adminapi.TopicTraffic, event)
	}
	return err
}

func (a *API) traffic(ctx context.Context, to time.Time) (adminapi.TrafficEvent, error) {
	q := fleet.StatsQuery{From: to.Add(-trafficMinutes * time.Minute), To: to, Step: fleet.StatsMinute, By: []fleet.StatsBy{fleet.StatsByTime}}
	event := adminapi.TrafficEvent{From: q.From, To: q.To, Groups: []adminapi.TrafficGroup{}}
	byTime, err := a.Store.Stats(ctx, q)
	if err != nil {
		return event, err
	}
	event.Minutes = mapped(wholeSeries(byTime.Rows, q), chartPoint)
	q.By = []fleet.StatsBy{fleet.StatsByGroup}
	byGroup, err := a.Store.Stats(ctx, q)
	seconds := q.To.Sub(q.From).Seconds()
	for _, row := range sharesOf(byGroup.Rows, trafficGroups).Rows {
		event.Groups = append(event.Groups, adminapi.TrafficGroup{
			GroupID: row.GroupID, RequestsPerSecond: float64(row.Requests) / seconds, SucceededPerSecond: float64(row.Succeeded) / seconds,
			ClientFaultsPerSecond: float64(row.ClientFaults) / seconds, FailedPerSecond: float64(row.Failed) / seconds,
		})
	}
	return event, err
}

// endStreamsOfSessions ends the streams whose sessions are over. One question serves all streams, and it renews no session.
func (a *API) endStreamsOfSessions(ctx context.Context) error {
	sessions, err := a.Store.Sessions(ctx)
	if err != nil {
		return err
	}
	holds := make(map[string]bool, len(sessions))
	now := a.Clock()
	for _, s := range sessions {
		holds[s.ID] = now.Before(idleEnd(s))
	}
	a.streams.endThose(adminapi.EndSession, func(s *eventStream) bool { return s.session != "" && !holds[s.session] })
	return nil
}
