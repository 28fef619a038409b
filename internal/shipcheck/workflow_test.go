// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// targets are those of the Makefile.
func targets(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z0-9 -]*):(?:[^=]|$)`).FindAllStringSubmatch(read(t, "Makefile"), -1) {
		for _, name := range strings.Fields(m[1]) {
			names[name] = true
		}
	}
	return names
}

func TestWorkflows(t *testing.T) {
	known := targets(t)
	for _, path := range glob(t, ".github/workflows/*.yml") {
		var doc struct {
			Name        string
			On          any
			Permissions map[string]string
			Concurrency any
			Jobs        map[string]struct {
				RunsOn      string            `yaml:"runs-on"`
				Timeout     int               `yaml:"timeout-minutes"`
				Permissions map[string]string `yaml:"permissions"`
				Strategy    any
				Env         map[string]string
				Steps       []struct {
					Uses, Run string
					With, Env map[string]any
				}
			}
		}
		if err := yaml.UnmarshalWithOptions([]byte(read(t, path)), &doc, yaml.Strict()); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if len(doc.Permissions) != 1 || doc.Permissions["contents"] != "read" {
			t.Errorf("%s: unexpected permissions; got %v; want to read only, and more in single jobs", path, doc.Permissions)
		}
		for _, m := range regexp.MustCompile(`uses: (.*)`).FindAllStringSubmatch(read(t, path), -1) {
			if !regexp.MustCompile(`@[0-9a-f]{40} # v\d+\.\d+\.\d+$`).MatchString(m[1]) {
				t.Errorf("%s: unexpected action %q; want the digest of a commit, and its version behind it", path, m[1])
			}
		}
		for name, job := range doc.Jobs {
			if job.RunsOn == "" || job.Timeout == 0 {
				t.Errorf("%s, %s: runs-on or timeout-minutes is missing", path, name)
			}
			for _, s := range job.Steps {
				// A tag can be moved; the digest of a commit cannot.
				if (s.Uses == "") == (s.Run == "") || s.Uses != "" && !regexp.MustCompile(`@[0-9a-f]{40}$`).MatchString(s.Uses) {
					t.Errorf("%s, %s: unexpected step; got uses %q, run %q", path, name, s.Uses, s.Run)
				}
				// Names of branches and tags are written by strangers.
				if strings.Contains(s.Run, "${{ github.") {
					t.Errorf("%s, %s: a value of the event is put into a script: %s", path, name, s.Run)
				}
				for _, m := range regexp.MustCompile(`(?:^|\s)make ((?:[a-z0-9-]+ ?)+)`).FindAllStringSubmatch(s.Run, -1) {
					for _, target := range strings.Fields(m[1]) {
						if !known[target] {
							t.Errorf("%s, %s: the Makefile has no target %s", path, name, target)
						}
					}
				}
				if strings.HasPrefix(s.Run, ".ci/") {
					if _, err := os.Stat(root + "/" + s.Run); err != nil {
						t.Errorf("%s, %s: %v", path, name, err)
					}
				}
			}
		}
	}
}

// Whatever has versions is in dependabot.yml, and each line of that is about something.
func TestDependabotLooksAtAllThatHasVersions(t *testing.T) {
	var doc struct {
		Version int
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directory   string
			Directories []string
			Schedule    struct{ Interval string }
			Groups      map[string]struct{ Patterns []string }
		}
	}
	if err := yaml.UnmarshalWithOptions([]byte(read(t, ".github/dependabot.yml")), &doc, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for ecosystem, patterns := range map[string][]string{
		"gomod":          {"go.mod", "*/go.mod", "*/*/go.mod", "*/*/*/go.mod"},
		"github-actions": {".github/workflows/*.yml"},
		"npm":            {"*/*/package.json", "internal/*/javascript/package.json"},
		"maven":          {"*/*/*/pom.xml"},
		"docker":         {"*/Dockerfile.*"},
		"docker-compose": {"*/compose.yml"},
		"pip":            {"tools/ziglang.txt", "internal/*/python/requirements.txt"},
	} {
		for _, pattern := range patterns {
			for _, path := range glob(t, pattern) {
				dir := filepath.ToSlash(filepath.Dir(path))
				if dir == "." || ecosystem == "github-actions" {
					dir = ""
				}
				want[ecosystem+" /"+dir] = true
			}
		}
	}
	for _, u := range doc.Updates {
		if u.Schedule.Interval == "" {
			t.Errorf("dependabot.yml, %s: schedule.interval is missing", u.Ecosystem)
		}
		if u.Directory != "" {
			u.Directories = append(u.Directories, u.Directory)
		}
		for _, dir := range u.Directories {
			if !want[u.Ecosystem+" "+dir] {
				t.Errorf("dependabot.yml: nothing of %s is in %s, or it is there twice", u.Ecosystem, dir)
			}
			delete(want, u.Ecosystem+" "+dir)
		}
	}
	for missing := range want {
		t.Errorf("dependabot.yml lacks %s", missing)
	}
	if doc.Version != 2 {
		t.Errorf("dependabot.yml: unexpected version; got %d; want 2", doc.Version)
	}
}

// What pages tell people to type exists.
func TestTargetsThatPagesNameExist(t *testing.T) {
	known := targets(t)
	n := 0
	for _, path := range append(glob(t, "*.md"), glob(t, "docs/*.md")...) {
		for _, m := range regexp.MustCompile("(?m)(?:`|^ {4})make ([a-z0-9-]+)").FindAllStringSubmatch(read(t, path), -1) {
			if n++; !known[m[1]] {
				t.Errorf("%s: the Makefile has no target %s", path, m[1])
			}
		}
	}
	if n < 5 {
		t.Errorf("unexpected number of targets; got %d", n)
	}
}
