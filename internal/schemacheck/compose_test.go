// SPDX-License-Identifier: Apache-2.0

package schemacheck

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

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
