package upstream_test

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gpt-load/internal/fleet"
	"gpt-load/internal/upstream"
)

const a, b, c = "http://a.example/base", "http://b.example", "http://c.example"

var errRefused = &upstream.ConnectError{Address: "a.example:80", Step: "dial", Err: &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}

func balancerOf(weights map[string]int) *upstream.Balancer {
	var list []fleet.Upstream
	for _, u := range []string{a, b, c} {
		if w, ok := weights[u]; ok {
			list = append(list, fleet.Upstream{URL: u, Weight: w})
		}
	}
	return upstream.NewBalancer(list)
}

func mustChoose(t *testing.T, bal *upstream.Balancer, avoid *upstream.Avoid, now time.Time) upstream.Choice {
	t.Helper()
	choice, ok := bal.Choose(avoid, now)
	if !ok {
		t.Fatal("no address")
	}
	return choice
}

// chooseHost chooses until it gets the address of a host.
func chooseHost(t *testing.T, bal *upstream.Balancer, host string, now time.Time) upstream.Choice {
	t.Helper()
	for range 100 {
		if choice := mustChoose(t, bal, nil, now); choice.Host() == host {
			return choice
		}
	}
	t.Fatalf("%s is never chosen", host)
	return upstream.Choice{}
}

// spread counts the hosts of n choices that all succeed.
func spread(t *testing.T, bal *upstream.Balancer, n int, now time.Time) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for range n {
		choice := mustChoose(t, bal, nil, now)
		counts[choice.Host()]++
		choice.Success(now)
	}
	return counts
}

// rest makes an address rest by one refused connection.
func rest(t *testing.T, bal *upstream.Balancer, host string, now time.Time) {
	t.Helper()
	chooseHost(t, bal, host, now).Fault(errRefused, now)
}

func TestWeightsAreKeptSmoothly(t *testing.T) {
	t.Parallel()
	bal := balancerOf(map[string]int{a: 50, b: 10, c: 10})
	var round strings.Builder
	for range 14 {
		round.WriteString(mustChoose(t, bal, nil, start).Host()[:1])
	}
	// nginx's order for 5, 1, 1, from whatever place the node began at.
	nginx := strings.Repeat("aabacaa", 3)
	if !strings.Contains(nginx, round.String()) {
		t.Errorf("the order is %s", round.String())
	}
}

func TestShares(t *testing.T) {
	t.Parallel()
	for _, weights := range []map[string]int{
		{a: 1, b: 1, c: 1}, {a: 1000, b: 999, c: 1}, {a: 7, b: 0, c: 3}, {a: 1000, b: 0, c: 0},
	} {
		total := 0
		for _, w := range weights {
			total += w
		}
		counts := spread(t, balancerOf(weights), 2*total, start)
		want := map[string]int{}
		for u, w := range weights {
			if w > 0 {
				want[u[len("http://"):len("http://")+len("a.example")]] = 2 * w
			}
		}
		if !maps.Equal(counts, want) {
			t.Errorf("weights %v: %v", weights, counts)
		}
	}
}

func TestManyLargeWeightsAreRounded(t *testing.T) {
	t.Parallel()
	var list []fleet.Upstream
	for i := range 50 {
		list = append(list, fleet.Upstream{URL: fmt.Sprintf("http://h%d.example", i), Weight: 1000 - i})
	}
	counts := spread(t, upstream.NewBalancer(list), 100_000, start)
	for host, n := range counts {
		if n < 1850 || n > 2150 {
			t.Errorf("%s got %d of 100000 at a fiftieth", host, n)
		}
	}
	if len(counts) != 50 {
		t.Errorf("%d addresses got anything", len(counts))
	}
}

func TestConcurrentChoicesKeepTheShares(t *testing.T) {
	t.Parallel()
	bal := balancerOf(map[string]int{a: 3, b: 2, c: 1})
	var (
		mu     sync.Mutex
		counts = map[string]int{}
		wg     sync.WaitGroup
	)
	for range 6 {
		wg.Go(func() {
			own := spread(t, bal, 1000, start)
			mu.Lock()
			defer mu.Unlock()
			for host, n := range own {
				counts[host] += n
			}
		})
	}
	wg.Wait()
	if counts["a.example"] != 3000 || counts["b.example"] != 2000 || counts["c.example"] != 1000 {
		t.Errorf("counts %v", counts)
	}
}

func TestAddressesThatAreOff(t *testing.T) {
	t.Parallel()
	for _, list := range [][]fleet.Upstream{nil, {{URL: a, Weight: 0}}, {{URL: "::no url", Weight: 1}, {URL: "/path", Weight: 1}}} {
		if choice, ok := upstream.NewBalancer(list).Choose(nil, start); ok {
			t.Errorf("%v gave %s", list, choice.Host())
		}
	}
}

func TestAddressShowsItsBase(t *testing.T) {
	t.Parallel()
	choice := mustChoose(t, balancerOf(map[string]int{a: 1}), nil, start)
	if choice.URL().String() != a || choice.Host() != "a.example" {
		t.Errorf("%s at %s", choice.URL(), choice.Host())
	}
}

func TestWhatRestsAnAddress(t *testing.T) {
	t.Parallel()
	reset := &net.OpError{Op: "read", Err: syscall.ECONNRESET}
	for _, test := range []struct {
		name   string
		faults []error // nil is an answer such as 503; errOK a success
		rests  bool
	}{
		{"one bad answer", []error{nil}, false},
		{"two in a row", []error{nil, nil}, false},
		{"three in a row", []error{nil, reset, nil}, true},
		{"three with a success between", []error{nil, nil, errOK, nil, nil}, false},
		{"refused once", []error{errRefused}, true},
		{"no such host", []error{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "a.example", IsNotFound: true}}}, true},
		{"a broken connection", []error{reset}, false},
		{"an odd error", []error{errors.New("EOF")}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			bal := balancerOf(map[string]int{a: 1, b: 1})
			for _, err := range test.faults {
				choice := chooseHost(t, bal, "a.example", start)
				if errors.Is(err, errOK) {
					choice.Success(start)
				} else {
					choice.Fault(err, start)
				}
			}
			status := bal.Status(start)
			if counts := spread(t, bal, 10, start); (counts["a.example"] == 0) != test.rests || status[0].Resting != test.rests {
				t.Errorf("a gets %d of 10, status %+v", counts["a.example"], status[0])
			}
		})
	}
}

var errOK = errors.New("no fault")

func TestProbesAreSingleAndRestsDouble(t *testing.T) {
	t.Parallel()
	bal := balancerOf(map[string]int{a: 1, b: 1})
	rest(t, bal, "a.example", start)
	now := start
	for _, length := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		length *= time.Second
		if counts := spread(t, bal, 10, now.Add(length-1)); counts["a.example"] > 0 {
			t.Fatalf("it is asked before %v are over", length)
		}
		now = now.Add(length)
		probe := mustChoose(t, bal, nil, now)
		if probe.Host() != "a.example" {
			t.Fatalf("no probe after %v", length)
		}
		if counts := spread(t, bal, 10, now.Add(time.Minute)); counts["a.example"] > 0 {
			t.Fatal("a second probe went while the first was under way")
		}
		probe.Fault(nil, now)
	}
	now = now.Add(time.Minute)
	mustChoose(t, bal, nil, now).Success(now)
	if counts := spread(t, bal, 10, now); counts["a.example"] != 5 {
		t.Errorf("it recovered, but gets %d of 10", counts["a.example"])
	}
	rest(t, bal, "a.example", now)
	if probe := mustChoose(t, bal, nil, now.Add(time.Second)); probe.Host() != "a.example" {
		t.Error("after a recovery the first rest is a second again")
	}
}

func TestConcurrentRequestsMakeOneProbe(t *testing.T) {
	t.Parallel()
	bal := balancerOf(map[string]int{a: 1, b: 1})
	rest(t, bal, "a.example", start)
	var (
		mu     sync.Mutex
		probes int
		wg     sync.WaitGroup
	)
	for range 8 {
		wg.Go(func() {
			for range 500 {
				if choice, ok := bal.Choose(nil, start.Add(time.Second)); ok && choice.Host() == "a.example" {
					mu.Lock()
					probes++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if probes != 1 {
		t.Errorf("%d probes", probes)
	}
}

func TestAProbeThatTellsNothing(t *testing.T) {
	t.Parallel()
	bal := balancerOf(map[string]int{a: 1, b: 1})
	ordinary := chooseHost(t, bal, "a.example", start)
	rest(t, bal, "a.example", start)
	now := start.Add(time.Second)
	probe := mustChoose(t, bal, nil, now)
	ordinary.Release() // of another request: not the probe's business
	if counts := spread(t, bal, 10, now); counts["a.example"] > 0 {
		t.Error("another request's release let a second probe go")
	}
	probe.Release()
	again := mustChoose(t, bal, nil, now)
	if again.Host() != "a.example" {
		t.Error("the client left, and the next request is no probe")
	}
	probe.Fault(nil, now) // too late: it was given up
	if counts := spread(t, bal, 10, now.Add(10*time.Minute-1)); counts["a.example"] > 0 {
		t.Error("a second probe went while the first was under way")
	}
	if last := mustChoose(t, bal, nil, now.Add(10*time.Minute)); last.Host() != "a.example" {
		t.Error("a probe that nobody answers for ten minutes blocks the address for ever")
	}
}

func TestFaultsUnderWayDoNotProlongARest(t *testing.T) {
	t.Parallel()
	bal := balancerOf(map[string]int{a: 1, b: 1})
	var under []upstream.Choice
	for range 100 {
		under = append(under, chooseHost(t, bal, "a.example", start))
	}
	for i, choice := range under {
		choice.Fault(errRefused, start.Add(time.Duration(i)*time.Millisecond))
	}
	if s := bal.Status(start)[0]; !s.RestsUntil.Equal(start.Add(time.Second)) {
		t.Errorf("it rests until %v", s.RestsUntil.Sub(start))
	}
}

func TestARestNeverRefusesARequest(t *testing.T) {
	t.Parallel()
	bal := balancerOf(map[string]int{a: 1, b: 1})
	rest(t, bal, "a.example", start)
	rest(t, bal, "b.example", start.Add(time.Millisecond))
	now := start.Add(2 * time.Millisecond)
	for range 10 {
		choice := mustChoose(t, bal, nil, now)
		if choice.Host() != "a.example" {
			t.Fatal("b returns later than a")
		}
		choice.Fault(nil, now)
	}
	if s := bal.Status(now)[0]; !s.RestsUntil.Equal(start.Add(time.Second)) {
		t.Errorf("requests that had no other way prolonged the rest to %v", s.RestsUntil.Sub(start))
	}
	mustChoose(t, bal, nil, now).Success(now)
	if counts := spread(t, bal, 10, now); counts["a.example"] != 10 {
		t.Errorf("a works, so it is back at once: %v", counts)
	}
}

func TestWhatOneRequestAvoids(t *testing.T) {
	t.Parallel()
	bal := balancerOf(map[string]int{a: 40, b: 1, c: 1})
	rest(t, bal, "c.example", start)
	first := chooseHost(t, bal, "a.example", start)
	var avoid upstream.Avoid
	avoid.Failed(first.Address)
	second := mustChoose(t, bal, &avoid, start)
	if second.Host() != "b.example" || second.Again {
		t.Fatalf("after a, %s again %v", second.Host(), second.Again)
	}
	avoid.Silent(second.Address)
	for range 5 { // a failed but may be asked; b was silent; c rests
		if third := mustChoose(t, bal, &avoid, start); third.Host() != "a.example" || !third.Again {
			t.Fatalf("after both, %s again %v", third.Host(), third.Again)
		}
	}
	avoid.Silent(first.Address)
	fourth := mustChoose(t, bal, &avoid, start)
	if fourth.Host() != "c.example" || fourth.Again {
		t.Fatalf("with a and b silent, %s again %v", fourth.Host(), fourth.Again)
	}
	avoid.Silent(fourth.Address)
	if choice, ok := bal.Choose(&avoid, start); ok {
		t.Errorf("all were silent, but %s is asked", choice.Host())
	}
}

func TestTheOnlyAddressIsAskedAgain(t *testing.T) {
	t.Parallel()
	bal := balancerOf(map[string]int{a: 1})
	var avoid upstream.Avoid
	for range 5 {
		choice := mustChoose(t, bal, &avoid, start)
		choice.Fault(nil, start)
		avoid.Failed(choice.Address)
	}
	avoid.Silent(mustChoose(t, bal, &avoid, start).Address)
	if _, ok := bal.Choose(&avoid, start); ok {
		t.Error("a silent address is asked again")
	}
}

func TestUpdateKeepsHealth(t *testing.T) {
	t.Parallel()
	bal := balancerOf(map[string]int{a: 1, b: 1})
	rest(t, bal, "a.example", start)
	kept := mustChoose(t, bal, nil, start).Address
	bal.Update([]fleet.Upstream{{URL: c, Weight: 1}, {URL: b, Weight: 2}, {URL: a, Weight: 5}})
	if counts := spread(t, bal, 9, start); counts["a.example"] != 0 || counts["b.example"] != 6 || counts["c.example"] != 3 {
		t.Errorf("counts %v", counts)
	}
	if chooseHost(t, bal, "b.example", start).Address != kept {
		t.Error("b is another address now")
	}
	if s := bal.Status(start); len(s) != 3 || s[0].URL != c || !s[2].Resting || s[2].Weight != 5 {
		t.Errorf("status %+v", s)
	}
	bal.Update([]fleet.Upstream{{URL: a, Weight: 0}, {URL: c, Weight: 1}, {URL: c, Weight: 1}})
	if counts := spread(t, bal, 4, start.Add(time.Minute)); counts["c.example"] != 4 {
		t.Errorf("counts %v", counts)
	}
	if s := bal.Status(start); len(s) != 3 {
		t.Errorf("status %+v", s)
	}
}

func TestUpdatesDoNotDisturbChoices(t *testing.T) {
	t.Parallel()
	bal := balancerOf(map[string]int{a: 1, b: 1})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 2000 {
				choice, ok := bal.Choose(nil, start.Add(time.Duration(i)*time.Millisecond))
				if !ok {
					t.Error("an update left a request without an address")
					return
				}
				switch i % 3 {
				case 0:
					choice.Fault(errRefused, start)
				case 1:
					choice.Success(start)
				default:
					choice.Release()
				}
			}
		})
	}
	for i := range 500 {
		bal.Update([]fleet.Upstream{{URL: a, Weight: 1 + i%3}, {URL: b, Weight: 1}})
		bal.Status(start)
	}
	wg.Wait()
}

func TestChoosingAnAddressAllocatesNothing(t *testing.T) {
	bal := balancerOf(map[string]int{a: 3, b: 2})
	var avoid upstream.Avoid
	if n := testing.AllocsPerRun(1000, func() {
		choice, _ := bal.Choose(&avoid, start)
		choice.Success(start)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkBalancer(b *testing.B) {
	bal := balancerOf(map[string]int{a: 3, c: 2})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			choice, _ := bal.Choose(nil, start)
			choice.Success(start)
		}
	})
}
