// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"fmt"
	"strings"
)

// JSONSchema returns the schema of the file for editors (draft 2020-12).
func JSONSchema() []byte {
	type object = map[string]any
	groups := object{}
	route := object{matchOption.name(): schemaOf(&matchOption)}
	options := Options()
	for i := range options {
		o := &options[i]
		g, _, _ := strings.Cut(o.Key, ".")
		if groups[g] == nil {
			groups[g] = object{"type": []string{"object", "null"}, "additionalProperties": false, "properties": object{}}
		}
		groups[g].(object)["properties"].(object)[o.name()] = schemaOf(o)
		if o.PerRoute() {
			s := schemaOf(o)
			delete(s, "default") // what holds is the value of route
			route[o.name()] = s
		}
	}
	groups["routes"] = object{
		"type":        []string{"array", "null"},
		"description": "Settings for single paths. The first entry that matches wins; what it does not set is as in route.",
		"items": object{
			"type": "object", "additionalProperties": false,
			"properties": route, "required": []string{matchOption.name()},
		},
	}
	b, err := json.MarshalIndent(object{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "kpl-http",
		"type":    []string{"object", "null"}, "additionalProperties": false,
		"properties": groups,
	}, "", "  ")
	if err != nil {
		panic(err) // only strings, numbers and maps of them
	}
	return append(b, '\n')
}

const (
	durationPattern = `^(0|([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+)$`
	sizePattern     = `^[0-9]+ *(B|KB|MB|GB|KiB|MiB|GiB)?$`
)

func schemaOf(o *Option) map[string]any {
	s := map[string]any{}
	doc := o.Doc
	if a := o.Allowed(); a != "" {
		doc += " Allowed: " + a + "."
	}
	s["description"] = doc
	switch o.Kind {
	case KindBool:
		s["type"] = "boolean"
		s["default"] = o.Default == "true"
	case KindInt:
		s["type"] = "integer"
		s["minimum"], s["maximum"] = o.Min, o.Max
		if o.ZeroMeans != "" {
			s["minimum"] = 0
		}
		if o.Default != "" {
			s["default"] = json.Number(o.Default)
		}
	case KindSize:
		s["type"] = []string{"integer", "string"}
		s["pattern"] = sizePattern
		s["minimum"], s["maximum"] = o.Min, o.Max
		if o.ZeroMeans != "" {
			s["minimum"] = 0
		}
		s["default"] = o.Default
	case KindDuration:
		s["type"] = []string{"string", "integer"}
		s["pattern"] = durationPattern
		s["maximum"] = 0 // the only number is 0; others need a unit
		s["minimum"] = 0
		s["default"] = o.Default
	case KindList:
		s["type"] = []string{"array", "string", "null"}
		s["items"] = map[string]any{"type": "string"}
	default:
		s["type"] = []string{"string", "null"}
		if len(o.Enum) > 0 {
			s["type"] = []string{"string", "number"} // 1.2 reads as a number
			enum := make([]any, 0, len(o.Enum))
			for _, e := range o.Enum {
				enum = append(enum, e)
				var n json.Number
				if json.Unmarshal([]byte(e), &n) == nil {
					enum = append(enum, n)
				}
			}
			s["enum"] = enum
		}
		if o.Default != "" {
			s["default"] = o.Default
		}
	}
	return s
}

// Markdown returns the table of options for docs/http.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| Key | Type | Default | Allowed | Meaning |\n|---|---|---|---|---|\n")
	row := func(o *Option) {
		def := o.Default
		if def != "" {
			def = "`" + def + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", o.Key, o.Kind, def, cell(o.Allowed()), cell(o.Doc))
	}
	options := Options()
	for i := range options {
		row(&options[i])
	}
	row(&matchOption)
	return b.String()
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
