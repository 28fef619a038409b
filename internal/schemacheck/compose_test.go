// SPDX-License-Identifier: Apache-2.0

package schemacheck

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// composeVariables are what the services read: the SDK of AWS, the configuration of Fluent
// Bit beside it, and Grafana, which passes over what it does not know.
var composeVariables = []string{
	"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED", "KINESIS_STREAM", "KINESIS_ENDPOINT",
	"GF_AUTH_ANONYMOUS_ENABLED", "GF_AUTH_ANONYMOUS_ORG_ROLE", "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH",
}

func TestCompose(t *testing.T) {
	dir, err := filepath.Abs(filepath.Join(root, "docker"))
	if err != nil {
		t.Fatal(err)
	}
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "compose.yml")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"kinesis", "fluent-bit", "kpl-http", "kplcat", "prometheus", "grafana"} {
		if _, ok := project.Services[name]; !ok {
			t.Errorf("the service %s is missing", name)
		}
	}
	for name, s := range project.Services {
		if s.Build != nil {
			text, err := os.ReadFile(filepath.Join(s.Build.Context, s.Build.Dockerfile))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if target := s.Build.Target; target != "" && !strings.Contains(string(text), " AS "+target+"\n") {
				t.Errorf("%s: %s has no stage %s", name, s.Build.Dockerfile, target)
			}
		} else if _, tag, ok := strings.Cut(s.Image, ":"); !ok || tag == "latest" {
			t.Errorf("%s: unexpected image; got %q; want one with a version", name, s.Image)
		}
		for k := range s.Environment {
			if !slices.Contains(composeVariables, k) {
				t.Errorf("%s: unexpected variable %s", name, k)
			}
		}
		for _, v := range s.Volumes {
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, p := range s.Ports {
			if p.HostIP != "127.0.0.1" {
				t.Errorf("%s: unexpected port; got %s:%s; want only this machine to reach it", name, p.HostIP, p.Published)
			}
		}
	}
}
