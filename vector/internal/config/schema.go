// SPDX-License-Identifier: Apache-2.0

package config

import (
	"encoding/json"
	"strings"

	"github.com/outkpl/outkpl/internal/option"
)

type object = map[string]any

// JSONSchema returns the schema of the file for editors (draft 2020-12).
func JSONSchema() []byte {
	groups := object{}
	for _, s := range option.Specs(Options()) {
		g := s.InGroup()
		if groups[g] == nil {
			groups[g] = object{"type": []string{"object", "null"}, "additionalProperties": false, "properties": object{}}
		}
		for name, schema := range properties(s) {
			groups[g].(object)["properties"].(object)[name] = schema
		}
	}
	route := properties(&matchOption.Spec)
	for _, s := range option.Specs(routeOptions) {
		for name, schema := range properties(s) {
			delete(schema.(object), "default") // what holds is the value of route
			route[name] = schema
		}
	}
	groups["routes"] = object{
		"type":        []string{"array", "null"},
		"description": "Settings for single paths. The first entry that matches wins; what it does not set is as in route.",
		"items": object{
			"type": "object", "additionalProperties": false,
			"properties": route, "required": []string{matchOption.Name},
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

// properties are the schemas of all names of an option, without its group. Names that are not
// the right one are marked for editors.
func properties(s *option.Spec) object {
	list := object{}
	for _, name := range s.Names() {
		schema := s.Schema()
		if name != s.Name {
			delete(schema, "default")
			schema["deprecated"] = true
			schema["description"] = "This is " + s.Alias(name) + "."
		}
		list[name[strings.IndexByte(name, '.')+1:]] = schema
	}
	return list
}

// Markdown returns the table of options for docs/http.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(option.RowHead + "\n")
	for _, s := range append(option.Specs(Options()), matchSpec()) {
		b.WriteString(s.Row(option.Plain) + "\n")
	}
	return b.String()
}

// matchSpec is the key that only entries of routes[] have, as documentation names it.
func matchSpec() *option.Spec {
	s := matchOption.Prefixed("routes[].")
	return &s
}
