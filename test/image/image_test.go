package image_test

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"gpt-load/pkg/adminclient"
)

// user is the USER of the image.
const user = "65532:65532"

const authKey = "sk-image-5b2f0a9c41de7733"

// startTimeout bounds the first start, with all migrations; a loaded machine takes seconds.
const startTimeout = time.Minute

// TestImage goes from the Dockerfile to a node that serves.
func TestImage(t *testing.T) {
	if os.Getuid() != 0 {
		t.Fatal("the test mounts file systems: run it as root")
	}
	b := builder{t: t, dir: t.TempDir()}
	for _, arch := range []string{"amd64", "arm64"} {
		if arch != runtime.GOARCH {
			b.build(arch)
			b.checkFiles(b.mount(arch), arch)
		}
	}
	b.build(runtime.GOARCH)
	b.checkConfiguration(runtime.GOARCH)
	root := b.mount(runtime.GOARCH)
	b.checkFiles(root, runtime.GOARCH)
	b.checkRun(runtime.GOARCH)
	serve(t, root)
}

// builder drives buildah with a storage of its own.
type builder struct {
	t   *testing.T
	dir string
}

func (b builder) buildah(args ...string) string {
	b.t.Helper()
	storage := []string{"--root", filepath.Join(b.dir, "root"), "--runroot", filepath.Join(b.dir, "runroot"), "--storage-driver", "vfs"}
	return output(b.t, exec.Command("buildah", append(storage, args...)...))
}

// output runs a command that has to succeed.
func output(t *testing.T, command *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", command, err, out, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// build makes the image of a platform. A build context of the name takes the place of the stage that compiles.
func (b builder) build(arch string) {
	b.t.Helper()
	stage := filepath.Join(b.dir, "stage-"+arch)
	for folder, mode := range map[string]os.FileMode{"image/usr/local/bin": 0o755, "image/etc/ssl/certs": 0o755, "image/tmp": 0o777 | os.ModeSticky, "data": 0o755} {
		path := filepath.Join(stage, folder)
		if err := os.MkdirAll(path, 0o755); err != nil {
			b.t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask is
			b.t.Fatal(err)
		}
	}
	compile := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.release=v0.0.0-test",
		"-o", filepath.Join(stage, "image/usr/local/bin/gpt-load"), "./cmd/gpt-load")
	compile.Dir = source(b.t)
	compile.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	output(b.t, compile)
	roots, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(stage, "image/etc/ssl/certs/ca-certificates.crt"), roots, 0o644); err != nil {
		b.t.Fatal(err)
	}
	b.buildah("build", "--isolation", "chroot", "--format", "docker", "--platform", "linux/"+arch,
		"--build-context", "build="+stage, "--tag", "gpt-load:"+arch, source(b.t))
}

// mount returns the root folder of a container of the image.
func (b builder) mount(arch string) string {
	b.t.Helper()
	name := "container-" + arch
	b.buildah("from", "--pull-never", "--name", name, "gpt-load:"+arch)
	b.t.Cleanup(func() { b.buildah("rm", name) })
	return b.buildah("mount", name)
}

// source is the root of the repository.
func source(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func (b builder) checkConfiguration(arch string) {
	b.t.Helper()
	var image struct {
		Docker struct {
			Architecture string `json:"architecture"`
			Config       struct {
				User        string
				Env         []string
				Entrypoint  []string
				Cmd         []string
				Volumes     map[string]struct{}
				Healthcheck struct{ Test []string }
			} `json:"config"`
		}
	}
	if err := json.Unmarshal([]byte(b.buildah("inspect", "--type", "image", "gpt-load:"+arch)), &image); err != nil {
		b.t.Fatal(err)
	}
	config := image.Docker.Config
	if _, volume := config.Volumes["/data"]; !volume || config.User != user || image.Docker.Architecture != arch {
		b.t.Errorf("the image is %+v", image)
	}
	if got := strings.Join(config.Entrypoint, " ") + "," + strings.Join(config.Healthcheck.Test, " "); got != "gpt-load,CMD gpt-load health" || len(config.Cmd) > 0 {
		b.t.Errorf("the image runs %q with %q", got, config.Cmd)
	}
}

// checkFiles: a static binary for the platform, the roots, a data folder of the user, and nothing else.
func (b builder) checkFiles(root, arch string) {
	b.t.Helper()
	binary, err := elf.Open(filepath.Join(root, "usr/local/bin/gpt-load"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() { _ = binary.Close() }()
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]
	if libraries, err := binary.ImportedLibraries(); err != nil || len(libraries) > 0 || binary.Machine != machine {
		b.t.Errorf("the binary for %s is for %v and needs %q, %v", arch, binary.Machine, libraries, err)
	}
	if binary.Section(".interp") != nil {
		b.t.Error("the binary is not static")
	}
	data, err := os.Stat(filepath.Join(root, "data"))
	if err != nil {
		b.t.Fatal(err)
	}
	if owner := data.Sys().(*syscall.Stat_t); owner.Uid != 65532 || owner.Gid != 65532 {
		b.t.Errorf("/data belongs to %d:%d", owner.Uid, owner.Gid)
	}
	files := 0
	err = filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files++
			b.t.Log(arch, strings.TrimPrefix(path, root))
		}
		return err
	})
	if err != nil || files != 2 { // the binary and the roots; the stage that the test stands in for adds names of users
		b.t.Errorf("the image has %d files, %v", files, err)
	}
}

// checkRun runs the image as buildah does, with its own entry in the environment.
func (b builder) checkRun(arch string) {
	b.t.Helper()
	container := "container-" + arch
	if got := b.buildah("run", "--isolation", "chroot", container, "--", "gpt-load", "version"); !strings.Contains(got, "v0.0.0-test") {
		b.t.Errorf("the version is %q", got)
	}
	b.buildah("config", "--env", "TZ=Asia/Tokyo", container)
	if got := b.buildah("run", "--isolation", "chroot", container, "--", "gpt-load", "config", "check"); !strings.Contains(got, "Asia/Tokyo") {
		b.t.Errorf("the time zone is not known: %s", got)
	}
}

// careful makes the root read-only and gives up root before it starts the image's program.
const careful = `set -eu
root=$1 data=$2
shift 2
mount --make-rprivate /
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount --bind "$data" "$root/data"
cd "$root"
exec setpriv --no-new-privs chroot --userspec=` + user + ` "$root" "$@"`

// serve starts a node in the image, asks it for its health from inside, and ends it.
func serve(t *testing.T, root string) {
	t.Helper()
	data := t.TempDir()
	if err := os.Chown(data, 65532, 65532); err != nil {
		t.Fatal(err)
	}
	run := func(ctx context.Context, args ...string) *exec.Cmd {
		command := exec.CommandContext(ctx, "unshare", append([]string{"--mount", "sh", "-c", careful, "sh", root, data, "/usr/local/bin/gpt-load"}, args...)...)
		command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOST=127.0.0.1", "PORT=0", "DATA_DIR=/data", "AUTH_KEY=" + authKey, "LOG_FORMAT=json", "TZ=UTC"}
		command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
		command.WaitDelay = startTimeout
		return command
	}
	ctx, stop := context.WithTimeout(t.Context(), 2*startTimeout)
	defer stop()
	node := run(ctx)
	logs, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	node.Stderr = node.Stdout
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	url, rest := address(t, logs)
	client, err := adminclient.New(url, adminclient.WithAuthKey(authKey))
	if err != nil {
		t.Fatal(err)
	}
	if ready, err := client.Ready(ctx); err != nil || ready.Status != "ready" {
		t.Errorf("the node is %+v, %v", ready, err)
	}
	if got := output(t, run(ctx, "health", "--url", url)); got != "ready" {
		t.Errorf("health says %q", got)
	}
	if err := node.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	tail, err := io.ReadAll(rest)
	if ended := node.Wait(); ended != nil || err != nil {
		t.Errorf("the node ended with %v, %v:\n%s", ended, err, tail)
	}
	if _, err := os.Stat(filepath.Join(data, "gpt-load.db")); err != nil {
		t.Errorf("the database is not in the volume: %v", err)
	}
}

// address reads the log until the node says where it serves.
func address(t *testing.T, logs io.Reader) (url string, rest io.Reader) {
	t.Helper()
	lines := bufio.NewReader(logs)
	var seen strings.Builder
	for {
		line, err := lines.ReadString('\n')
		seen.WriteString(line)
		var entry struct {
			Message string `json:"message"`
			Address string `json:"address"`
		}
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Message == "ready" {
			return "http://" + entry.Address, lines
		}
		if err != nil {
			t.Fatalf("the node ended before it was ready: %v\n%s", err, seen.String())
		}
	}
}
