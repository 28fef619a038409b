// SPDX-License-Identifier: Apache-2.0

package option

import (
	"maps"
	"slices"
	"strings"
)

// RowHead is the head of a table of options.
const RowHead = "| Option | Type | Default | Allowed | Meaning |\n|---|---|---|---|---|"

// Row is the option as a row of a table with the columns of RowHead.
func (s *Spec) Row(g *Grammar) string {
	def, allowed := s.Shown(g), ""
	if def != "" {
		def = "`" + def + "`"
	}
	if s.Kind != Bool || s.Form != "" {
		allowed = s.Range(g)
	}
	return "| `" + s.Name + "` | " + s.Kind.String() + " | " + Cell(def) + " | " + Cell(allowed) + " | " + Cell(s.Doc+s.otherNames()) + " |"
}

// otherNames says what is taken besides, as sentences.
func (s *Spec) otherNames() (text string) {
	if len(s.Aliases) > 0 {
		text += " Other name: " + strings.Join(s.Aliases, ", ") + "."
	}
	if len(s.Opposites) > 0 {
		text += " Its opposite is taken, too: " + strings.Join(s.Opposites, ", ") + "."
	}
	for _, word := range slices.Sorted(maps.Keys(s.Renamed)) {
		text += " Other word for " + s.Renamed[word] + ": " + word + "."
	}
	return text
}

// Range is what is allowed, and what is in effect without a value.
func (s *Spec) Range(g *Grammar) string {
	r := s.Allowed(g)
	if s.DefaultNote != "" {
		if r != "" {
			r += "; "
		}
		r += "default: " + s.DefaultNote
	}
	return r
}

// Cell makes text fit for a cell. What looks like HTML or emphasis is not in it.
func Cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
