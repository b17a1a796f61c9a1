// Package sdk holds tests in which the official Go SDKs of OpenAI, Anthropic and Google are the clients. It is a
// module of its own, so that nobody who builds GPT-Load pays for three SDKs. Every test runs once for each target
// of target_test.go; the upstream is always a fakeprovider, whose strict call counts say that nobody tried twice.
package sdk
