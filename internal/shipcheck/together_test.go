// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// A service account that the trust policy of the role does not name gets no credentials, which
// shows in the cluster only.
func TestServiceAccountsAreThoseOfTheTrustPolicy(t *testing.T) {
	var trust policy
	if err := json.Unmarshal([]byte(read(t, "conf", "iam", "trust-irsa.json")), &trust); err != nil {
		t.Fatal(err)
	}
	want := ""
	for key, subject := range trust.Statement[0].Condition["StringEquals"] {
		if strings.HasSuffix(key, ":sub") {
			want = strings.TrimPrefix(subject[0], "system:serviceaccount:")
		}
	}
	first := func(where, pattern string) string {
		t.Helper()
		m := regexp.MustCompile(pattern).FindStringSubmatch(where)
		if m == nil {
			t.Fatalf("nothing is like %s", pattern)
		}
		return m[1]
	}
	var values struct {
		ServiceAccount struct{ Name string } `yaml:"serviceAccount"`
	}
	helm := read(t, "conf", "helm", "fluent-bit-values.yaml")
	if err := yaml.Unmarshal([]byte(helm), &values); err != nil {
		t.Fatal(err)
	}
	manifests := read(t, "conf", "kubernetes", "fluent-bit", "fluent-bit.yaml")
	for where, got := range map[string]string{
		"conf/helm/fluent-bit-values.yaml":           first(helm, `helm upgrade [^#]*-n (\S+)`) + ":" + values.ServiceAccount.Name,
		"conf/kubernetes/fluent-bit/fluent-bit.yaml": first(read(t, "conf", "kubernetes", "fluent-bit", "kustomization.yaml"), `(?m)^namespace: (\S+)`) + ":" + first(manifests, `serviceAccountName: (\S+)`),
		"conf/terraform/main.tf":                     first(read(t, "conf", "terraform", "main.tf"), `variable "service_account" \{[^}]*default\s*= "([^"]+)"`),
	} {
		if got != want || want == "" {
			t.Errorf("%s: unexpected service account; got %s; want %s, which conf/iam/trust-irsa.json lets take the role", where, got, want)
		}
	}
}

// A region in a file that ships would win over AWS_REGION, which is how everything else here
// is given the region.
func TestRegionIsLeftToTheEnvironment(t *testing.T) {
	for _, path := range []string{"conf/kpl-http.yaml", "conf/combine/kpl-http.yaml", "conf/kubernetes/kpl-http/kpl-http.yaml"} {
		var file struct {
			AWS struct{ Region string } `yaml:"aws"`
		}
		if err := yaml.Unmarshal([]byte(read(t, strings.Split(path, "/")...)), &file); err != nil {
			t.Fatal(err)
		}
		if file.AWS.Region != "" {
			t.Errorf("%s: unexpected region %s; want none", path, file.AWS.Region)
		}
	}
	for _, path := range []string{"conf/fluent-bit.conf", "conf/fluent-bit.yaml", "conf/combine/fluent-bit.conf", "conf/kubernetes/fluent-bit/fluent-bit.conf", "conf/helm/fluent-bit-values.yaml"} {
		if m := regexp.MustCompile(`(?m)^\s+region:?\s+(\S+)`).FindStringSubmatch(read(t, strings.Split(path, "/")...)); len(m) != 2 || m[1] != "${AWS_REGION}" {
			t.Errorf("%s: unexpected region; got %q; want that of the environment", path, m)
		}
	}
}
