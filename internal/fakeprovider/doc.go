// Package fakeprovider is a scriptable AI provider. It speaks OpenAI (chat completions, responses and everything
// beside them), Anthropic and Gemini natively, with the answers, streams and errors of the real ones, and does
// every fault on demand. People use it with curl, tests and drills with Go values, benchmarks as an upstream.
//
// What happens to a call is decided in this order:
//
//  1. the first Rule of the script whose Match and When agree. Every rule counts the calls that its Match accepts,
//     also those that an earlier rule answers, so that "the third call of this key" means what it says;
//  2. credentials, when Options.Keys lists valid ones; then the model, when Options.Models lists them;
//  3. a fault that the caller asks for itself: header x-fake-fault, query fake-fault, or the model name
//     "fault-NAME" (so that every SDK can ask for one);
//  4. a healthy answer, sized and paced by the rule's Shape, else by x-fake-* headers, fake-* query members, or
//     "+knob=value" behind a model name.
//
// Paths that begin with /at/NAME/ are served as if the prefix were not there, and the calls carry NAME: one
// process can play several upstream addresses. /echo/... repeats what it received and answers as told. /_script,
// /_calls, /_faults, /_reset, /_refuse and /_release are for people and other processes; GET /_help says how.
//
// Calls are counted in the order in which their bodies had arrived. Nothing here polls: Await and its kin wait for
// the next change.
package fakeprovider
