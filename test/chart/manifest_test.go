package chart_test

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// decode reads every manifest as the type that its API has for it. Unknown fields, wrong types and doubled keys are errors.
func decode(t *testing.T, rendered map[string]string) []runtime.Object {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientscheme.AddToScheme, monitoringv1.AddToScheme, gatewayv1.Install} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	strict := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	var objects []runtime.Object
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if name == notes {
			continue
		}
		documents := yaml.NewYAMLReader(bufio.NewReader(strings.NewReader(rendered[name])))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(document), "kind:") {
				continue // nothing but white space and comments
			}
			object, _, err := strict.Decode(document, nil, nil)
			if err != nil {
				t.Fatalf("%s: %v\n%s", name, err, document)
			}
			objects = append(objects, object)
		}
	}
	return objects
}

func TestManifestsAreValid(t *testing.T) {
	kinds := map[string]bool{}
	eachMode(t, func(t *testing.T, _ string, rendered map[string]string) {
		seen := map[string]bool{}
		for _, object := range decode(t, rendered) {
			kind := object.GetObjectKind().GroupVersionKind().Kind
			meta := object.(metav1.Object)
			kinds[kind] = true
			if id := kind + "/" + meta.GetName(); seen[id] {
				t.Errorf("there are two %s", id)
			} else {
				seen[id] = true
			}
			if meta.GetNamespace() != namespace {
				t.Errorf("%s %s is in the namespace %q", kind, meta.GetName(), meta.GetNamespace())
			}
			if kind == "Secret" {
				t.Errorf("the chart makes a Secret: %s", meta.GetName())
			}
		}
	})
	all := []string{
		"ConfigMap", "Deployment", "HTTPRoute", "HorizontalPodAutoscaler", "Ingress", "NetworkPolicy", "Pod", "PodDisruptionBudget",
		"PrometheusRule", "Service", "ServiceAccount", "ServiceMonitor", "StatefulSet",
	}
	if got := slices.Sorted(maps.Keys(kinds)); !slices.Equal(got, all) {
		t.Errorf("the modes have only %q", got)
	}
}

// workload is what a Deployment and a StatefulSet have in common.
type workload struct {
	kind, name string
	selector   *metav1.LabelSelector
	template   corev1.PodTemplateSpec
}

func workloads(objects []runtime.Object) []workload {
	var found []workload
	for _, object := range objects {
		switch w := object.(type) {
		case *appsv1.Deployment:
			found = append(found, workload{"Deployment", w.Name, w.Spec.Selector, w.Spec.Template})
		case *appsv1.StatefulSet:
			found = append(found, workload{"StatefulSet", w.Name, w.Spec.Selector, w.Spec.Template})
		}
	}
	return found
}

// TestPodSecurity: every pod is admitted to a namespace that enforces the latest "restricted".
func TestPodSecurity(t *testing.T) {
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	eachMode(t, func(t *testing.T, _ string, rendered map[string]string) {
		objects := decode(t, rendered)
		pods := map[string]corev1.PodTemplateSpec{}
		for _, w := range workloads(objects) {
			pods[w.name] = w.template
		}
		for _, object := range objects {
			if pod, is := object.(*corev1.Pod); is {
				pods[pod.Name] = corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}
			}
		}
		if len(pods) < 2 {
			t.Fatalf("there are only %d pods", len(pods))
		}
		for name, pod := range pods {
			if result := policy.AggregateCheckResults(evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec)); !result.Allowed {
				t.Errorf("%s: %s (%s)", name, result.ForbiddenReason(), result.ForbiddenDetail())
			}
			for _, container := range pod.Spec.Containers {
				if s := container.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
					t.Errorf("%s: the root file system may be written to", name)
				}
			}
			if token := pod.Spec.AutomountServiceAccountToken; token == nil || *token {
				t.Errorf("%s has a token for the API server", name)
			}
		}
	})
}

// TestManifestsFitTogether: what names something else means something that is there.
func TestManifestsFitTogether(t *testing.T) {
	eachMode(t, func(t *testing.T, _ string, rendered map[string]string) {
		objects := decode(t, rendered)
		all := workloads(objects)
		services := map[string]*corev1.Service{}
		for _, object := range objects {
			if service, is := object.(*corev1.Service); is {
				services[service.Name] = service
			}
		}
		for _, w := range all {
			checkSelector(t, w.name, w.selector, []workload{w}, 1)
			checkPod(t, w)
		}
		for _, object := range objects {
			switch o := object.(type) {
			case *corev1.Service:
				checkSelector(t, "service "+o.Name, &metav1.LabelSelector{MatchLabels: o.Spec.Selector}, all, len(all))
				for _, port := range o.Spec.Ports {
					checkPort(t, o.Name, port.TargetPort.StrVal, all)
				}
			case *appsv1.StatefulSet:
				if service := services[o.Spec.ServiceName]; service == nil || service.Spec.ClusterIP != corev1.ClusterIPNone {
					t.Errorf("%s has no headless service %s", o.Name, o.Spec.ServiceName)
				}
			case *policyv1.PodDisruptionBudget:
				checkSelector(t, "budget "+o.Name, o.Spec.Selector, all, 1)
			case *networkingv1.NetworkPolicy:
				checkSelector(t, "policy "+o.Name, &o.Spec.PodSelector, all, len(all))
				for _, rule := range o.Spec.Ingress {
					checkPort(t, "policy "+o.Name, rule.Ports[0].Port.StrVal, all)
				}
			case *autoscalingv2.HorizontalPodAutoscaler:
				target := o.Spec.ScaleTargetRef
				if !slices.ContainsFunc(all, func(w workload) bool { return w.kind == target.Kind && w.name == target.Name }) {
					t.Errorf("%s scales %s %s, which is not there", o.Name, target.Kind, target.Name)
				}
			case *networkingv1.Ingress:
				for _, rule := range o.Spec.Rules {
					backend := rule.HTTP.Paths[0].Backend.Service
					if services[backend.Name] == nil || services[backend.Name].Spec.Ports[0].Name != backend.Port.Name {
						t.Errorf("the ingress leads to %+v", backend)
					}
				}
			case *gatewayv1.HTTPRoute:
				backend := o.Spec.Rules[0].BackendRefs[0]
				if service := services[string(backend.Name)]; service == nil || service.Spec.Ports[0].Port != int32(*backend.Port) {
					t.Errorf("the route leads to %s:%d", backend.Name, *backend.Port)
				}
			case *monitoringv1.ServiceMonitor:
				matches := slices.Collect(maps.Values(services))
				matches = slices.DeleteFunc(matches, func(s *corev1.Service) bool {
					return !labels.SelectorFromSet(o.Spec.Selector.MatchLabels).Matches(labels.Set(s.Labels))
				})
				if len(matches) != 1 || matches[0].Spec.Ports[0].Name != o.Spec.Endpoints[0].Port {
					t.Errorf("the monitor sees %d services", len(matches))
				}
			}
		}
	})
}

func checkSelector(t *testing.T, name string, s *metav1.LabelSelector, all []workload, want int) {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for _, w := range all {
		if selector.Matches(labels.Set(w.template.Labels)) {
			got++
		}
	}
	if got != want {
		t.Errorf("%s selects the pods of %d workloads, not %d", name, got, want)
	}
}

func checkPort(t *testing.T, name, port string, all []workload) {
	t.Helper()
	for _, w := range all {
		if !slices.ContainsFunc(w.template.Spec.Containers[0].Ports, func(p corev1.ContainerPort) bool { return p.Name == port }) {
			t.Errorf("%s uses the port %q, which the pods of %s do not have", name, port, w.name)
		}
	}
}

// checkPod: mounts have volumes, probes have the main port, and the kubelet waits for the whole of a drain.
func checkPod(t *testing.T, w workload) {
	t.Helper()
	spec := w.template.Spec
	container := spec.Containers[0]
	for _, probe := range []struct {
		*corev1.Probe
		path string
	}{{container.StartupProbe, "/startupz"}, {container.LivenessProbe, "/livez"}, {container.ReadinessProbe, "/readyz"}} {
		if probe.Probe == nil || probe.HTTPGet.Path != probe.path || probe.HTTPGet.Port.StrVal != "http" {
			t.Errorf("%s: the probe for %s is %+v", w.name, probe.path, probe.Probe)
		}
	}
	for _, mount := range container.VolumeMounts {
		if !slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name }) && (mount.Name != "data" || w.kind != "StatefulSet") {
			t.Errorf("%s mounts %s, which is no volume", w.name, mount.Name)
		}
	}
	budget := seconds(t, container, "SERVER_GRACEFUL_SHUTDOWN_TIMEOUT")
	if !strings.HasSuffix(w.name, "-single") {
		budget += seconds(t, container, "SERVER_SHUTDOWN_DELAY")
		if container.Lifecycle != nil {
			budget += container.Lifecycle.PreStop.Sleep.Seconds
		}
	} else if container.Lifecycle != nil {
		t.Errorf("%s waits for load balancers", w.name)
	}
	if grace := *spec.TerminationGracePeriodSeconds; grace < budget+5 || grace > budget+600 {
		t.Errorf("%s gets %d s to end and may take %d s", w.name, grace, budget)
	}
}

// seconds is the value of a variable of the container.
func seconds(t *testing.T, container corev1.Container, name string) int64 {
	t.Helper()
	for _, variable := range container.Env {
		if variable.Name == name {
			n, err := strconv.ParseInt(variable.Value, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("the container has no %s", name)
	return 0
}
