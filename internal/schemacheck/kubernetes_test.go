// SPDX-License-Identifier: Apache-2.0

package schemacheck

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

const root = "../.."

// kinds are the objects that manifests may hold.
var kinds = map[string]func() any{
	"v1/Namespace":                                    func() any { return new(corev1.Namespace) },
	"v1/ServiceAccount":                               func() any { return new(corev1.ServiceAccount) },
	"v1/Service":                                      func() any { return new(corev1.Service) },
	"apps/v1/DaemonSet":                               func() any { return new(appsv1.DaemonSet) },
	"apps/v1/Deployment":                              func() any { return new(appsv1.Deployment) },
	"autoscaling/v2/HorizontalPodAutoscaler":          func() any { return new(autoscalingv2.HorizontalPodAutoscaler) },
	"policy/v1/PodDisruptionBudget":                   func() any { return new(policyv1.PodDisruptionBudget) },
	"networking.k8s.io/v1/NetworkPolicy":              func() any { return new(networkingv1.NetworkPolicy) },
	"rbac.authorization.k8s.io/v1/ClusterRole":        func() any { return new(rbacv1.ClusterRole) },
	"rbac.authorization.k8s.io/v1/ClusterRoleBinding": func() any { return new(rbacv1.ClusterRoleBinding) },
}

type kustomization struct {
	APIVersion         string   `json:"apiVersion"`
	Kind               string   `json:"kind"`
	Namespace          string   `json:"namespace"`
	Resources          []string `json:"resources"`
	ConfigMapGenerator []struct {
		Name  string   `json:"name"`
		Files []string `json:"files"`
	} `json:"configMapGenerator"`
}

// folder reads what a kustomization names, every field checked against its type.
func folder(t *testing.T, name string) (k kustomization, objects map[string]any) {
	t.Helper()
	dir := filepath.Join(root, "conf", "kubernetes", name)
	if err := yaml.UnmarshalStrict(file(t, dir, "kustomization.yaml"), &k); err != nil {
		t.Fatalf("kustomization.yaml of %s: %v", name, err)
	}
	if k.APIVersion != "kustomize.config.k8s.io/v1beta1" || k.Kind != "Kustomization" {
		t.Errorf("kustomization.yaml of %s: unexpected kind; got %s/%s", name, k.APIVersion, k.Kind)
	}
	objects = map[string]any{}
	for _, resource := range k.Resources {
		for i, doc := range bytes.Split(file(t, dir, resource), []byte("\n---\n")) {
			var head struct{ APIVersion, Kind string }
			if err := yaml.Unmarshal(doc, &head); err != nil {
				t.Fatalf("%s/%s, document %d: %v", name, resource, i+1, err)
			}
			make, ok := kinds[head.APIVersion+"/"+head.Kind]
			if !ok {
				t.Fatalf("%s/%s, document %d: unexpected kind; got %s/%s; want one of this test", name, resource, i+1, head.APIVersion, head.Kind)
			}
			o := make()
			if err := yaml.UnmarshalStrict(doc, o); err != nil {
				t.Errorf("%s/%s, document %d (%s): %v", name, resource, i+1, head.Kind, err)
			}
			metas := []metav1.Object{o.(metav1.Object)}
			switch o := o.(type) {
			case *appsv1.DaemonSet:
				metas = append(metas, &o.Spec.Template)
			case *appsv1.Deployment:
				metas = append(metas, &o.Spec.Template)
			}
			for _, p := range metaProblems(metas...) {
				t.Errorf("%s/%s, document %d (%s): %s", name, resource, i+1, head.Kind, p)
			}
			key := head.Kind
			for objects[key] != nil {
				key += "+"
			}
			objects[key] = o
		}
	}
	// Every file of the folder is used, and every file that is used is there.
	used := append([]string{"kustomization.yaml"}, k.Resources...)
	for _, g := range k.ConfigMapGenerator {
		for _, f := range g.Files {
			file(t, dir, f)
			used = append(used, f)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(used, e.Name()) {
			t.Errorf("%s/%s is not named by kustomization.yaml", name, e.Name())
		}
	}
	if ns, ok := objects["Namespace"].(*corev1.Namespace); !ok || ns.Name != k.Namespace {
		t.Errorf("%s: no namespace %s is made", name, k.Namespace)
	}
	return k, objects
}

func file(t *testing.T, parts ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkPod looks for what makes a pod survive: names that fit, bounds, probes and the
// least rights.
func checkPod(t *testing.T, k kustomization, spec *corev1.PodSpec) {
	t.Helper()
	volumes := map[string]bool{}
	for _, v := range spec.Volumes {
		volumes[v.Name] = true
		if v.ConfigMap != nil && !slices.ContainsFunc(k.ConfigMapGenerator, func(g struct {
			Name  string   `json:"name"`
			Files []string `json:"files"`
		},
		) bool {
			return g.Name == v.ConfigMap.Name
		}) {
			t.Errorf("volume %s: no ConfigMap %s is made", v.Name, v.ConfigMap.Name)
		}
	}
	for _, c := range append(slices.Clone(spec.InitContainers), spec.Containers...) {
		_, tag, ok := strings.Cut(c.Image, ":")
		if !ok || tag == "latest" {
			t.Errorf("%s: unexpected image; got %s; want one with a version", c.Name, c.Image)
		}
		if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
			t.Errorf("%s: memory limit or requests are missing", c.Name)
		}
		s := c.SecurityContext
		if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
			s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") {
			t.Errorf("%s: unexpected security context; want no escalation, a read-only root and no capabilities", c.Name)
		}
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				t.Errorf("%s: mount %s has no volume", c.Name, m.Name)
			}
		}
	}
	for _, c := range spec.Containers {
		ports := map[string]bool{}
		for _, p := range c.Ports {
			ports[p.Name] = true
		}
		for name, p := range map[string]*corev1.Probe{"liveness": c.LivenessProbe, "readiness": c.ReadinessProbe, "startup": c.StartupProbe} {
			if p == nil || p.HTTPGet == nil || !ports[p.HTTPGet.Port.String()] {
				t.Errorf("%s: the %s probe is missing or at a port that is not named", c.Name, name)
			}
		}
		limit := c.Resources.Limits.Memory().Value()
		for _, e := range c.Env {
			var mib int64
			if e.Name == "GOMEMLIMIT" {
				if _, err := fmt.Sscanf(e.Value, "%dMiB", &mib); err != nil || mib<<20 >= limit {
					t.Errorf("%s: unexpected GOMEMLIMIT; got %s; want MiB below the limit of %d bytes", c.Name, e.Value, limit)
				}
			}
		}
	}
}

func TestFluentBitOnKubernetes(t *testing.T) {
	k, objects := folder(t, "fluent-bit")
	ds, ok := objects["DaemonSet"].(*appsv1.DaemonSet)
	if !ok {
		t.Fatal("no DaemonSet")
	}
	pod := &ds.Spec.Template
	checkPod(t, k, &pod.Spec)
	if !matches(ds.Spec.Selector.MatchLabels, pod.Labels) {
		t.Error("the selector does not find the pods")
	}
	account, _ := objects["ServiceAccount"].(*corev1.ServiceAccount)
	binding, _ := objects["ClusterRoleBinding"].(*rbacv1.ClusterRoleBinding)
	if account == nil || binding == nil || pod.Spec.ServiceAccountName != account.Name || binding.Subjects[0].Name != account.Name || binding.Subjects[0].Namespace != k.Namespace {
		t.Error("pod, service account and binding do not fit together")
	}
	if account != nil && !strings.HasPrefix(account.Annotations["eks.amazonaws.com/role-arn"], "arn:aws:iam::") {
		t.Error("no role for the service account")
	}
	init, c := pod.Spec.InitContainers[0], pod.Spec.Containers[0]
	if init.VolumeMounts[0].Name != "plugins" || init.Command[2] != init.VolumeMounts[0].MountPath+"/out_kpl.so" {
		t.Errorf("unexpected init container; got %v", init.Command)
	}
	i := slices.IndexFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == "plugins" })
	if i < 0 || !slices.Equal(c.Args[:2], []string{"-e", c.VolumeMounts[i].MountPath + "/out_kpl.so"}) {
		t.Errorf("the plugin is not loaded from where it is put; got %v", c.Args)
	}
}

func TestKplHTTPOnKubernetes(t *testing.T) {
	k, objects := folder(t, "kpl-http")
	d, ok := objects["Deployment"].(*appsv1.Deployment)
	if !ok {
		t.Fatal("no Deployment")
	}
	pod := &d.Spec.Template
	checkPod(t, k, &pod.Spec)
	if pod.Spec.SecurityContext == nil || pod.Spec.SecurityContext.RunAsNonRoot == nil || !*pod.Spec.SecurityContext.RunAsNonRoot {
		t.Error("kpl-http runs as root")
	}
	if !matches(d.Spec.Selector.MatchLabels, pod.Labels) || d.Spec.Replicas != nil {
		t.Error("the selector does not find the pods, or the number of replicas is not left to the autoscaler")
	}
	s, _ := objects["Service"].(*corev1.Service)
	if s == nil || s.Spec.SessionAffinity != corev1.ServiceAffinityClientIP || !matches(s.Spec.Selector, pod.Labels) {
		t.Fatal("the service is missing, not sticky, or does not find the pods")
	}
	if got := *s.Spec.SessionAffinityConfig.ClientIP.TimeoutSeconds; got < 600 {
		t.Errorf("unexpected stickiness; got %d s; want more than ledger.age, 600 s", got)
	}
	hpa, _ := objects["HorizontalPodAutoscaler"].(*autoscalingv2.HorizontalPodAutoscaler)
	if hpa == nil || hpa.Spec.ScaleTargetRef.Name != d.Name || *hpa.Spec.MinReplicas < 2 {
		t.Error("the autoscaler is missing, scales something else, or down to one")
	}
	pdb, _ := objects["PodDisruptionBudget"].(*policyv1.PodDisruptionBudget)
	if pdb == nil || !matches(pdb.Spec.Selector.MatchLabels, pod.Labels) {
		t.Error("the disruption budget is missing or does not find the pods")
	}
	np, _ := objects["NetworkPolicy"].(*networkingv1.NetworkPolicy)
	if np == nil || !matches(np.Spec.PodSelector.MatchLabels, pod.Labels) {
		t.Error("the network policy is missing or does not find the pods")
	}
}

func matches(selector, labels map[string]string) bool {
	for k, v := range selector {
		if labels[k] != v {
			return false
		}
	}
	return len(selector) > 0
}
