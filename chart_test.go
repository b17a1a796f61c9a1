package gptload_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"testing"

	"gpt-load/internal/config"
)

const (
	chartSchema   = "charts/gpt-load/values.schema.json"
	chartWorkload = "charts/gpt-load/templates/_workload.tpl"
)

// chartVariables are those that the chart sets itself, from values of its own.
func chartVariables(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, found := range regexp.MustCompile(`"([A-Z][A-Z_]+)"`).FindAllStringSubmatch(read(t, chartWorkload), -1) {
		names = append(names, found[1])
	}
	return names
}

// chartTypes are the types of values in YAML by the kind of a variable.
var chartTypes = map[config.Kind]string{config.KindInt: "integer", config.KindBool: "boolean", config.KindString: "string", config.KindList: "string"}

// TestGeneratedChartSchema: the chart's value config takes the variables that a node has, but those that are secret and those
// that the chart sets.
func TestGeneratedChartSchema(t *testing.T) {
	own := chartVariables(t)
	properties := map[string]map[string]string{}
	for _, entry := range config.Table() {
		if i := slices.Index(own, entry.Name); i >= 0 {
			own = slices.Delete(own, i, i+1)
		} else if !entry.Secret {
			properties[entry.Name] = map[string]string{"type": chartTypes[entry.Kind]}
		}
	}
	if len(own) > 0 {
		t.Errorf("%s sets %q, which the configuration does not have", chartWorkload, own)
	}
	object, err := json.Marshal(map[string]any{"type": "object", "additionalProperties": false, "properties": properties})
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^    "config": .*$`)
	schema := read(t, chartSchema)
	if len(line.FindAllString(schema, -1)) != 1 {
		t.Fatalf("%s does not have config on a line of its own", chartSchema)
	}
	compare(t, chartSchema, line.ReplaceAllLiteralString(schema, `    "config": `+string(object)+","))
}

// TestGeneratedChartFiles: the chart brings the dashboard and the alert rules of configs/ with it; Helm reads nothing outside a chart.
func TestGeneratedChartFiles(t *testing.T) {
	for _, name := range []string{"grafana-dashboard.json", "prometheus-alerts.yaml"} {
		compare(t, "charts/gpt-load/files/"+name, read(t, "configs/"+name))
	}
}
