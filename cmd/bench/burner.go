package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	steadyTick = 10 * time.Millisecond // between the small pieces of steady work, like floodTick
	burstTick  = time.Second           // between two bursts, as between two batches
)

// burn is what a burner does: seconds of CPU per second, in small pieces and in one burst.
type burn struct{ steady, burst float64 }

// playBurner serves the role of a process that uses CPU and touches nothing else: POST /?steady=0.02&burst=0.1
func playBurner(ctx context.Context) error {
	var now atomic.Pointer[burn]
	now.Store(&burn{})
	keepBurning := func(every time.Duration, share func(*burn) float64) {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				burnFor(time.Duration(share(now.Load()) * float64(every)))
			}
		}
	}
	go keepBurning(steadyTick, func(b *burn) float64 { return b.steady })
	go keepBurning(burstTick, func(b *burn) float64 { return b.burst })
	return serve(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b burn
		var errs [2]error
		b.steady, errs[0] = strconv.ParseFloat(r.FormValue("steady"), 64)
		b.burst, errs[1] = strconv.ParseFloat(r.FormValue("burst"), 64)
		if err := errors.Join(errs[:]...); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		now.Store(&b)
	}))
}

// burnFor uses d of CPU time, however long that is waited for.
func burnFor(d time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for begun := threadCPU(); threadCPU()-begun < d; {
	}
}

// threadCPU is what the calling thread has used, getrusage(2).
func threadCPU() time.Duration {
	const thread = 1 // RUSAGE_THREAD of Linux, which package syscall does not name
	var used syscall.Rusage
	_ = syscall.Getrusage(thread, &used) // it fails for wrong arguments only
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// burnerControl is a burner as the measuring process sees it.
type burnerControl struct{ *process }

func startBurner(ctx context.Context) (burnerControl, error) {
	p, err := startRole(ctx, "burner", "")
	return burnerControl{p}, err
}

// burn sets what it uses from now on, in seconds of CPU per second.
func (c burnerControl) burn(ctx context.Context, steady, burst float64) error {
	query := url.Values{"steady": {fmt.Sprint(max(0, steady))}, "burst": {fmt.Sprint(max(0, burst))}}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.addr+"/?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("the burner answers %s: %s", answer.Status, text)
	}
	return err
}
