package sqlstore_test

import (
	"bytes"
	"os"
	"strconv"
	"testing"
	"time"
)

// clockTick is the unit of the times in /proc/PID/stat on every Linux that Go runs on (USER_HZ is 100).
const clockTick = 10 * time.Millisecond

// serverTime is what the processes from pid downwards, dead children included, have used of the processors so far.
func serverTime(t testing.TB, pid int) time.Duration {
	t.Helper()
	stats, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	children := make(map[int][]int)
	used := make(map[int]time.Duration)
	for _, entry := range stats {
		id, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil { // it has ended
			continue
		}
		// From the third field of proc(5) on: the second is a name in parentheses, which may hold anything.
		fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
		number := func(field int) int {
			n, err := strconv.Atoi(string(fields[field-3]))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		children[number(4)] = append(children[number(4)], id)
		used[id] = time.Duration(number(14)+number(15)+number(16)+number(17)) * clockTick
	}
	sum := time.Duration(0)
	for all := []int{pid}; len(all) > 0; all = all[1:] {
		sum += used[all[0]]
		all = append(all, children[all[0]]...)
	}
	return sum
}
