package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gpt-load/pkg/adminapi"
	"gpt-load/pkg/adminclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for a loaded machine.
const patience = time.Minute

// screen is what somebody who runs the program sees.
type screen struct {
	t     *testing.T
	lines chan string
}

// until reads on until a line matches, and returns its groups.
func (s *screen) until(pattern string) []string {
	s.t.Helper()
	expression := regexp.MustCompile(pattern)
	limit := time.After(patience)
	for {
		select {
		case line, more := <-s.lines:
			if !more {
				s.t.Fatalf("the program ended before it said %q", pattern)
			}
			s.t.Log(line)
			if found := expression.FindStringSubmatch(line); found != nil {
				return found
			}
		case <-limit:
			s.t.Fatalf("the program did not say %q within %s", pattern, patience)
		}
	}
}

// begin runs the program until the test ends, and returns the screen and what ends it.
func begin(t *testing.T, args ...string) (*screen, func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	result := make(chan error, 1)
	go func() {
		err := run(ctx, args, in)
		_ = in.Close()
		result <- err
	}()
	s := &screen{t: t, lines: make(chan string, 1000)}
	go func() {
		defer close(s.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.lines <- lines.Text()
		}
	}()
	ended := false
	end := func() error {
		if ended {
			return nil
		}
		ended = true
		cancel()
		return <-result
	}
	t.Cleanup(func() {
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	return s, end
}

// TestCluster follows what the program says: the fleet serves, what is killed comes back, and Ctrl-C leaves nothing.
func TestCluster(t *testing.T) {
	state := t.TempDir()
	s, end := begin(t, "-addr", "127.0.0.1:0", "-provider", "127.0.0.1:0", "-state", state, "-restart-after", "100ms")
	leader := s.until(`^The fleet is up\. (candidate-[12]) leads\.$`)[1]
	nginx := s.until(`^  nginx +(http://\S+) `)[1]
	nodes := map[string]string{}
	pids := map[string]int{}
	for _, name := range []string{"candidate-1", "candidate-2", "follower-1", "follower-2", "postgres", "redis"} {
		found := s.until(`^  ` + name + ` +(\S+) +process (\d+)`)
		pid, err := strconv.Atoi(found[2])
		if err != nil {
			t.Fatal(err)
		}
		pids[name] = pid
		if strings.HasPrefix(found[1], "http://") {
			nodes[name] = found[1]
		}
	}
	provider := s.until(`^  fakeprovider (\S+)`)[1]
	key := authKey(t, state)

	admin, err := adminclient.New(nginx, adminclient.WithAuthKey(key))
	if err != nil {
		t.Fatal(err)
	}
	group, err := admin.CreateGroup(t.Context(), adminapi.GroupInput{
		Name: "drill", Channel: "openai", Upstreams: []adminapi.Upstream{{URL: provider, Weight: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.AddKeys(t.Context(), group.ID, adminapi.KeyInput{Keys: []string{"any-text"}}); err != nil {
		t.Fatal(err)
	}
	for name, url := range nodes {
		eventually(t, name+" serves the group", func() error { return chat(t, url, key) })
	}
	eventually(t, "nginx serves the group", func() error { return chat(t, nginx, key) })

	first := leaderID(t, admin)
	for _, name := range []string{leader, "redis", "postgres"} {
		if err := syscall.Kill(pids[name], syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		s.until("^" + name + ` has ended \(signal: killed\); it starts again in 100ms`)
		s.until("^" + name + " is back as process")
	}
	eventually(t, "the former leader serves again", func() error { return chat(t, nodes[leader], key) })
	eventually(t, "another process leads", func() error {
		if id := leaderID(t, admin); id == "" || id == first {
			return fmt.Errorf("the leader is %q", id)
		}
		return nil
	})

	if err := end(); err != nil {
		t.Error(err)
	}
	for name, pid := range pids {
		if err := syscall.Kill(pid, 0); err == nil {
			t.Errorf("%s still runs", name)
		}
	}
	if answer, err := http.Get(nginx + "/livez"); err == nil {
		_ = answer.Body.Close()
		t.Error("nginx still answers")
	}
}

// leaderID is the id of the process that leads, empty when none does. Ids are new with each process.
func leaderID(t *testing.T, admin *adminclient.Client) string {
	t.Helper()
	fleet, err := admin.Nodes(t.Context())
	if err != nil {
		t.Log(err)
	}
	for _, node := range fleet.Nodes {
		if node.Role == "leader" {
			return node.ID
		}
	}
	return ""
}

// authKey reads the file that the program names, which is the user's alone.
func authKey(t *testing.T, state string) string {
	t.Helper()
	path := filepath.Join(state, "auth-key")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the mode of %s is %o", path, info.Mode().Perm())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// chat sends a request through a node or nginx.
func chat(t *testing.T, url, key string) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/proxy/drill/v1/chat/completions",
		strings.NewReader(`{"model": "gpt-4.1-nano", "messages": [{"role": "user", "content": "Hello"}]}`))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("%s: %s", answer.Status, text)
	}
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}

func eventually(t *testing.T, what string, holds func() error) {
	t.Helper()
	often := time.NewTicker(20 * time.Millisecond)
	defer often.Stop()
	limit := time.After(patience)
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-often.C:
		case <-limit:
			t.Fatalf("%s: not within %s: %v", what, patience, err)
		}
	}
}

// TestBadCommandLine: each mistake is named, and nothing stays behind.
func TestBadCommandLine(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a word":           {[]string{"up"}, `"up"`},
		"no candidate":     {[]string{"-candidates", "0"}, "one candidate at least"},
		"too many":         {[]string{"-followers", "99"}, "50 nodes at most"},
		"no binary":        {[]string{"-binary", "/no/such/gpt-load", "-provider", "127.0.0.1:0"}, "/no/such/gpt-load"},
		"a taken provider": {[]string{"-binary", "/bin/true", "-provider", "256.0.0.1:1"}, "-provider"},
	} {
		t.Run(name, func(t *testing.T) {
			err := run(t.Context(), append([]string{"-state", t.TempDir()}, c.args...), io.Discard)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestReadme follows the section Cluster of README.md line by line, and then the section Start in the same terminal.
func TestReadme(t *testing.T) {
	state := t.TempDir()
	s, _ := begin(t, "-addr", "127.0.0.1:0", "-provider", "127.0.0.1:0", "-state", state)
	nginx := s.until(`^  nginx +http://(\S+) `)[1]
	provider := s.until(`^  fakeprovider http://(\S+)`)[1]
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	terminal := strings.NewReplacer(
		"localhost:3001", nginx, "127.0.0.1:4010", provider, "data/cluster/auth-key", filepath.Join(state, "auth-key"),
	).Replace(block(t, string(readme), "cluster") + block(t, string(readme), "quickstart"))
	shell := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", terminal)
	shell.Env = append(shell.Environ(), "NO_PROXY=127.0.0.1")
	var complaints strings.Builder
	shell.Stderr = &complaints
	out, err := shell.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, complaints.String())
	}
	for _, want := range []string{`"leader"`, `"candidate"`, `"follower"`, `"added":1`, `"chat.completion"`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %s in what the terminal shows:\n%s", want, out)
		}
	}
}

// block is the commands between two markers of README.md.
func block(t *testing.T, readme, name string) string {
	t.Helper()
	_, rest, begins := strings.Cut(readme, "<!-- begin "+name+" -->\n```sh\n")
	lines, _, ends := strings.Cut(rest, "```\n<!-- end "+name+" -->")
	if !begins || !ends {
		t.Fatalf("README.md has no commands between its markers %q", name)
	}
	return lines
}
