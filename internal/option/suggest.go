// SPDX-License-Identifier: Apache-2.0

package option

import (
	"slices"
	"strings"
)

// mostNamed is how many names a message can list and still be read.
const mostNamed = 40

// Suggest says what was probably meant by a name that is none of the known ones. The
// tables in all are asked first: for a Hint, and for an option of that name in
// another group. more says where all names are listed, if they are too many.
func Suggest(name string, known []string, all []*Spec, more string) string {
	short := name[strings.LastIndexByte(name, '.')+1:]
	if advice := hinted("", name, all); advice != "" {
		return advice
	}
	for _, s := range all {
		switch {
		case s.Short() != short && s.Name != name || s.InGroup() == "":
		case slices.Contains(known, s.Name):
			return "did you mean " + s.Name + "?"
		default:
			return "did you mean " + s.Short() + " below " + s.InGroup() + "?"
		}
	}
	for _, n := range []string{name, short} {
		if best := nearest(n, known, few(n)); best != "" {
			return "did you mean " + best + "?"
		}
	}
	if len(known) > mostNamed || more != "" && len(known) == 0 {
		return more
	}
	return "known: " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
}

// hinted is the advice of a table about a name. before stands before an option's name.
func hinted(before, name string, all []*Spec) string {
	short := name[strings.LastIndexByte(name, '.')+1:]
	for _, s := range all {
		for _, h := range s.Hints {
			if wrong, advice := CutHint(h, before+s.Name); squash(wrong) == squash(short) || squash(wrong) == squash(name) {
				return advice
			}
		}
	}
	return ""
}

// CutHint takes an entry of Spec.Hints of the option apart.
func CutHint(hint, option string) (wrong, advice string) {
	wrong, advice, ok := strings.Cut(hint, ": ")
	if !ok {
		advice = "did you mean " + option + "?"
	}
	return wrong, advice
}

// few is how many changes of a name are a slip.
func few(name string) int { return min(2, (len(squash(name))+1)/3) }

// Nearest returns the known name of which the given one is a slip, or "".
func Nearest(name string, known []string) string { return nearest(name, known, few(name)) }

// nearest returns the known name that takes the fewest changes, at most as many as given.
func nearest(name string, known []string, most int) (best string) {
	name = squash(name)
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := Distance(name, squash(k)); d <= most {
			best, most = k, d-1
		}
	}
	return best
}

// squash makes spellings equal that differ in case and in what joins the words.
func squash(s string) string {
	return strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(s))
}

// Distance is the number of bytes to add, remove or replace to make b of a (Levenshtein).
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
