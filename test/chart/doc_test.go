// Package chart_test checks charts/gpt-load with Helm's own engine: what it renders in each mode against golden manifests, every manifest
// against the types of its API, pods against Pod Security "restricted", and what it says to wrong values.
//
// After a change that is meant: go test . -update
package chart_test
