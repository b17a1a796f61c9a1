package sdk

import (
	"context"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
)

// target is where the SDKs are pointed at.
type target struct {
	OpenAIBase    string // with /v1, as the OpenAI SDK wants it
	ResponsesBase string // with /v1
	AnthropicBase string // without /v1
	GeminiBase    string // without /v1beta
	Key           string // what the client calls its API key

	Provider *fakeprovider.Provider // the upstream, fresh for the test
	// Gateway says that something stands between, which answers for the provider's faults in its own way.
	Gateway bool
}

// targets are the constructors; each test calls each of them once.
var targets = map[string]func(*testing.T) target{
	"direct":  direct,
	"gateway": throughGateway,
}

// direct points the SDKs at the provider itself: what fails here is the provider's fault.
func direct(t *testing.T) target {
	t.Helper()
	const key = "sk-direct-0123456789abcdef"
	p := fakeprovider.Serve(t, fakeprovider.Options{Keys: []string{key}})
	base := p.BaseURL()
	return target{
		OpenAIBase: base + "/v1", ResponsesBase: base + "/v1", AnthropicBase: base, GeminiBase: base,
		Key: key, Provider: p,
	}
}

// each runs a test against every target.
func each(t *testing.T, test func(*testing.T, target)) {
	t.Helper()
	for name, construct := range targets {
		t.Run(name, func(t *testing.T) { test(t, construct(t)) })
	}
}

// within bounds a test's waiting.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// The fixed answers of the fake provider.
const (
	answerText = "Hello! I am a fake provider, and every word of this answer is made up."
	toolName   = "weather"
	toolCity   = "Paris"
)

// endless is a model whose stream goes on for minutes.
const endless = "+chunks=100000+gap=5ms"

// expectCanceled waits until the provider saw the caller of its only call leave.
func (to target) expectCanceled(t *testing.T) {
	t.Helper()
	if err := to.Provider.AwaitCanceled(within(t), 1); err != nil {
		t.Errorf("the provider did not see the caller leave: %v", err)
	}
	to.Provider.ExpectCalls(t, 1)
}

// failure is one error that an SDK must give as its own type. Client's are mistakes of the caller, which pass
// through a gateway as they are; the others are for the gateway to deal with.
type failure struct {
	fault  string
	status int
	word   string // code, type or status, whichever the format has
	client bool
}

// failures runs fn for each failure that reaches the caller of this target as it is.
func (to target) failures(t *testing.T, all []failure, fn func(t *testing.T, f failure)) {
	t.Helper()
	calls := 0
	for _, f := range all {
		if to.Gateway && !f.client {
			continue // covered by the drills, which know what the gateway makes of it
		}
		t.Run(f.fault, func(t *testing.T) { fn(t, f) })
		calls++
	}
	to.Provider.ExpectCalls(t, calls)
}
