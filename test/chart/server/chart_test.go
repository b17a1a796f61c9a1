package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/release"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	yamlstream "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"
)

const (
	chartDir    = "../../../charts/gpt-load"
	releaseName = "ai"
	namespace   = "gateways"
)

// TestChart lives through the life of a release: installed as a fleet with everything, made one with volumes, rolled back, made a
// single node, refused with wrong values, removed.
func TestChart(t *testing.T) {
	c := startCluster(t)
	c.prepare(t)
	h := helm{t: t, cluster: c}

	first := h.install("fleet-everything")
	if want := "WARNING: the Secret gpt-load is not there"; !strings.Contains(first.Info.Notes, want) {
		t.Errorf("the notes do not say %q:\n%s", want, first.Info.Notes)
	}
	h.expect("gateway-candidate", "Deployment", 3)
	c.checkManifests(t, first.Manifest)

	c.createSecrets(t)
	second := h.upgrade("fleet-volumes")
	c.checkManifests(t, second.Manifest)
	h.expect("ai-gpt-load-candidate", "StatefulSet", 2)
	h.gone("gateway-candidate", "Deployment")

	h.rollback(1)
	h.expect("gateway-candidate", "Deployment", 3)
	h.gone("ai-gpt-load-candidate", "StatefulSet")

	third := h.upgrade("fleet")
	if strings.Contains(third.Info.Notes, "WARNING") {
		t.Errorf("the notes warn of what is there:\n%s", third.Info.Notes)
	}
	// The same workload under other values: nothing that changes may be immutable.
	values := readValues(t, "fleet")
	values["image"] = map[string]any{"tag": "2.0.1"}
	values["candidates"] = map[string]any{"replicas": 5}
	if _, err := h.tryUpgrade(values); err != nil {
		t.Fatal(err)
	}
	h.expect("ai-gpt-load-candidate", "Deployment", 5)
	h.rollback(4)
	h.expect("ai-gpt-load-candidate", "Deployment", 2)

	if _, err := h.tryUpgrade(map[string]any{"mode": "cluster"}); err == nil || !strings.Contains(err.Error(), "at '/mode'") {
		t.Errorf("wrong values: %v", err)
	}
	h.expect("ai-gpt-load-candidate", "Deployment", 2)

	for _, mode := range []string{"single", "single-claim", "single-trial"} {
		c.checkManifests(t, h.upgrade(mode).Manifest)
	}
	h.uninstall()
	c.checkEmpty(t)
}

// prepare makes a namespace that enforces Pod Security, what the values of the modes name, and the kinds that are no part of Kubernetes.
func (c cluster) prepare(t *testing.T) {
	t.Helper()
	space := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"}}}
	if _, err := c.client.CoreV1().Namespaces().Create(t.Context(), space, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "workers"}}
	if _, err := c.client.CoreV1().ServiceAccounts(namespace).Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	priority := &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "high"}, Value: 1000}
	if _, err := c.client.SchedulingV1().PriorityClasses().Create(t.Context(), priority, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	definitions := []*unstructured.Unstructured{gatewayRoutes(t)}
	for _, kind := range []string{"ServiceMonitor", "PrometheusRule"} {
		definitions = append(definitions, definition(kind))
	}
	resource := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	for _, d := range definitions {
		if _, err := c.dynamic.Resource(resource).Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, d.GetName()+" is served", startTimeout, func() error {
			group, _, _ := unstructured.NestedString(d.Object, "spec", "group")
			_, err := c.client.Discovery().ServerResourcesForGroupVersion(group + "/v1")
			return err
		})
	}
}

// gatewayRoutes is the definition of HTTPRoute that the Gateway API publishes.
func gatewayRoutes(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	d := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(content, &d.Object); err != nil {
		t.Fatal(err)
	}
	return d
}

// definition takes anything as the kind. The types of the Prometheus Operator, which publishes its definitions elsewhere, are tested by
// strict decoding.
func definition(kind string) *unstructured.Unstructured {
	singular := strings.ToLower(kind)
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
		"metadata": map[string]any{"name": singular + "s.monitoring.coreos.com"},
		"spec": map[string]any{
			"group": "monitoring.coreos.com", "scope": "Namespaced",
			"names": map[string]any{"kind": kind, "plural": singular + "s", "singular": singular, "listKind": kind + "List"},
			"versions": []any{map[string]any{"name": "v1", "served": true, "storage": true, "schema": map[string]any{
				"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
			}}},
		},
	}}
}

func (c cluster) createSecrets(t *testing.T) {
	t.Helper()
	data := map[string][]byte{}
	for _, key := range []string{"auth-key", "encryption-key", "database-dsn", "redis-dsn"} {
		data[key] = []byte("not used")
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "gpt-load"}, Data: data}
	if _, err := c.client.CoreV1().Secrets(namespace).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// checkManifests asks the API server whether it would take every manifest strictly under another name, and the pod of each workload with
// what admission has to say to it.
func (c cluster) checkManifests(t *testing.T, manifest string) {
	t.Helper()
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.client.Discovery()))
	documents := yamlstream.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	strict := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict}
	pods := 0
	for {
		object := &unstructured.Unstructured{}
		if err := documents.Decode(&object.Object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(object.Object) == 0 {
			continue
		}
		kind := object.GroupVersionKind()
		mapping, err := mapper.RESTMapping(kind.GroupKind(), kind.Version)
		if err != nil {
			t.Fatal(err)
		}
		name := object.GetName()
		object.SetName(name + "-again")
		if _, err := c.dynamic.Resource(mapping.Resource).Namespace(namespace).Create(t.Context(), object, strict); err != nil {
			t.Errorf("%s %s: %v", kind.Kind, name, err)
		}
		template, isWorkload, err := unstructured.NestedMap(object.Object, "spec", "template")
		if err != nil || !isWorkload {
			continue
		}
		pods++
		pod := &unstructured.Unstructured{Object: template}
		pod.SetAPIVersion("v1")
		pod.SetKind("Pod")
		pod.SetName(name)
		c.addClaims(t, pod, object)
		resource := corev1.SchemeGroupVersion.WithResource("pods")
		if _, err := c.dynamic.Resource(resource).Namespace(namespace).Create(t.Context(), pod, strict); err != nil {
			t.Errorf("a pod of %s: %v", name, err)
		}
	}
	if pods == 0 {
		t.Error("there are no workloads in the manifest")
	}
}

// addClaims does what the controller of a StatefulSet does to its pods.
func (c cluster) addClaims(t *testing.T, pod, set *unstructured.Unstructured) {
	t.Helper()
	claims, _, err := unstructured.NestedSlice(set.Object, "spec", "volumeClaimTemplates")
	if err != nil {
		t.Fatal(err)
	}
	volumes, _, err := unstructured.NestedSlice(pod.Object, "spec", "volumes")
	if err != nil {
		t.Fatal(err)
	}
	for _, claim := range claims {
		name, _, _ := unstructured.NestedString(claim.(map[string]any), "metadata", "name")
		volumes = append(volumes, map[string]any{"name": name, "persistentVolumeClaim": map[string]any{"claimName": name}})
	}
	if err := unstructured.SetNestedSlice(pod.Object, volumes, "spec", "volumes"); err != nil {
		t.Fatal(err)
	}
}

// checkEmpty: a removed release leaves nothing but what it did not make.
func (c cluster) checkEmpty(t *testing.T) {
	t.Helper()
	for _, resource := range []schema.GroupVersionResource{
		{Group: "apps", Version: "v1", Resource: "deployments"},
		{Group: "apps", Version: "v1", Resource: "statefulsets"},
		{Version: "v1", Resource: "services"},
		{Version: "v1", Resource: "configmaps"},
		{Version: "v1", Resource: "pods"},
		{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
		{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
		{Group: "monitoring.coreos.com", Version: "v1", Resource: "servicemonitors"},
	} {
		list, err := c.dynamic.Resource(resource).Namespace(namespace).List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := meta.EachListItem(list, func(o runtime.Object) error { return fmt.Errorf("%s is left", o.(metav1.Object).GetName()) }); err != nil {
			t.Errorf("%s: %v", resource.Resource, err)
		}
	}
}

// helm is the release, by Helm's own library.
type helm struct {
	t *testing.T
	cluster
}

func (h helm) configuration() *action.Configuration {
	h.t.Helper()
	flags := genericclioptions.NewConfigFlags(false)
	insecure, space := true, namespace
	flags.APIServer, flags.BearerToken, flags.Insecure, flags.Namespace = &h.config.Host, &h.config.BearerToken, &insecure, &space
	configuration := new(action.Configuration)
	if err := configuration.Init(flags, namespace, "secret", h.t.Logf); err != nil {
		h.t.Fatal(err)
	}
	return configuration
}

func readValues(t *testing.T, mode string) map[string]any {
	t.Helper()
	text, err := os.ReadFile("../testdata/" + mode + ".values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{}
	if err := yaml.Unmarshal(bytes.TrimSpace(text), &values); err != nil {
		t.Fatal(err)
	}
	return values
}

func (h helm) install(mode string) *release.Release {
	h.t.Helper()
	install := action.NewInstall(h.configuration())
	install.ReleaseName, install.Namespace, install.Timeout = releaseName, namespace, time.Minute
	c, err := loader.LoadDir(chartDir)
	if err != nil {
		h.t.Fatal(err)
	}
	installed, err := install.RunWithContext(h.t.Context(), c, readValues(h.t, mode))
	if err != nil {
		h.t.Fatal(err)
	}
	return installed
}

func (h helm) upgrade(mode string) *release.Release {
	h.t.Helper()
	upgraded, err := h.tryUpgrade(readValues(h.t, mode))
	if err != nil {
		h.t.Fatalf("%s: %v", mode, err)
	}
	return upgraded
}

func (h helm) tryUpgrade(values map[string]any) (*release.Release, error) {
	h.t.Helper()
	upgrade := action.NewUpgrade(h.configuration())
	upgrade.Namespace, upgrade.Timeout = namespace, time.Minute
	c, err := loader.LoadDir(chartDir)
	if err != nil {
		h.t.Fatal(err)
	}
	return upgrade.RunWithContext(h.t.Context(), releaseName, c, values)
}

func (h helm) rollback(revision int) {
	h.t.Helper()
	rollback := action.NewRollback(h.configuration())
	rollback.Version, rollback.Timeout = revision, time.Minute
	if err := rollback.Run(releaseName); err != nil {
		h.t.Fatal(err)
	}
}

func (h helm) uninstall() {
	h.t.Helper()
	uninstall := action.NewUninstall(h.configuration())
	uninstall.Timeout = time.Minute
	if _, err := uninstall.Run(releaseName); err != nil {
		h.t.Fatal(err)
	}
}

// expect looks for a workload with that many replicas.
func (h helm) expect(name, kind string, replicas int64) {
	h.t.Helper()
	object, err := h.dynamic.Resource(workload(kind)).Namespace(namespace).Get(h.t.Context(), name, metav1.GetOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	if got, _, _ := unstructured.NestedInt64(object.Object, "spec", "replicas"); got != replicas {
		h.t.Errorf("%s has %d replicas, not %d", name, got, replicas)
	}
}

func (h helm) gone(name, kind string) {
	h.t.Helper()
	if _, err := h.dynamic.Resource(workload(kind)).Namespace(namespace).Get(h.t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		h.t.Errorf("%s %s is not gone: %v", kind, name, err)
	}
}

func workload(kind string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: strings.ToLower(kind) + "s"}
}
