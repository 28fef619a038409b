// SPDX-License-Identifier: Apache-2.0

package option

import (
	"fmt"
	"slices"
	"strings"
)

// Flag is a flag as it was given.
type Flag struct {
	// Spec is nil if no option has the name.
	Spec *Spec
	// Name is without dashes, Text with them and with a value behind =.
	Name, Text string
	Value      string
	// Missing tells that the flag needs a value and has none.
	Missing bool
}

// SplitArgs tells flags from other arguments, in any order. Behind "--" there are only
// arguments. A flag has one dash or two, and its value behind = or as the next argument;
// that of a boolean and one that is optional only behind =.
func SplitArgs(specs []*Spec, args []string) (flags []Flag, rest []string) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			return flags, append(rest, args[i+1:]...)
		}
		if len(a) < 2 || a[0] != '-' {
			rest = append(rest, a)
			continue
		}
		f := Flag{Text: a}
		var joined bool
		f.Name, f.Value, joined = strings.Cut(strings.TrimPrefix(a[1:], "-"), "=")
		f.Spec = Find(specs, f.Name)
		switch {
		case f.Spec == nil && !joined:
			// No flag has such a name, so it is the value of this one, whatever was meant.
			if i+1 < len(args) && negative(args[i+1]) {
				i++
			}
		case f.Spec == nil || joined:
		case f.Spec.Kind == Bool:
			f.Value = "true"
		case f.Spec.Optional:
			f.Value = f.Spec.Words[0]
		case i+1 < len(args):
			i++
			f.Value = args[i]
		default:
			f.Missing = true
		}
		flags = append(flags, f)
	}
	return flags, rest
}

// negative tells values such as -15m from flags.
func negative(a string) bool { return len(a) > 1 && a[0] == '-' && a[1] >= '0' && a[1] <= '9' }

// Given are the names of the flags that a command line has, with the last value of each.
type Given map[string]string

// Has tells whether the flag was given.
func (g Given) Has(name string) bool {
	_, ok := g[name]
	return ok
}

// ReadArgs sets options of c by flags, after their defaults. It returns the arguments that are
// no flags, and every problem.
func ReadArgs[C any](options []Option[C], args []string, c *C) (given Given, rest []string, problems []error) {
	specs := Specs(options)
	find := func(s *Spec) *Option[C] {
		for i := range options {
			if &options[i].Spec == s {
				return &options[i]
			}
		}
		return nil
	}
	for i := range options {
		if o := &options[i]; o.Default != "" {
			if _, problem := o.Set(Plain, c, o.Name, o.Default, nil); problem != nil {
				problems = append(problems, problem)
			}
		}
	}
	flags, rest := SplitArgs(specs, args)
	given = Given{}
	first := map[string]Flag{}
	for _, f := range flags {
		switch {
		case f.Spec == nil:
			known := make([]string, len(specs))
			for i, s := range specs {
				known[i] = "--" + s.Name
			}
			typed, _, _ := strings.Cut(f.Text, "=")
			p := &Problem{Name: typed, What: "no such flag", Hint: hinted("--", f.Name, specs)}
			if best := nearest(f.Name, known, few(f.Name)); best != "" && p.Hint == "" {
				p.Hint = "did you mean " + best + "?"
			}
			problems = append(problems, p)
			continue
		case f.Missing:
			problems = append(problems, &Problem{Name: "--" + f.Name, What: "needs a value", Allowed: "--" + f.Name + " " + f.Spec.Arg})
			continue
		}
		before, again := first[f.Spec.Name]
		switch {
		case !again:
			first[f.Spec.Name] = f
		case f.Spec.Many:
		case f.Name != before.Name && !f.Spec.agree(before, f):
			problems = append(problems, TwoNames("--"+f.Name, "--"+before.Name))
			continue
		case f.Spec.Kind != Bool:
			problems = append(problems, Wrong("--"+f.Name, f.Value, "given again", "once"))
			continue
		}
		if _, problem := find(f.Spec).Set(Plain, c, f.Name, f.Value, nil); problem != nil {
			problem.Name = "--" + problem.Name
			problems = append(problems, problem)
		}
		if given[f.Spec.Name] = f.Value; f.Spec.Kind == Bool && f.Value == "false" {
			delete(given, f.Spec.Name)
		}
	}
	return given, rest, problems
}

// agree tells whether flags under two names are one switch, such as -h --help.
func (s *Spec) agree(a, b Flag) bool {
	return s.Kind == Bool && a.Value == b.Value && slices.Contains(s.Opposites, a.Name) == slices.Contains(s.Opposites, b.Name)
}

// Help lists flags by group, in lines of 86 characters at most.
func Help(specs []*Spec) string {
	var b strings.Builder
	group := ""
	for _, s := range specs {
		if s.Group != group {
			if group != "" {
				b.WriteByte('\n')
			}
			group = s.Group
			fmt.Fprintf(&b, "%s:\n", group)
		}
		switch {
		case s.Optional:
			fmt.Fprintf(&b, "  --%s[=%s]\n", s.Name, s.Arg)
		case s.Kind != Bool:
			fmt.Fprintf(&b, "  --%s %s\n", s.Name, s.Arg)
		default:
			fmt.Fprintf(&b, "  --%s\n", s.Name)
		}
		Wrap(&b, s.Doc)
	}
	return b.String()
}

// Manual lists the options of a file with their defaults.
func Manual(specs []*Spec, g *Grammar) string {
	var b strings.Builder
	for _, s := range specs {
		b.WriteString("\n  " + s.Name)
		if s.Default != "" {
			b.WriteString(" (" + s.Shown(g) + ")")
		}
		b.WriteByte('\n')
		Wrap(&b, s.Doc)
	}
	return b.String()
}

// Wrap writes a paragraph of 84 columns, indented by six.
func Wrap(b *strings.Builder, text string) {
	const indent, width = "      ", 84
	at := width
	for i, word := range strings.Fields(text) {
		if at+1+len(word) > width {
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(indent)
			at = len(indent)
		} else {
			b.WriteByte(' ')
			at++
		}
		b.WriteString(word)
		at += len(word)
	}
	b.WriteByte('\n')
}
