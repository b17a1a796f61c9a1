package gptload_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"gpt-load/internal/metrics"
)

// alertRules is a file of alert rules as Prometheus reads it.
type alertRules struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert       string
			Expr        string
			For         string
			Labels      map[string]string
			Annotations map[string]string
		}
	}
}

// TestAlerts: every rule asks for metrics and labels that the code has, and says what to do.
func TestAlerts(t *testing.T) {
	var file alertRules
	decoder := yaml.NewDecoder(strings.NewReader(read(t, "configs/prometheus-alerts.yaml")))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	known, alerts := definitions(), map[string]bool{}
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if alerts[r.Alert] {
				t.Errorf("%s is there twice", r.Alert)
			}
			alerts[r.Alert] = true
			for _, fault := range judgeExpression(known, r.Expr) {
				t.Errorf("%s: %s", r.Alert, fault)
			}
			if severity := r.Labels["severity"]; severity != "warning" && severity != "critical" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s needs a severity, a summary and a description", r.Alert)
			}
		}
	}
	for _, needed := range []string{
		"GPTLoadUsableKeysLow", "GPTLoadAllKeysCooling", "GPTLoadFailureRate", "GPTLoadRecordsBackingUp", "GPTLoadNoLeader", "GPTLoadNodeLagging",
	} {
		if !alerts[needed] {
			t.Errorf("no alert %s", needed)
		}
	}
}

// TestDashboard: every panel asks for metrics and labels that the code has, and every metric is on a panel.
func TestDashboard(t *testing.T) {
	var dashboard any
	if err := json.Unmarshal([]byte(read(t, "configs/grafana-dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	var expressions []string
	collectStrings(dashboard, []string{"expr", "definition"}, &expressions)
	if len(expressions) < 30 {
		t.Fatalf("only %d expressions were found", len(expressions))
	}
	known := definitions()
	for _, expression := range expressions {
		for _, fault := range judgeExpression(known, expression) {
			t.Error(fault)
		}
	}
	all := strings.Join(expressions, "\n")
	for name := range known {
		if !regexp.MustCompile(name + `(_bucket|_count|_sum)?\b`).MatchString(all) {
			t.Errorf("%s is on no panel", name)
		}
	}
}

// collectStrings gathers the members of these names, wherever they are.
func collectStrings(value any, names []string, into *[]string) {
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			collectStrings(element, names, into)
		}
	case map[string]any:
		for name, member := range v {
			if text, ok := member.(string); ok && slices.Contains(names, name) {
				*into = append(*into, text)
			}
			collectStrings(member, names, into)
		}
	}
}

func definitions() map[string]metrics.Definition {
	m := metrics.New("test")
	m.Read(func() metrics.Readings { return metrics.Readings{} })
	known := map[string]metrics.Definition{}
	for _, d := range m.Definitions() {
		known[d.Name] = d
	}
	return known
}

var (
	metricName = regexp.MustCompile(`\b(?:gptload|process|go)_\w+`)
	selector   = regexp.MustCompile(`\b(gptload_\w+)\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)\s*"`)
	grouping   = regexp.MustCompile(`\b(?:by|on|without|group_left|group_right)\s*\(([^)]*)\)`)
)

// scraped are the labels that Prometheus adds to every series.
var scraped = []string{"job", "instance"}

// judgeExpression says what is wrong with a query. It knows as much of PromQL as the queries of this repository need.
func judgeExpression(known map[string]metrics.Definition, expression string) (faults []string) {
	fault := func(text string) { faults = append(faults, text+", in "+expression) }
	labels := slices.Clone(scraped)
	names := metricName.FindAllString(expression, -1)
	if len(names) == 0 {
		fault("no metric")
	}
	for _, name := range names {
		if !strings.HasPrefix(name, "gptload_") {
			continue // of the client library
		}
		d, ok := definitionOf(known, name)
		if !ok {
			fault("there is no metric " + name)
		}
		labels = append(labels, d.Labels...)
		if d.Histogram {
			labels = append(labels, "le")
		}
	}
	for _, s := range selector.FindAllStringSubmatch(expression, -1) {
		d, _ := definitionOf(known, s[1])
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			if !slices.Contains(d.Labels, m[1]) && !slices.Contains(scraped, m[1]) {
				fault(s[1] + " has no label " + m[1])
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expression, -1) {
		for label := range strings.SplitSeq(g[1], ",") {
			if label = strings.TrimSpace(label); label != "" && !slices.Contains(labels, label) {
				fault("none of its metrics has the label " + label)
			}
		}
	}
	for _, pair := range []string{"()", "{}", "[]"} {
		if strings.Count(expression, pair[:1]) != strings.Count(expression, pair[1:]) {
			fault("unbalanced " + pair)
		}
	}
	return faults
}

// definitionOf finds the metric of a series by its name. Histograms have only series with suffixes.
func definitionOf(known map[string]metrics.Definition, series string) (metrics.Definition, bool) {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(series, suffix); ok && known[base].Histogram {
			return known[base], true
		}
	}
	d, ok := known[series]
	return d, ok && !d.Histogram
}
