package gptload_test

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"gpt-load/internal/config"
)

// composeFile is the part of the Compose specification that the files here use (https://compose-spec.io). Everything
// else is a mistake.
type composeFile struct {
	Name     string
	Node     yaml.Node `yaml:"x-node"` // read through its aliases
	Services map[string]composeService
	Volumes  map[string]*struct{}
}

type composeService struct {
	Image           string
	Profiles        []string
	Restart         string
	Entrypoint      []string
	Command         []string
	WorkingDir      string `yaml:"working_dir"`
	Environment     map[string]string
	Ports           []string
	Volumes         []string
	Healthcheck     *composeHealthcheck
	StopGracePeriod string `yaml:"stop_grace_period"`
	ShmSize         string `yaml:"shm_size"`
	ReadOnly        bool   `yaml:"read_only"`
	Tmpfs           []string
	CapDrop         []string `yaml:"cap_drop"`
	SecurityOpt     []string `yaml:"security_opt"`
	DependsOn       map[string]struct {
		Condition string
	} `yaml:"depends_on"`
	Logging struct {
		Driver  string
		Options map[string]string
	}
}

type composeHealthcheck struct {
	Test        []string
	Interval    string
	Timeout     string
	Retries     int
	StartPeriod string `yaml:"start_period"`
}

func readCompose(t *testing.T, path string) composeFile {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	decoder := yaml.NewDecoder(file)
	decoder.KnownFields(true)
	var compose composeFile
	if err := decoder.Decode(&compose); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if compose.Name == "" || len(compose.Services) == 0 {
		t.Fatalf("%s has no name or no services", path)
	}
	return compose
}

// reference is a variable that Compose fills in: ${NAME}, ${NAME:-default} or ${NAME:?what to do}.
var reference = regexp.MustCompile(`\$\{([A-Z_]+)(?::([-?])([^}]*))?\}`)

// fillIn does what Compose does with a value. Variables that are not in the environment and have no default fail.
func fillIn(t *testing.T, text string, environment map[string]string) string {
	t.Helper()
	filled := reference.ReplaceAllStringFunc(text, func(found string) string {
		part := reference.FindStringSubmatch(found)
		if value := environment[part[1]]; value != "" {
			return value
		}
		if part[2] == "-" {
			return part[3]
		}
		t.Errorf("%s is needed and not set", part[1])
		return ""
	})
	if rest := strings.ReplaceAll(filled, "$$", ""); strings.Contains(rest, "$") {
		t.Errorf("Compose does not understand %q", text)
	}
	return strings.ReplaceAll(filled, "$$", "$")
}

// reader is the .env of somebody who follows the top of docker-compose.cluster.yml.
var reader = map[string]string{
	"AUTH_KEY": "3f8a1c6be2d04975a1b2c3d4", "ENCRYPTION_KEY": "90be51cf7732aa6e01c4d8f2",
	"POSTGRES_PASSWORD": "b1946ac92492d2347c6235b4", "REDIS_PASSWORD": "591785b794601e212b260e25",
}

// checkCompose checks what holds for every file.
func checkCompose(t *testing.T, compose composeFile) {
	t.Helper()
	for name, s := range compose.Services {
		if s.Image == "" || s.Restart != "unless-stopped" {
			t.Errorf("%s: no image, or it is not restarted: %q, %q", name, s.Image, s.Restart)
		}
		if image := fillIn(t, s.Image, nil); !strings.Contains(image, ":") || strings.HasSuffix(image, ":latest") && image != "gpt-load:latest" {
			t.Errorf("%s: the image %q names no version", name, image)
		}
		for _, port := range s.Ports {
			if published := fillIn(t, port, nil); !regexp.MustCompile(`^127\.0\.0\.1:\d+:\d+$`).MatchString(published) {
				t.Errorf("%s publishes %q: whoever opens it to the network says so", name, published)
			}
		}
		for other, wait := range s.DependsOn {
			on, exists := compose.Services[other]
			if !exists || wait.Condition == "service_healthy" && on.Healthcheck == nil {
				t.Errorf("%s waits for %s %s, which cannot come", name, other, wait.Condition)
			}
		}
		for _, volume := range s.Volumes {
			source, _, _ := strings.Cut(volume, ":")
			if strings.HasPrefix(source, ".") {
				if _, err := os.Stat(source); err != nil {
					t.Errorf("%s mounts what is not there: %v", name, err)
				}
			} else if _, declared := compose.Volumes[source]; !declared {
				t.Errorf("%s uses the volume %q, which is not declared", name, source)
			}
		}
		if s.Logging.Driver != "json-file" || s.Logging.Options["max-size"] == "" || s.Logging.Options["max-file"] == "" {
			t.Errorf("%s: its log has no bound", name)
		}
	}
	for volume := range compose.Volumes {
		if !slices.ContainsFunc(slices.Collect(maps.Values(compose.Services)), func(s composeService) bool {
			return slices.ContainsFunc(s.Volumes, func(mount string) bool { return strings.HasPrefix(mount, volume+":") })
		}) {
			t.Errorf("nobody uses the volume %q", volume)
		}
	}
}

// checkNode checks a service that runs GPT-Load, and returns its configuration.
func checkNode(t *testing.T, name string, s composeService, environment map[string]string) config.Config {
	t.Helper()
	entries := map[string]config.Entry{}
	for _, e := range config.Table() {
		entries[e.Name] = e
	}
	values := map[string]string{}
	for variable, text := range s.Environment {
		entry, known := entries[strings.TrimSuffix(variable, "_FILE")]
		if !known || strings.HasSuffix(variable, "_FILE") && !entry.Secret {
			t.Errorf("%s: the configuration has no %s", name, variable)
		}
		values[variable] = fillIn(t, text, environment)
	}
	cfg, err := config.Load(config.Sources{Dir: t.TempDir(), LookupEnv: func(variable string) (string, bool) {
		value, set := values[variable]
		return value, set
	}})
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if warnings := cfg.Warnings(); len(warnings) > 0 {
		t.Errorf("%s: a node would start with the warnings %q", name, warnings)
	}
	if s.Healthcheck == nil || !slices.Equal(s.Healthcheck.Test, []string{"CMD", "gpt-load", "health"}) {
		t.Errorf("%s: it is not asked for its health", name)
	}
	if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Equal(s.SecurityOpt, []string{"no-new-privileges:true"}) {
		t.Errorf("%s may do more than it needs", name)
	}
	if !slices.ContainsFunc(s.Volumes, func(mount string) bool { return strings.HasSuffix(mount, ":"+cfg.DataDir) }) {
		t.Errorf("%s: %s is no volume, so what the node keeps goes with its container", name, cfg.DataDir)
	}
	return cfg
}

// TestNoSecretsInCompose: what is secret comes from outside. A file that is given no secrets says so.
func TestNoSecretsInCompose(t *testing.T) {
	for _, path := range []string{"docker-compose.yml", "docker-compose.cluster.yml"} {
		for name, s := range readCompose(t, path).Services {
			for variable, text := range s.Environment {
				if !regexp.MustCompile(`KEY$|PASSWORD|_AUTH$|DSN$`).MatchString(variable) {
					continue
				}
				if !reference.MatchString(text) {
					t.Errorf("%s: %s of %s is %q, not taken from the environment", path, variable, name, text)
				}
				for _, part := range reference.FindAllStringSubmatch(text, -1) {
					if part[2] == "-" && part[3] != "" {
						t.Errorf("%s: %s of %s has the default %q, which everybody knows", path, variable, name, part[3])
					}
					if part[2] != "?" && path == "docker-compose.cluster.yml" {
						t.Errorf("%s: %s of %s may be missing", path, variable, name)
					}
				}
			}
		}
	}
}

func TestComposeSingleNode(t *testing.T) {
	compose := readCompose(t, "docker-compose.yml")
	checkCompose(t, compose)
	if len(compose.Services) != 1 {
		t.Fatalf("a single node is %d services", len(compose.Services))
	}
	s := compose.Services["gpt-load"]
	for _, environment := range []map[string]string{reader, {"ENCRYPTION_KEY": reader["ENCRYPTION_KEY"]}} {
		cfg := checkNode(t, "gpt-load", s, environment)
		if cfg.Fleet() || cfg.IsSlave || cfg.DatabaseDSN.Reveal() != "/data/gpt-load.db" {
			t.Error("the single node is not one with SQLite in its volume")
		}
		if want := "127.0.0.1:3001:3001"; cfg.Port != 3001 || fillIn(t, s.Ports[0], nil) != want {
			t.Errorf("the node listens at %d and publishes %s", cfg.Port, s.Ports)
		}
	}
	// The part that is commented out has to be right as well.
	text := read(t, "docker-compose.yml")
	for _, variable := range regexp.MustCompile(`# ([A-Z_]+)_FILE:`).FindAllStringSubmatch(text, -1) {
		if !slices.ContainsFunc(config.Table(), func(e config.Entry) bool { return e.Name == variable[1] && e.Secret }) {
			t.Errorf("%s_FILE is no variable", variable[1])
		}
	}
}

// TestComposeCluster: two candidates and two followers that are alike but for IS_SLAVE, and what they need.
func TestComposeCluster(t *testing.T) {
	compose := readCompose(t, "docker-compose.cluster.yml")
	checkCompose(t, compose)
	names := slices.Sorted(maps.Keys(compose.Services))
	want := []string{"balancer", "candidate-1", "candidate-2", "fakeprovider", "follower-1", "follower-2", "postgres", "redis"}
	if !slices.Equal(names, want) {
		t.Fatalf("the services are %q, not %q", names, want)
	}
	nodes := []string{"candidate-1", "candidate-2", "follower-1", "follower-2"}
	first := compose.Services[nodes[0]]
	for _, name := range nodes {
		s := compose.Services[name]
		cfg := checkNode(t, name, s, reader)
		if !cfg.Fleet() || cfg.IsSlave != strings.HasPrefix(name, "follower") {
			t.Errorf("%s: IS_SLAVE is %t", name, cfg.IsSlave)
		}
		if !slices.Equal(s.Volumes, []string{name + ":/data"}) || len(s.Ports) > 0 {
			t.Errorf("%s: volumes %q, ports %q", name, s.Volumes, s.Ports)
		}
		s.Environment = maps.Clone(s.Environment)
		s.Environment["IS_SLAVE"], s.Volumes = first.Environment["IS_SLAVE"], first.Volumes
		if !reflect.DeepEqual(s, first) {
			t.Errorf("%s differs from %s in more than IS_SLAVE and its volume:\n%+v\n%+v", name, nodes[0], s, first)
		}
	}
	checkStores(t, compose)
	checkBalancer(t, compose.Services["balancer"], nodes)
	if provider := compose.Services["fakeprovider"]; !slices.Equal(provider.Profiles, []string{"drill"}) ||
		!strings.HasPrefix(provider.Image, "golang:"+goVersion(t)) || !slices.Contains(provider.Command, "./cmd/fakeprovider") {
		t.Errorf("the fake provider is %+v", provider)
	}
}

// checkStores: what the nodes' DSNs name is what the stores offer, and nobody outside reaches them.
func checkStores(t *testing.T, compose composeFile) {
	t.Helper()
	node := compose.Services["candidate-1"].Environment
	postgres, redis := compose.Services["postgres"], compose.Services["redis"]
	env := postgres.Environment
	want := "postgres://" + env["POSTGRES_USER"] + ":" + env["POSTGRES_PASSWORD"] + "@postgres:5432/" + env["POSTGRES_DB"] + "?sslmode=disable"
	if node["DATABASE_DSN"] != want {
		t.Errorf("DATABASE_DSN is %s, not %s", node["DATABASE_DSN"], want)
	}
	if want := "redis://:" + redis.Environment["REDISCLI_AUTH"] + "@redis:6379/0"; node["REDIS_DSN"] != want {
		t.Errorf("REDIS_DSN is %s, not %s", node["REDIS_DSN"], want)
	}
	start := fillIn(t, strings.Join(redis.Command, " "), nil)
	for _, part := range []string{`--requirepass "$REDISCLI_AUTH"`, "--maxmemory ", "noeviction"} {
		if !strings.Contains(start, part) {
			t.Errorf("Redis starts without %s: %s", part, start)
		}
	}
	if len(postgres.Ports)+len(redis.Ports) > 0 {
		t.Error("a store is published")
	}
}

// checkBalancer: nginx knows every node, and its template gets everything that it asks for.
func checkBalancer(t *testing.T, balancer composeService, nodes []string) {
	t.Helper()
	var servers strings.Builder
	for _, node := range nodes {
		servers.WriteString("server " + node + ":3001 resolve max_fails=3 fail_timeout=5s; ")
	}
	if got := balancer.Environment["GPT_LOAD_SERVERS"]; got != strings.TrimSpace(servers.String()) {
		t.Errorf("nginx knows the nodes\n%s\nnot\n%s", got, servers.String())
	}
	template := read(t, "configs/nginx.conf.template")
	for _, variable := range regexp.MustCompile(`\$\{(\w+)\}`).FindAllStringSubmatch(template, -1) {
		if _, set := balancer.Environment[variable[1]]; !set {
			t.Errorf("nginx gets no %s", variable[1])
		}
	}
	mount := "./configs/nginx.conf.template:" + filepath.Join("/etc/nginx/templates", "nginx.conf.template") + ":ro"
	if !slices.Equal(balancer.Volumes, []string{mount}) || balancer.Environment["NGINX_ENVSUBST_OUTPUT_DIR"] != "/etc/nginx" {
		t.Errorf("the template does not become /etc/nginx/nginx.conf: %q", balancer.Volumes)
	}
	if published := fillIn(t, balancer.Ports[0], nil); published != "127.0.0.1:3001:"+balancer.Environment["GPT_LOAD_LISTEN"] {
		t.Errorf("nginx listens at %s and publishes %s", balancer.Environment["GPT_LOAD_LISTEN"], published)
	}
}

// goVersion is the major and minor version that go.mod asks for.
func goVersion(t *testing.T) string {
	t.Helper()
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "go.mod"))
	if version == nil {
		t.Fatal("go.mod names no version of Go")
	}
	return version[1]
}
