package fleet_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gpt-load/internal/fakeprovider"
	"gpt-load/internal/testenv"
	"gpt-load/pkg/adminapi"
)

// buildSkewed builds the binary with a clock that the environment variable CLOCK_SKEW_SECONDS sets off: the system has one clock
// for all processes. The build has its own time package, made from the one of the Go installation.
func buildSkewed(t *testing.T) string {
	t.Helper()
	root, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	must(t, err)
	path := filepath.Join(strings.TrimSpace(string(root)), "src", "time", "time.go")
	source, err := os.ReadFile(path)
	must(t, err)
	const reads = "	sec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(source), reads) != 1 {
		t.Fatalf("%s reads the clock in another way than this test knows", path)
	}
	text := strings.Replace(string(source), reads, reads+"	sec += clockSkew\n", 1)
	text = strings.Replace(text, "import (\n", "import (\n	\"syscall\"\n", 1) + `
var clockSkew = func() (sec int64) {
	text, _ := syscall.Getenv("CLOCK_SKEW_SECONDS")
	for _, c := range text {
		if c >= '0' && c <= '9' {
			sec = sec*10 + int64(c-'0')
		}
	}
	if len(text) > 0 && text[0] == '-' {
		return -sec
	}
	return sec
}()
`
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "time.go"), []byte(text), 0o600))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: filepath.Join(dir, "time.go")}})
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600))
	binary := filepath.Join(dir, "gpt-load")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, "gpt-load/cmd/gpt-load").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// TestClocksApart runs nodes whose clocks are five minutes before and behind that of the first node and of the database.
func TestClocksApart(t *testing.T) {
	skews := map[int]int{first: 0, second: 300, follower: -300}
	w := newWorldOf(t, testenv.NewPostgres(t), buildSkewed(t), func(node int) []string { return []string{"CLOCK_SKEW_SECONDS=" + strconv.Itoa(skews[node])} })
	everywhere := []int{first, second, follower}
	for i := range w.nodes {
		self, err := w.self(t.Context(), i)
		must(t, err)
		if off := time.Duration(self.ClockOffsetMS)*time.Millisecond - time.Duration(skews[i])*time.Second; off.Abs() > time.Second {
			t.Errorf("node %d says that its clock is %d ms ahead, not %d s", i+1, self.ClockOffsetMS, skews[i])
		}
		want := 1
		if skews[i] == 0 {
			want = 0
		}
		if warned := strings.Count(w.nodes[i].Logs(), "clock and the database's differ"); warned != want {
			t.Errorf("node %d warns %d times of its clock, want %d", i+1, warned, want)
		}
	}
	group := w.lonely(second)

	for _, i := range everywhere {
		t.Run(fmt.Sprintf("a rest that node %d began", i+1), func(t *testing.T) {
			w.t = t
			w.provider.Script(fakeprovider.Rule{
				Match: fakeprovider.Match{Key: lonelyKey}, When: fakeprovider.When{First: 1}, Then: fakeprovider.Then{Fault: "429-seconds", RetryAfter: 8 * time.Second},
			})
			begun := time.Now()
			must(t, w.answers("lonely", http.StatusTooManyRequests)(t.Context(), i))
			w.change(everywhere, time.Second, func(context.Context) error { return nil }, func(ctx context.Context, node int) error {
				wait, err := w.retryAfter(ctx, node)
				if left := 8*time.Second - time.Since(begun); err == nil && (wait-left).Abs() > 2*time.Second {
					err = fmt.Errorf("node %d asks to wait for %v, not %v", node+1, wait, left)
				}
				return err
			})
			w.change(everywhere, 10*time.Second, func(context.Context) error { return nil }, w.answers("lonely", http.StatusOK))
			if rested := time.Since(begun); rested < 7*time.Second {
				t.Errorf("it rested for %v", rested)
			}
		})
	}
	for _, pair := range [][2]int{{second, follower}, {follower, second}} {
		t.Run(fmt.Sprintf("node %d retires a key, node %d restores it", pair[0]+1, pair[1]+1), func(t *testing.T) {
			w.t = t
			w.provider.Script(fakeprovider.Rule{
				Match: fakeprovider.Match{Key: lonelyKey}, When: fakeprovider.When{First: 1}, Then: fakeprovider.Then{Fault: "401"},
			})
			must(t, w.answers("lonely", http.StatusServiceUnavailable)(t.Context(), pair[0]))
			w.change(everywhere, time.Second, func(context.Context) error { return nil }, w.answers("lonely", http.StatusServiceUnavailable))
			restored := w.change(everywhere, limited(convergence), func(ctx context.Context) error {
				n, err := w.nodes[pair[1]].Client().RestoreKeys(ctx, group.ID, adminapi.KeySelection{State: adminapi.KeyInvalid})
				if err == nil && n == 0 { // the verdict is on its way to the database
					err = errors.New("nothing to restore")
				}
				return err
			}, w.answers("lonely", http.StatusOK))
			t.Logf("restored on every node after %v", restored.Round(time.Millisecond))
		})
	}
}

// retryAfter is how long the group "lonely" asks its clients to wait, through a node.
func (w *world) retryAfter(ctx context.Context, i int) (time.Duration, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.nodes[i].URL+"/proxy/lonely/echo/probe", strings.NewReader(chat))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+testenv.AuthKey)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err
	}
	_ = answer.Body.Close()
	seconds, err := strconv.Atoi(answer.Header.Get("Retry-After"))
	if err != nil || answer.StatusCode != http.StatusTooManyRequests {
		return 0, fmt.Errorf("node %d answers %s: %w", i+1, answer.Status, err)
	}
	return time.Duration(seconds) * time.Second, nil
}
