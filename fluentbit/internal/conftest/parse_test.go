// SPDX-License-Identifier: Apache-2.0

package conftest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/fluentbit/internal/plugin"
)

// section is one block of a configuration: its kind in lower case, singular, and
// its properties in the order of the file.
type section struct {
	kind  string
	props [][2]string
}

func (s *section) get(key string) string {
	for _, p := range s.props {
		if p[0] == key {
			return p[1]
		}
	}
	return ""
}

// vals is for sections without a key that is there twice; internal/shipcheck looks at that.
func (s *section) vals() map[string]string {
	vals := map[string]string{}
	for _, p := range s.props {
		vals[p[0]] = p[1]
	}
	return vals
}

// read returns the lines of a file, by its path from the folder conf.
func read(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "conf", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(b), "\n")
}

// classic reads the part of the classic format that the file uses: sections, and a
// key and a value on each line.
func classic(t *testing.T, name string) []section {
	t.Helper()
	return classicLines(t, name, read(t, name))
}

func classicLines(t *testing.T, name string, lines []string) []section {
	t.Helper()
	var out []section
	for i, line := range lines {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			out = append(out, section{kind: strings.ToLower(line[1 : len(line)-1])})
		default:
			key, value, ok := strings.Cut(line, " ")
			if !ok || len(out) == 0 {
				t.Fatalf("unexpected line %d of %s; got %q; want a key and a value in a section", i+1, name, line)
			}
			s := &out[len(out)-1]
			s.props = append(s.props, [2]string{strings.ToLower(key), strings.TrimSpace(value)})
		}
	}
	return out
}

// yaml reads the part of YAML that the file uses: "service:" with keys below it, and
// lists of plugins below "inputs:" and "outputs:".
func yaml(t *testing.T, name string) []section {
	t.Helper()
	var out []section
	var kind string
	for i, line := range read(t, name) {
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		rest, item := strings.CutPrefix(trimmed, "- ")
		key, value, ok := strings.Cut(rest, ":")
		value = strings.Trim(strings.TrimSpace(value), "'")
		switch {
		case !ok:
			t.Fatalf("unexpected line %d of %s; got %q; want key: value", i+1, name, line)
		case value == "" && !item:
			if kind = strings.TrimSuffix(key, "s"); kind == "service" {
				out = append(out, section{kind: kind})
			}
		case item:
			out = append(out, section{kind: kind, props: [][2]string{{key, value}}})
		default:
			s := &out[len(out)-1]
			s.props = append(s.props, [2]string{key, value})
		}
	}
	return out
}

func TestTwinsSayTheSame(t *testing.T) {
	a, b := classic(t, "fluent-bit.conf"), yaml(t, "fluent-bit.yaml")
	if len(a) != 3 || len(b) != len(a) {
		t.Fatalf("unexpected number of sections; got %d in .conf, %d in .yaml; want 3 in both", len(a), len(b))
	}
	for i := range a {
		if a[i].kind != b[i].kind || !slices.Equal(a[i].props, b[i].props) {
			t.Errorf("the twins differ;\n.conf has %v\n.yaml has %v", a[i], b[i])
		}
	}
}

func TestExamplesUseKnownOptions(t *testing.T) {
	for _, s := range classic(t, "fluent-bit.conf") {
		if s.kind != "output" {
			continue
		}
		for _, p := range s.props {
			host := slices.Contains([]string{"name", "match", "workers", "retry_limit"}, p[0])
			if !host && !slices.ContainsFunc(plugin.Options(), func(o plugin.Option) bool { return o.Name == p[0] }) {
				t.Errorf("unexpected key in fluent-bit.conf; got %s; want an option of the plugin", p[0])
			}
		}
	}
}
