// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// A real Fluent Bit knows its own options, and those of its inputs and filters.
func TestDryRunInFluentBit(t *testing.T) {
	bin, library := os.Getenv("FLUENT_BIT"), os.Getenv("OUT_KPL_SO")
	if bin == "" {
		bin, _ = exec.LookPath("fluent-bit")
	}
	if bin == "" || library == "" {
		t.Skip("NOT TESTED: a dry run of conf/ in a real Fluent Bit; set FLUENT_BIT and OUT_KPL_SO")
	}
	var values struct {
		Config struct{ Service, Inputs, Filters, Outputs string }
	}
	if err := yaml.Unmarshal([]byte(read(t, "conf", "helm", "fluent-bit-values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	c := values.Config
	files := map[string]string{"helm.conf": c.Service + "\n" + c.Inputs + "\n" + c.Filters + "\n" + c.Outputs}
	for _, path := range []string{"conf/kubernetes/fluent-bit/fluent-bit.conf", "conf/fluent-bit-kubernetes.yaml", "docker/compose/fluent-bit.conf", "conf/fluent-bit.conf", "conf/fluent-bit.yaml", "conf/combine/fluent-bit.conf"} {
		files[strings.ReplaceAll(path, "/", "_")] = read(t, path)
	}
	dir := t.TempDir()
	for name, text := range files {
		// The parsers of the image are not here, nor are its folders.
		text = strings.ReplaceAll(text, "/fluent-bit/etc/parsers.conf", filepath.Join(dir, "parsers.conf"))
		text = strings.ReplaceAll(text, "/var/lib/fluent-bit", dir)
		if err := os.WriteFile(filepath.Join(dir, "parsers.conf"), []byte("[PARSER]\n    name docker\n    format json\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(bin, "-e", library, "-c", path, "--dry-run")
			cmd.Env = []string{"HOME=" + dir, "AWS_REGION=eu-west-1", "KINESIS_STREAM=logs", "KINESIS_ENDPOINT=http://127.0.0.1:1", "HTTP_PORT=2020", "NODE_IP=127.0.0.1", "LOG_PATH=" + dir + "/*.log"}
			out, err := cmd.CombinedOutput()
			if err == nil && strings.Contains(string(out), "configuration test is successful") {
				break
			}
			// Some builds leave plugins out. The rest can be checked without them.
			m := unknownPlugin.FindSubmatch(out)
			if len(m) == 0 || string(m[1]) == "kpl" {
				t.Errorf("%s: %v\n%s", name, err, out)
				break
			}
			t.Logf("%s: NOT TESTED: %s, which this Fluent Bit does not have", name, m[1])
			rest := without(text, string(m[1]))
			if rest == text {
				break
			}
			text = rest
		}
	}
}

var unknownPlugin = regexp.MustCompile(`section '([^']+)' tried to instance a plugin name that doesn't exist`)

// without leaves the sections of a plugin out, in the classic form and in YAML.
func without(text, plugin string) string {
	name := regexp.MustCompile(`(?m)^\s*(?:- )?name:?\s+` + regexp.QuoteMeta(plugin) + `\s*$`)
	heads, parts := sectionStart.FindAllString(text, -1), sectionStart.Split(text, -1)
	rest := parts[0]
	for i, head := range heads {
		if !name.MatchString(head + parts[i+1]) {
			rest += head + parts[i+1]
		}
	}
	return strings.Replace(rest, "  filters:\n  outputs:", "  outputs:", 1)
}

var sectionStart = regexp.MustCompile(`(?m)^(?:\[[A-Z]+\]|    - |  [a-z]+:$)`)
