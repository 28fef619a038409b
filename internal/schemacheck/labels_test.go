// SPDX-License-Identifier: Apache-2.0

package schemacheck

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// metaKeys are the labels and annotations that a program reads, with what they may be if
// that is a list. Kubernetes takes any other, too.
var metaKeys = map[string][]string{
	"app.kubernetes.io/name":             {"fluent-bit-kpl", "kpl-http"},
	"pod-security.kubernetes.io/enforce": {"privileged", "baseline", "restricted"},
	"eks.amazonaws.com/role-arn":         nil,
	"prometheus.io/scrape":               {"true"},
	"prometheus.io/port":                 {"2020", "8081"},
	"prometheus.io/path":                 {"/metrics", "/api/v2/metrics/prometheus"},
}

// metaProblems says which labels and annotations nobody reads.
func metaProblems(objects ...metav1.Object) (problems []string) {
	for _, o := range objects {
		for _, m := range []map[string]string{o.GetLabels(), o.GetAnnotations()} {
			for k, v := range m {
				if values, ok := metaKeys[k]; !ok || values != nil && !slices.Contains(values, v) {
					problems = append(problems, fmt.Sprintf("unexpected label or annotation %s: %s", k, v))
				}
			}
		}
	}
	return problems
}

func TestBrokenLabelsAreNoticed(t *testing.T) {
	for k, v := range map[string]string{
		"pod-security.kubernetes.io/enforced": "restricted", "pod-security.kubernetes.io/enforce": "strict", "app.kubernetes.io/nam": "kpl-http", "prometheus.io/port": "8018",
	} {
		o := corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{k: v}}}
		if len(metaProblems(&o)) == 0 {
			t.Errorf("%s: %s was not noticed", k, v)
		}
	}
}
