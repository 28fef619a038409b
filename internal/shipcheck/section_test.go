// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// section is one of a configuration of Fluent Bit: kind in lower case, keys in lower case.
type section struct {
	kind string
	keys []string
	vals map[string]string
}

func sections(t *testing.T, name, text string) (list []section) {
	t.Helper()
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			list = append(list, section{kind: strings.ToLower(strings.Trim(line, "[]")), vals: map[string]string{}})
		default:
			key, value, ok := strings.Cut(line, " ")
			if !ok || len(list) == 0 {
				t.Fatalf("%s:%d: unexpected line; got %q; want a key and a value in a section", name, i+1, line)
			}
			s := &list[len(list)-1]
			key = strings.ToLower(key)
			if _, twice := s.vals[key]; twice {
				t.Errorf("%s:%d: the key %s is there twice", name, i+1, key)
			}
			s.keys = append(s.keys, key)
			s.vals[key] = strings.TrimSpace(value)
		}
	}
	return list
}

// ymlPipeline is a configuration of Fluent Bit in YAML.
type ymlPipeline struct {
	Service  yaml.MapSlice
	Pipeline struct {
		Inputs, Filters, Outputs []yaml.MapSlice
	}
}

func ymlDocument(text string) (doc ymlPipeline, err error) {
	err = yaml.UnmarshalWithOptions([]byte(text), &doc, yaml.Strict())
	return doc, err
}

// ymlSections reads a configuration of Fluent Bit in YAML.
func ymlSections(t *testing.T, text string) (list []section) {
	t.Helper()
	doc, err := ymlDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	add := func(kind string, m yaml.MapSlice) {
		s := section{kind: kind, vals: map[string]string{}}
		for _, item := range m {
			key := item.Key.(string)
			b, err := yaml.Marshal(item.Value)
			if err != nil {
				t.Fatal(err)
			}
			s.keys = append(s.keys, key)
			s.vals[key] = strings.Trim(strings.TrimSpace(string(b)), `"'`)
		}
		list = append(list, s)
	}
	add("service", doc.Service)
	for _, m := range doc.Pipeline.Inputs {
		add("input", m)
	}
	for _, m := range doc.Pipeline.Filters {
		add("filter", m)
	}
	for _, m := range doc.Pipeline.Outputs {
		add("output", m)
	}
	return list
}
