package fakeprovider

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options configure a Provider. The zero value is a provider that accepts every key and model.
type Options struct {
	// Keys are the valid credentials. Empty accepts any, and none.
	Keys []string
	// Models are the models that exist. Empty accepts any name and lists a few well-known ones.
	Models []string
	// KeepCalls is how many recent calls are kept in detail; 0 takes 10,000, below 0 keeps none (benchmarks).
	KeepCalls int
	// KeepBody is how many bytes of a request body a kept call holds; 0 takes 64 KiB, below 0 none.
	KeepBody int
	// MaxBody is the largest request body that is read; more is answered with the format's own 413. 0 takes 256 MiB.
	MaxBody int64
	// Strict answers calls that no rule speaks for with 501 and reports them to Test.
	Strict bool
	// Test is told of unexpected calls in strict mode; nil tells nobody but ExpectCalls.
	Test TB
	// Log gets one call after its end. It must be quick; nil logs nothing.
	Log func(Call)
	// Now is the clock of scripts, records and dates; nil takes time.Now.
	Now func() time.Time
}

// Provider is a fake AI provider. It is an http.Handler, safe for concurrent use; Start gives it a listener of its own.
type Provider struct {
	opts   Options
	script script
	ledger *ledger
	server listening

	mu   sync.RWMutex
	keys map[string]struct{} // nil accepts any

	closed    chan struct{}
	closeOnce sync.Once
}

// New makes a provider without a listener. Close it when it held, hung or stalled calls, or was started.
func New(o Options) *Provider {
	pick(&o.KeepCalls, 10_000)
	pick(&o.KeepBody, 64<<10)
	pick(&o.MaxBody, 256<<20)
	if o.Now == nil {
		o.Now = time.Now
	}
	p := &Provider{opts: o, ledger: newLedger(o.KeepCalls), closed: make(chan struct{})}
	p.SetKeys(o.Keys...)
	return p
}

// SetKeys replaces the valid credentials; none accepts any.
func (p *Provider) SetKeys(keys ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = nil
	if len(keys) > 0 {
		p.keys = make(map[string]struct{}, len(keys))
	}
	for _, k := range keys {
		p.keys[k] = struct{}{}
	}
}

// Script replaces the rules; their counts and windows start now. A rule that Check refuses panics: it is a
// defect of the test that wrote it. Rules from outside come through ParseScript.
func (p *Provider) Script(rules ...Rule) {
	mustCheck(rules)
	p.script.set(rules, p.opts.Now())
}

// Append adds rules behind those in force, whose counts go on.
func (p *Provider) Append(rules ...Rule) {
	mustCheck(rules)
	p.script.append(rules, p.opts.Now())
}

func mustCheck(rules []Rule) {
	for _, r := range rules {
		if err := r.Check(); err != nil {
			panic("fakeprovider: " + err.Error())
		}
	}
}

// Rules returns the rules in force.
func (p *Provider) Rules() []Rule { return p.script.list() }

// Release lets go every call held by name, now and until the next Script or Reset.
func (p *Provider) Release(name string) { p.script.release(name) }

// Reset forgets the rules and the calls, lets go what is held and accepts connections again. Calls in flight stay
// counted as such.
func (p *Provider) Reset() {
	p.script.set(nil, p.opts.Now())
	p.ledger.update(p.ledger.clear)
	_ = p.Accept() // a listener that cannot be opened again shows itself at the next connection
}

// ServeHTTP answers one request.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/_") {
		p.serveAdmin(w, r)
		return
	}
	a := p.receive(r)
	defer a.release()
	call := a.call
	touched := p.ledger.begin(call)
	defer func() {
		p.ledger.end(call, touched, p.opts.Now())
		if p.opts.Log != nil {
			p.opts.Log(*call)
		}
	}()
	noteCancel := func() {
		if !a.delivered.Load() { // who has it all may go
			p.ledger.cancel(call, p.opts.Now())
		}
	}
	stop := context.AfterFunc(r.Context(), noteCancel)
	defer func() {
		stop()
		if r.Context().Err() != nil {
			noteCancel() // the context ended, but its function may not have run yet, or was stopped in time
		}
	}()
	if a.readError != nil && !a.tooLarge() {
		noteCancel() // the caller left within its own body
		return
	}
	newDelivery(p, a, w).perform(p.plan(a))
}

// noteFault records what was done to the call.
func (p *Provider) noteFault(c *Call, rule, fault string) {
	if rule == "" && fault == "" {
		return
	}
	p.ledger.update(func() { c.Rule, c.Fault = rule, fault })
}

func (p *Provider) validKey(key string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.keys == nil {
		return true
	}
	_, ok := p.keys[key]
	return ok
}

func (p *Provider) knownModel(model string) bool {
	if len(p.opts.Models) == 0 {
		return true
	}
	for _, m := range p.opts.Models {
		if m == model {
			return true
		}
	}
	return false
}
