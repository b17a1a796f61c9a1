package chart_test

import (
	"strings"
	"testing"
)

// TestWrongValues: what is wrong, and where, is told before anything is installed.
func TestWrongValues(t *testing.T) {
	const ok = "secrets: {name: s}\n"
	for _, c := range []struct{ name, values, want string }{
		{"no secrets", "", "a fleet needs AUTH_KEY from a Secret: set secrets.name to one that has the keys auth-key, encryption-key, database-dsn and redis-dsn, or secrets.authKey.name"},
		{"one secret missing", "secrets: {authKey: {name: a}, encryptionKey: {name: a}, redisDsn: {name: a}}", "a fleet needs DATABASE_DSN from a Secret"},
		{"one key for two", "secrets: {name: s, redisDsn: {key: dsn}, databaseDsn: {key: dsn}}", "DATABASE_DSN and REDIS_DSN are both to come from the key dsn of the Secret s"},
		{"unknown value", ok + "replicas: 3", "additional properties 'replicas' not allowed"},
		{"unknown value inside", ok + "followers: {replica: 3}", "at '/followers': additional properties 'replica' not allowed"},
		{"mode", ok + "mode: cluster", "at '/mode': value must be one of 'fleet', 'single'"},
		{"a secret in values", ok + "secrets: {name: s, authKey: sk-1}", "at '/secrets/authKey': got string, want object"},
		{"secret in config", ok + "config: {AUTH_KEY: sk-1}", "at '/config': additional properties 'AUTH_KEY' not allowed"},
		{"what the chart sets", ok + "config: {METRICS_PORT: 1}", "at '/config': additional properties 'METRICS_PORT' not allowed"},
		{"misspelt variable", ok + "config: {TRUSTED_PROXY: 10.0.0.0/8}", "at '/config': additional properties 'TRUSTED_PROXY' not allowed"},
		{"text as a variable of another type", ok + "config: {ENABLE_CORS: yes please}", "at '/config/ENABLE_CORS': got string, want boolean"},
		{"list as a variable", ok + "config: {TRUSTED_PROXIES: [10.0.0.0/8]}", "at '/config/TRUSTED_PROXIES': got array, want string"},
		{"text as a number", ok + "candidates: {replicas: two}", "at '/candidates/replicas': got string, want integer"},
		{"no candidate", ok + "candidates: {replicas: 0}", "at '/candidates/replicas': minimum: got 0, want 1"},
		{"drain", ok + "drain: {timeoutSeconds: 0}", "at '/drain/timeoutSeconds': minimum: got 0, want 1"},
		{"duration as text", ok + "drain: {timeoutSeconds: 5m}", "at '/drain/timeoutSeconds': got string, want integer"},
		{"port", ok + "service: {port: 70000}", "at '/service/port': maximum: got 70,000, want 65,535"},
		{"metrics on the main port", ok + "metrics: {port: 3001}", "at '/metrics/port': 'not' failed"},
		{"budget", ok + "podDisruptionBudget: {maxUnavailable: 0}", "at '/podDisruptionBudget/maxUnavailable'"},
		{"quantity", ok + "persistence: {size: lots}", "at '/persistence/size': 'lots' does not match pattern"},
		{"resources", ok + "resources: {limit: {memory: 1Gi}}", "at '/resources': additional properties 'limit' not allowed"},
		{"URL as a host", ok + "ingress: {enabled: true, hosts: ['https://ai.example.com/']}", "at '/ingress/hosts/0': 'https://ai.example.com/' does not match pattern"},
		{"digest", ok + "image: {digest: latest}", "at '/image/digest': 'latest' does not match pattern"},
		{"number as a label", ok + "podLabels: {tier: 1}", "at '/podLabels/tier': got number, want string"},
		{"scaling bounds", ok + "followers: {autoscaling: {enabled: true, minReplicas: 5, maxReplicas: 4}}", "followers.autoscaling.minReplicas (5) is more than maxReplicas (4)"},
		{"scaling by nothing", ok + "followers: {autoscaling: {enabled: true, targetCPUPercent: 0, targetRequestsInFlight: 0}}", "needs targetCPUPercent or targetRequestsInFlight"},
		{"share of nothing", ok + "followers: {autoscaling: {enabled: true}}\nresources: {requests: {cpu: null}}", "is a share of resources.requests.cpu, which is not set"},
		{"claim of a fleet", ok + "persistence: {existingClaim: mine}", "persistence.existingClaim is for mode single"},
		{"no host", ok + "ingress: {enabled: true}", "ingress.hosts is empty"},
		{"no gateway", ok + "httpRoute: {enabled: true}", "httpRoute.parentRefs is empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			values := c.values
			if strings.Count(values, "secrets:") > 1 {
				values = strings.TrimPrefix(values, ok)
			}
			_, err := render(loadChart(t), readValues(t, values))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the chart says %v, not %q", err, c.want)
			}
		})
	}
}
