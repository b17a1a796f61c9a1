package proxy

import (
	"context"
	"net/http"
	"strings"
	"time"

	"go.uber.org/zap"

	"gpt-load/internal/fleet"
	"gpt-load/internal/provider"
)

// KeyTest is the outcome of one test of one key.
type KeyTest struct {
	OK       bool
	Status   int // 0 when no answer came
	Class    fleet.Class
	Reason   string
	Evidence string
	Duration time.Duration
	Restored bool // the key was invalid and is active again
}

// TestKey asks the provider with one key, the same way as a client's request goes: redirects, overrides, header rules,
// outgoing proxy and verdict included. A key that passes leaves the invalid state; a verdict against the key counts
// as in traffic; anything else changes nothing. A disabled key is tested and stays disabled.
func (h *Handler) TestKey(ctx context.Context, groupID fleet.GroupID, keyID fleet.KeyID) (KeyTest, error) {
	group, ok := h.Snapshots.Load().ByID(groupID)
	if !ok || group.Kind != fleet.KindStandard {
		return KeyTest{}, fleet.NewError(fleet.CodeNotFound, "no standard group has this id", nil)
	}
	pool, route := h.Pools.Get(groupID), h.Routes.of(groupID)
	if pool == nil || route.addresses == nil {
		return KeyTest{}, fleet.NewError(fleet.CodeUnavailable, "the group is not in use on this node yet", nil)
	}
	pick, ok := pool.Lookup(keyID, time.Now())
	if !ok {
		return KeyTest{}, fleet.NewError(fleet.CodeNotFound, "the group has no key with this id", nil)
	}
	address, ok := route.addresses.Choose(nil, time.Now())
	if !ok {
		return KeyTest{}, fleet.NewError(fleet.CodeInvalid, "every upstream of the group has weight 0", nil)
	}
	probe := provider.ProbeFor(group.Channel, group.Validation)
	path, query, _ := strings.Cut(probe.Path, "?")
	a := &ask{method: probe.Method, path: path, query: query, header: probe.Header, body: &body{data: probe.Body, whole: true, length: int64(len(probe.Body))}}
	a.findModel(group.Channel)
	p := a.prepare(group)
	if p.refusal != nil {
		return KeyTest{}, fleet.NewError(fleet.CodeInvalid, "the group refuses its own test request: "+p.refusal.Message, nil)
	}
	a.header["User-Agent"] = []string{"gpt-load-key-test"}

	begun := time.Now()
	timeout := group.Settings.KeyValidationTimeout
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	c := h.send(ctx, a, p, pick, address.Address, true, begun.Add(timeout))
	defer c.close()
	x := &exchange{h: h, r: (&http.Request{Method: a.method}).WithContext(ctx), ask: *a, format: provider.FormatOf(group.Channel, path)}
	chosen := choice{candidate: &candidate{p: p, pool: pool, route: route}, pick: pick, address: address}
	verdict := x.judgeTest(c, chosen)
	result := KeyTest{
		OK: verdict.Class == fleet.ClassOK, Class: verdict.Class, Reason: verdict.Reason, Evidence: verdict.Evidence,
		Duration: time.Since(begun),
	}
	if c.response != nil {
		result.Status = c.response.StatusCode
	}
	result.Restored = h.settleTest(c, chosen, verdict)
	return result, nil
}

// judgeTest judges the answer to a key test; an error inside a 200 counts.
func (x *exchange) judgeTest(c *call, chosen choice) provider.Verdict {
	verdict := x.judge(c, chosen)
	if verdict.Class != fleet.ClassOK {
		return verdict
	}
	c.readError()
	inspector := provider.NewInspector(x.format, c.kind)
	decision := inspector.Feed(c.held)
	if decision == provider.DecisionMore && c.ended {
		decision = inspector.End()
	}
	if decision == provider.DecisionError {
		return x.judgeInBand(c, chosen, inspector.ErrorBody())
	}
	return verdict
}

// settleTest applies the verdict of a test and reports whether it brought the key back.
func (h *Handler) settleTest(c *call, chosen choice, v provider.Verdict) bool {
	now := time.Now()
	switch {
	case v.Class == fleet.ClassOK:
		chosen.address.Success(now)
		change, restored := chosen.pool.Restore(chosen.pick.KeyID, now)
		if restored {
			h.Journal.Add(change)
			h.Log.Info("a key works again", zap.String("group", chosen.p.group.Name), zap.String("key_tail", chosen.pick.Value.Tail()))
		}
		return restored
	case v.Class == fleet.ClassUpstream:
		chosen.address.Fault(c.err, now)
	case blamesKey(v.Class) && v.Class != fleet.ClassModelDenied:
		chosen.address.Success(now)
		h.blameKey(chosen.p, chosen.pool, chosen.pick, v, now)
	default:
		chosen.address.Release()
	}
	return false
}
