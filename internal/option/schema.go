// SPDX-License-Identifier: Apache-2.0

package option

import (
	"encoding/json"
	"maps"
	"slices"
)

const (
	durationPattern = `^(0|([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+)$`
	sizePattern     = `^[0-9]+ *(B|KB|MB|GB|KiB|MiB|GiB)?$`
)

// Schema is the JSON Schema (draft 2020-12) of values in the grammar Plain.
func (s *Spec) Schema() map[string]any {
	doc := s.Doc
	if a := s.Allowed(Plain); a != "" {
		doc += " Allowed: " + a + "."
	}
	v := map[string]any{"description": doc}
	if s.Default != "" {
		v["default"] = s.Shown(Plain)
	}
	if s.number() {
		v["minimum"], v["maximum"] = s.Min, s.Max
		if s.ZeroMeans != "" {
			v["minimum"] = 0
		}
	}
	switch s.Kind {
	case Bool:
		v["type"] = "boolean"
		v["default"] = s.Default == "true"
	case Int:
		v["type"] = "integer"
		if s.Default != "" {
			v["default"] = json.Number(s.Default)
		}
	case Size:
		v["type"] = []string{"integer", "string"}
		v["pattern"] = sizePattern
	case Duration:
		v["type"] = []string{"string", "integer"}
		v["pattern"] = durationPattern
		if s.AutoMeans != "" {
			v["pattern"] = "^auto$|" + durationPattern
		}
		v["minimum"], v["maximum"] = 0, 0 // the only number is 0; others need a unit
	case List:
		v["type"] = []string{"array", "string", "null"}
		v["items"] = map[string]any{"type": "string"}
	default:
		v["type"] = []string{"string", "null"}
		if len(s.Enum) > 0 {
			v["type"] = []string{"string", "number"} // 1.2 reads as a number
			v["enum"] = s.enum()
		}
	}
	return v
}

// enum are the words, and the numbers that they read as.
func (s *Spec) enum() []any {
	var list []any
	add := func(word string) {
		list = append(list, word)
		var n json.Number
		if json.Unmarshal([]byte(word), &n) == nil {
			list = append(list, n)
		}
	}
	for _, word := range slices.Concat(s.Enum, slices.Sorted(maps.Keys(s.Renamed))) {
		add(word)
	}
	return list
}
