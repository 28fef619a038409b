// SPDX-License-Identifier: Apache-2.0

package schemacheck

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// podValues is what both charts pass on to Kubernetes as it is.
type podValues struct {
	Env                           []corev1.EnvVar             `json:"env"`
	Resources                     corev1.ResourceRequirements `json:"resources"`
	Tolerations                   []corev1.Toleration         `json:"tolerations"`
	TerminationGracePeriodSeconds *int64                      `json:"terminationGracePeriodSeconds"`
}

// fluentBitValues are the values of the chart fluent-bit 0.58.1 that are used.
type fluentBitValues struct {
	podValues
	ServiceAccount struct {
		Name        string            `json:"name"`
		Annotations map[string]string `json:"annotations"`
	} `json:"serviceAccount"`
	RBAC struct {
		NodeAccess bool `json:"nodeAccess"`
	} `json:"rbac"`
	InitContainers    []corev1.Container      `json:"initContainers"`
	ExtraVolumes      []corev1.Volume         `json:"extraVolumes"`
	ExtraVolumeMounts []corev1.VolumeMount    `json:"extraVolumeMounts"`
	SecurityContext   *corev1.SecurityContext `json:"securityContext"`
	Args              []string                `json:"args"`
	Config            struct {
		Service       string  `json:"service"`
		Inputs        string  `json:"inputs"`
		Filters       string  `json:"filters"`
		Outputs       string  `json:"outputs"`
		CustomParsers *string `json:"customParsers"`
	} `json:"config"`
}

// vectorValues are the values of the chart vector 0.57.0 that are used.
type vectorValues struct {
	podValues
	Role        string `json:"role"`
	Persistence struct {
		HostPath struct {
			Enabled bool   `json:"enabled"`
			Path    string `json:"path"`
		} `json:"hostPath"`
	} `json:"persistence"`
	PodDisruptionBudget enabled        `json:"podDisruptionBudget"`
	Service             enabled        `json:"service"`
	ServiceHeadless     enabled        `json:"serviceHeadless"`
	CustomConfig        map[string]any `json:"customConfig"` // internal/shipcheck reads it
	LivenessProbe       *corev1.Probe  `json:"livenessProbe"`
	ReadinessProbe      *corev1.Probe  `json:"readinessProbe"`
}

type enabled struct {
	Enabled *bool `json:"enabled"`
}

// problems says what does not make a pod.
func (v *podValues) problems() (problems []string) {
	for kind, list := range map[string]corev1.ResourceList{"requests": v.Resources.Requests, "limits": v.Resources.Limits} {
		if list.Memory().IsZero() {
			problems = append(problems, kind+" of memory are missing")
		}
		for name := range list {
			if name != corev1.ResourceCPU && name != corev1.ResourceMemory {
				problems = append(problems, fmt.Sprintf("unexpected resource %s", name))
			}
		}
	}
	for _, e := range v.Env {
		if e.Name == "" || (e.Value == "") == (e.ValueFrom == nil) {
			problems = append(problems, fmt.Sprintf("unexpected variable %q; want a value", e.Name))
		}
	}
	if v.Resources.Requests.Cpu().IsZero() || v.TerminationGracePeriodSeconds == nil || len(v.Tolerations) == 0 || v.Tolerations[0].Operator != corev1.TolerationOpExists {
		problems = append(problems, "requests of cpu, terminationGracePeriodSeconds or tolerations are missing")
	}
	return problems
}

// fluentBitProblems reads the values for Fluent Bit as Kubernetes gets them.
func fluentBitProblems(data []byte) []string {
	var v fluentBitValues
	if err := yaml.UnmarshalStrict(data, &v); err != nil {
		return []string{err.Error()}
	}
	problems := v.problems()
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	volume := func(name string) bool {
		return slices.ContainsFunc(v.ExtraVolumes, func(vol corev1.Volume) bool { return vol.Name == name })
	}
	mounts := slices.Clone(v.ExtraVolumeMounts)
	for _, c := range v.InitContainers {
		mounts = append(mounts, c.VolumeMounts...)
		if c.Name == "" || c.Image == "" || len(c.Command) != 3 || c.Command[0] != "cp" || c.SecurityContext == nil {
			bad("unexpected init container %q; want cp and a security context", c.Name)
		}
	}
	for _, m := range mounts {
		if !volume(m.Name) || m.MountPath == "" {
			bad("mount %s has no volume or no path", m.Name)
		}
	}
	for _, vol := range v.ExtraVolumes {
		if h := vol.HostPath; vol.EmptyDir == nil && (h == nil || h.Type == nil || *h.Type != corev1.HostPathDirectoryOrCreate) {
			bad("unexpected volume %s", vol.Name)
		}
	}
	if s := v.SecurityContext; s == nil || s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) ||
		!slices.Equal(s.Capabilities.Add, []corev1.Capability{"DAC_READ_SEARCH"}) {
		bad("unexpected capabilities; want DAC_READ_SEARCH alone")
	}
	if !v.RBAC.NodeAccess || v.ServiceAccount.Annotations["eks.amazonaws.com/role-arn"] == "" {
		bad("no access to the kubelet, or no role")
	}
	for _, a := range v.Args {
		name, path, _ := strings.Cut(a, "=")
		if !slices.Contains([]string{"--plugin", "--workdir", "--config"}, name) || !strings.HasPrefix(path, "/fluent-bit/") {
			bad("unexpected argument %s", a)
		}
	}
	return problems
}

// vectorProblems reads the values for Vector as Kubernetes gets them.
func vectorProblems(data []byte) []string {
	var v vectorValues
	if err := yaml.UnmarshalStrict(data, &v); err != nil {
		return []string{err.Error()}
	}
	problems := v.problems()
	if v.Role != "Agent" || !v.Persistence.HostPath.Enabled || v.Persistence.HostPath.Path == "" {
		problems = append(problems, "no agent, or its buffer does not outlive the pod")
	}
	for name, p := range map[string]*corev1.Probe{"liveness": v.LivenessProbe, "readiness": v.ReadinessProbe} {
		if p == nil || p.HTTPGet == nil || p.HTTPGet.Path != "/health" || p.HTTPGet.Port.IntValue() != 8686 {
			problems = append(problems, "unexpected probe of "+name)
		}
	}
	return problems
}

func TestValuesOfCharts(t *testing.T) {
	for _, p := range fluentBitProblems(file(t, root, "conf", "helm", "fluent-bit-values.yaml")) {
		t.Errorf("fluent-bit-values.yaml: %s", p)
	}
	for _, p := range vectorProblems(file(t, root, "conf", "helm", "vector-values.yaml")) {
		t.Errorf("vector-values.yaml: %s", p)
	}
}

func TestBrokenValuesAreNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		problems func([]byte) []string
		replace  map[string]string
	}{
		"fluent-bit-values.yaml": {fluentBitProblems, map[string]string{
			"requests: {cpu: 100m": "request: {cpu: 100m", "limits: {memory: 512Mi}": "limits: {memry: 512Mi}", "hostPath: {": "hostPaht: {", "type: DirectoryOrCreate": "type: Directory",
			"mountPath:": "path:", "{name: plugins, mount": "{name: plugin, mount", "fieldPath": "field", "operator: Exists": "operator: Exist", "runAsUser: 0": "user: 0", "nodeAccess": "node",
			"add: [DAC_READ_SEARCH]": "add: [DAC_SEARCH]", "--config=": "--conf=", "customParsers": "parsers",
		}},
		"vector-values.yaml": {vectorProblems, map[string]string{
			"hostPath:": "hostPaths:", "secretKeyRef": "secretRef", "httpGet:": "http:", "/health": "/heatlh", "role: Agent": "role: Agnet", "requests:": "request:", "podDisruptionBudget": "budget",
		}},
	} {
		good := string(file(t, root, "conf", "helm", name))
		for old, broken := range c.replace {
			text := strings.Replace(good, old, broken, 1)
			if text == good || len(c.problems([]byte(text))) == 0 {
				t.Errorf("%s: %q instead of %q was not noticed", name, broken, old)
			}
		}
	}
}
