package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

const (
	propagationChanges = 1000
	// propagationLimit bounds the 99th percentile, and propagationPatience each single change.
	propagationLimit    = time.Second
	propagationPatience = 10 * time.Second
	probePause          = time.Millisecond
)

// spread is a fleet of three nodes with a group of one key, whose requests show what is in force on a node.
type spread struct {
	*benchFleet
	client *http.Client
	admins []*adminclient.Client
	group  string // id
	marks  []int  // the last mark that each node showed
	back   int    // how often a node showed an older one
}

// probe asks a node and reports whether the change is in force there.
type probe func(ctx context.Context, node int) (bool, error)

// benchPropagation makes changes on each of three nodes in turn and watches the other two, request by request.
func benchPropagation(ctx context.Context, r *report, s settings) (err error) {
	changes := propagationChanges
	if s.quick {
		changes /= 10
	}
	r.title(fmt.Sprintf("From a change on one of 3 nodes to the first request that shows it on the last of the others, %d changes each", changes))
	f, err := startFleet(ctx, s, fleetOptions{followers: 2})
	defer func() { err = errors.Join(err, f.stop()) }()
	if err != nil {
		return err
	}
	p := &spread{benchFleet: f, client: newFlowClient(), marks: make([]int, len(f.nodes))}
	defer p.client.CloseIdleConnections()
	for _, n := range f.nodes {
		p.admins = append(p.admins, n.Client())
	}
	if err := p.createGroup(ctx); err != nil {
		return err
	}
	for _, kind := range []func(context.Context, *report, int) error{p.settings, p.proxyKeys, p.keyStates, p.verdicts} {
		if err := kind(ctx, r, changes); err != nil {
			return f.explain(ctx, err)
		}
	}
	return nil
}

func (p *spread) createGroup(ctx context.Context) error {
	group, err := p.admins[0].CreateGroup(ctx, adminapi.GroupInput{
		Name: "spread", Channel: adminapi.ChannelOpenAI, Upstreams: []adminapi.Upstream{{URL: p.upstream.addr, Weight: 1}},
	})
	if err != nil {
		return err
	}
	p.group = group.ID
	if _, err = p.admins[0].AddKeys(ctx, p.group, adminapi.KeyInput{Keys: []string{"sk-bench-the-only-one"}}); err != nil {
		return err
	}
	return p.everywhere(ctx, func(ctx context.Context, node int) (bool, error) {
		status, _, err := p.ask(ctx, node, testenv.AuthKey, 0)
		return status == http.StatusOK, err // 404 before it has the group
	})
}

// everywhere waits until a change is in force on every node.
func (p *spread) everywhere(ctx context.Context, probe probe) error {
	for node := range p.nodes {
		if _, err := p.watch(ctx, node, time.Now(), probe); err != nil {
			return err
		}
	}
	return nil
}

// series makes changes, on one node after the other, and returns how long each took to be in force on all the others.
// prepare, which may be nil, brings all nodes to where the change begins.
func (p *spread) series(ctx context.Context, changes int, prepare func(i int) error, change func(i, node int) error, probe func(i int) probe) (latencies, error) {
	var took latencies
	for i := range changes {
		if prepare != nil {
			if err := prepare(i); err != nil {
				return nil, err
			}
		}
		longest, err := p.one(ctx, i, i%len(p.nodes), change, probe(i))
		if err != nil {
			return nil, fmt.Errorf("change %d: %w", i, err)
		}
		took = append(took, longest)
	}
	return took, nil
}

// one makes a change. The clock runs from before the change is asked for to the end of the request that shows it.
func (p *spread) one(ctx context.Context, i, origin int, change func(i, node int) error, probe probe) (time.Duration, error) {
	begun := time.Now()
	took := make([]time.Duration, len(p.nodes))
	errs := make([]error, len(p.nodes)+1)
	var watchers sync.WaitGroup
	for node := range p.nodes {
		if node != origin {
			watchers.Go(func() { took[node], errs[node] = p.watch(ctx, node, begun, probe) })
		}
	}
	errs[len(p.nodes)] = change(i, origin)
	watchers.Wait()
	var longest time.Duration
	for _, t := range took {
		longest = max(longest, t)
	}
	return longest, errors.Join(errs...)
}

// watch asks a node again and again until the change is in force.
func (p *spread) watch(ctx context.Context, node int, begun time.Time, probe probe) (time.Duration, error) {
	for {
		shown, err := probe(ctx, node)
		took := time.Since(begun)
		switch {
		case err != nil:
			return took, fmt.Errorf("node %d: %w", node+1, err)
		case shown:
			return took, nil
		case took > propagationPatience:
			return took, fmt.Errorf("node %d does not show it after %v", node+1, propagationPatience)
		}
		if err := pause(ctx, probePause); err != nil {
			return took, err
		}
	}
}

// ask sends a request of the group through a node. status, if not 0, is what the upstream is to answer.
func (p *spread) ask(ctx context.Context, node int, key string, status int) (int, http.Header, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.nodes[node].URL+"/proxy/spread/v1/chat/completions",
		bytes.NewReader([]byte(`{"model":"gpt-bench","messages":[{"role":"user","content":"hi"}]}`)))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("X-Bench-Size", "256")
	if status != 0 {
		request.Header.Set("X-Bench-Status", strconv.Itoa(status))
	}
	response, err := p.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Header, errors.Join(err, response.Body.Close())
}

// answers is a probe that looks at the status that a client gets. There is no other than these two.
func (p *spread) answers(key string, want, before int) probe {
	return func(ctx context.Context, node int) (bool, error) {
		status, _, err := p.ask(ctx, node, key, 0)
		if err == nil && status != want && status != before {
			err = fmt.Errorf("status %d, neither %d nor %d", status, want, before)
		}
		return status == want, err
	}
}

// serves is a probe for a usable key.
func (p *spread) serves(yes bool) probe {
	if yes {
		return p.answers(testenv.AuthKey, http.StatusOK, http.StatusServiceUnavailable)
	}
	return p.answers(testenv.AuthKey, http.StatusServiceUnavailable, http.StatusOK)
}

// settings changes a header rule, which the upstream repeats to the client.
func (p *spread) settings(ctx context.Context, r *report, changes int) error {
	const name = "X-Bench-Mark"
	var mu sync.Mutex
	change := func(i, node int) error {
		_, err := p.admins[node].ChangeGroup(ctx, p.group, adminapi.GroupPatch{
			HeaderRules: &[]adminapi.HeaderRule{{Name: name, Action: "set", Value: strconv.Itoa(i + 1)}},
		}, 0)
		return err
	}
	took, err := p.series(ctx, changes, nil, change, func(i int) probe {
		return func(ctx context.Context, node int) (bool, error) {
			status, header, err := p.ask(ctx, node, testenv.AuthKey, 0)
			if err != nil || status != http.StatusOK {
				return false, fmt.Errorf("status %d: %w", status, err)
			}
			mark, _ := strconv.Atoi(header.Get(name)) // none before the first change
			mu.Lock()
			defer mu.Unlock()
			if mark < p.marks[node] {
				p.back++
			}
			p.marks[node] = mark
			return mark == i+1, nil
		}
	})
	if err != nil {
		return fmt.Errorf("changing a header rule: %w", err)
	}
	reportPropagation(r, "settings (a header rule)", took)
	r.promise("  older settings shown after newer ones: 0", p.back == 0, "%d", p.back)
	return nil
}

// proxyKeys replaces the only proxy key of the group: what was right before is refused.
func (p *spread) proxyKeys(ctx context.Context, r *report, changes int) error {
	key := func(i int) string { return fmt.Sprintf("sk-bench-client-%020d", i) }
	change := func(i, node int) error {
		_, err := p.admins[node].ChangeGroup(ctx, p.group, adminapi.GroupPatch{ProxyKeys: &[]string{key(i + 1)}}, 0)
		return err
	}
	if err := change(-1, 0); err != nil {
		return err
	}
	prepare := func(i int) error {
		return p.everywhere(ctx, p.answers(key(i), http.StatusOK, http.StatusUnauthorized))
	}
	took, err := p.series(ctx, changes, prepare, change, func(i int) probe {
		return p.answers(key(i), http.StatusUnauthorized, http.StatusOK)
	})
	if err != nil {
		return fmt.Errorf("revoking a proxy key: %w", err)
	}
	reportPropagation(r, "proxy keys (revoked)", took)
	return nil
}

// keyStates switches the only key off and on.
func (p *spread) keyStates(ctx context.Context, r *report, changes int) error {
	enable := func(_, node int) error {
		_, err := p.admins[node].EnableKeys(ctx, p.group, adminapi.KeySelection{State: adminapi.KeyDisabled})
		return err
	}
	disable := func(_, node int) error {
		_, err := p.admins[node].DisableKeys(ctx, p.group, adminapi.KeySelection{State: adminapi.KeyActive})
		return err
	}
	var enabled latencies
	prepare := func(i int) error {
		if i == 0 {
			return nil
		}
		took, err := p.one(ctx, i, (i+1)%len(p.nodes), enable, p.serves(true))
		enabled = append(enabled, took)
		return errors.Join(err, p.everywhere(ctx, p.serves(true)))
	}
	took, err := p.series(ctx, changes, prepare, disable, func(int) probe { return p.serves(false) })
	if err != nil {
		return fmt.Errorf("switching a key off and on: %w", err)
	}
	reportPropagation(r, "key states (disabled)", took)
	reportPropagation(r, "key states (enabled)", enabled)
	return errors.Join(enable(0, 0), p.everywhere(ctx, p.serves(true)))
}

// verdicts lets the provider call the only key invalid: no node asks with it again.
func (p *spread) verdicts(ctx context.Context, r *report, changes int) error {
	prepare := func(i int) error {
		if i == 0 {
			return nil
		}
		// The verdict is in the database within 200 ms; until then there is nothing to restore.
		for {
			restored, err := p.admins[i%len(p.nodes)].RestoreKeys(ctx, p.group, adminapi.KeySelection{State: adminapi.KeyInvalid})
			if err == nil && restored == 0 {
				err = pause(ctx, 10*time.Millisecond)
			}
			if err != nil {
				return fmt.Errorf("restoring it: %w", err)
			}
			if restored > 0 {
				return p.everywhere(ctx, p.serves(true))
			}
		}
	}
	refuse := func(_, node int) error {
		_, _, err := p.ask(ctx, node, testenv.AuthKey, http.StatusUnauthorized)
		return err
	}
	took, err := p.series(ctx, changes, prepare, refuse, func(int) probe { return p.serves(false) })
	if err != nil {
		return fmt.Errorf("a key that the provider calls invalid: %w", err)
	}
	reportPropagation(r, "verdicts (invalid key)", took)
	return nil
}

func reportPropagation(r *report, what string, took latencies) {
	p99 := took.quantile(0.99)
	r.promise(fmt.Sprintf("%s, p99 at most %v", what, propagationLimit), p99 <= propagationLimit, "p50 %.1f, p99 %.1f, max %.1f ms",
		micros(took.quantile(0.5))/1e3, micros(p99)/1e3, micros(took.quantile(1))/1e3)
}
