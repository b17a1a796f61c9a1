package chart_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"sigs.k8s.io/yaml"
)

const (
	chartDir    = "../../charts/gpt-load"
	releaseName = "ai"
	namespace   = "gateways"
)

var update = flag.Bool("update", false, "write the golden manifests instead of comparing them")

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func readValues(t *testing.T, text string) map[string]any {
	t.Helper()
	values := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// render does what `helm template` does: the schema, and then the templates.
func render(c *chart.Chart, values map[string]any) (map[string]string, error) {
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = chartutil.KubeVersion{Version: "v1.37.0", Major: "1", Minor: "37"}
	release := chartutil.ReleaseOptions{Name: releaseName, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(c, values, release, capabilities)
	if err != nil {
		return nil, err
	}
	return engine.Render(c, all)
}

// modes are the ways to install that testdata has values of.
func modes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.values.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no values in testdata: %v", err)
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(filepath.Base(file), ".values.yaml")
	}
	return files
}

// eachMode renders the chart with the values of each mode.
func eachMode(t *testing.T, check func(t *testing.T, mode string, rendered map[string]string)) {
	t.Helper()
	for _, mode := range modes(t) {
		t.Run(mode, func(t *testing.T) {
			text, err := os.ReadFile("testdata/" + mode + ".values.yaml")
			if err != nil {
				t.Fatal(err)
			}
			rendered, err := render(loadChart(t), readValues(t, string(text)))
			if err != nil {
				t.Fatal(err)
			}
			check(t, mode, rendered)
		})
	}
}

const notes = "gpt-load/templates/NOTES.txt"

func TestGolden(t *testing.T) {
	eachMode(t, func(t *testing.T, mode string, rendered map[string]string) {
		var manifests strings.Builder
		for _, name := range slices.Sorted(maps.Keys(rendered)) {
			text := strings.TrimSpace(rendered[name])
			if name == notes || text == "" {
				continue
			}
			text = strings.TrimSpace(strings.TrimPrefix(text, "---"))
			fmt.Fprintf(&manifests, "---\n# %s\n%s\n", strings.TrimPrefix(name, "gpt-load/templates/"), withoutFiles(t, text))
		}
		compare(t, "testdata/"+mode+".golden.yaml", manifests.String())
		compare(t, "testdata/"+mode+".notes.txt", strings.TrimSpace(rendered[notes])+"\n")
	})
}

// withoutFiles shortens what the chart takes over whole from its files, and checks that it is whole.
func withoutFiles(t *testing.T, text string) string {
	t.Helper()
	for name, indent := range map[string]string{"prometheus-alerts.yaml": "  ", "grafana-dashboard.json": "    "} {
		content, err := os.ReadFile(filepath.Join(chartDir, "files", name))
		if err != nil {
			t.Fatal(err)
		}
		marker := map[string]string{"prometheus-alerts.yaml": "kind: PrometheusRule", "grafana-dashboard.json": "gpt-load.json: |-"}[name]
		if !strings.Contains(text, marker) {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(content)), "\n")
		for i := range lines {
			lines[i] = indent + lines[i]
		}
		whole := strings.Join(lines, "\n")
		if !strings.Contains(text, whole) {
			t.Errorf("%s is not whole in\n%s", name, text)
		}
		text = strings.ReplaceAll(text, whole, indent+"("+path.Join("files", name)+")")
	}
	return text
}

func compare(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) == want {
		return
	}
	before, after := strings.Split(string(got), "\n"), strings.Split(want, "\n")
	for i := range before {
		if i >= len(after) || before[i] != after[i] {
			t.Fatalf("%s, line %d: is %q, and the chart renders %q; `go test . -update` writes it", file, i+1, before[i], strings.Join(after[min(i, len(after)):min(i+3, len(after))], "\n"))
		}
	}
	t.Fatalf("%s ends before what the chart renders; `go test . -update` writes it", file)
}

// TestLint is `helm lint --strict`.
func TestLint(t *testing.T) {
	for _, mode := range modes(t) {
		text, err := os.ReadFile("testdata/" + mode + ".values.yaml")
		if err != nil {
			t.Fatal(err)
		}
		for _, message := range lint.AllWithKubeVersion(chartDir, readValues(t, string(text)), namespace, nil).Messages {
			if message.Severity >= support.WarningSev {
				t.Errorf("%s: %v", mode, message)
			}
		}
	}
}
