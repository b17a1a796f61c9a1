package main

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"gpt-load/internal/jsonbody"
)

func benchScan(_ context.Context, r *report, _ settings) error {
	r.title("finding model and stream in a chat body of 1 MB")
	body := chatBody(1 << 20)
	ours := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if f := jsonbody.Scan(body); f.Model != "gpt-bench" {
				b.Fatal("wrong model")
			}
		}
	})
	theirs := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			var f struct {
				Model  string `json:"model"`
				Stream bool   `json:"stream"`
			}
			if err := json.Unmarshal(body, &f); err != nil || f.Model != "gpt-bench" {
				b.Fatal("wrong model")
			}
		}
	})
	ratio := float64(theirs.NsPerOp()) / float64(ours.NsPerOp())
	r.figure("encoding/json into two fields", "%v", time.Duration(theirs.NsPerOp()))
	r.figure("this scan", "%v", time.Duration(ours.NsPerOp()))
	r.promise("times faster, at least 10", ratio >= 10, "%.1f", ratio)
	r.promise("bytes allocated, nothing that grows", ours.AllocedBytesPerOp() < 128, "%d B in %d allocations", ours.AllocedBytesPerOp(), ours.AllocsPerOp())
	return nil
}
