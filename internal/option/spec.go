// SPDX-License-Identifier: Apache-2.0

package option

import (
	"slices"
	"strings"
)

// Kind is the type of an option's value. A String with Spec.Enum is one of a few words.
type Kind uint8

// The kinds of values. A Grammar says how they are written.
const (
	String Kind = iota
	Bool
	Int
	Size // bytes
	Duration
	List // of texts
)

// String is the name of the kind as documentation writes it.
func (k Kind) String() string {
	return [...]string{"string", "boolean", "integer", "size", "duration", "list"}[k]
}

// Auto is the number that the word auto stands for.
const Auto = -1

// Spec describes an option. It is the only place where an option is described.
type Spec struct {
	// Name is what users write. With a dot in it, what is before the dot is a group.
	Name string
	// Aliases are other names of the option, Opposites those of its negation.
	Aliases, Opposites []string
	// Hints are names that people write for lack of the right one, each alone or with
	// ": " and what to tell them.
	Hints []string
	Kind  Kind
	// Default is in effect if nothing is given; empty means unset. DefaultNote says what
	// is in effect then, where that depends on other things.
	Default, DefaultNote string
	// Min and Max bound numbers: counts, bytes, or nanoseconds. Both 0: unbounded. Max
	// alone 0: no upper bound.
	Min, Max int64
	// ZeroMeans is what 0 stands for, if 0 is allowed outside of Min and Max.
	ZeroMeans string
	// AutoMeans is what the word auto stands for, if it is allowed in place of a number. The
	// number is Auto then.
	AutoMeans string
	// Enum lists the allowed words, if only these are allowed; Renamed has old words and
	// those that took their place. On and Off are what a boolean stands for, where a
	// Grammar knows several words for one.
	Enum    []string
	Renamed map[string]string
	On, Off string
	// Form says what text is allowed, for people; Check refuses what is not. Check is not
	// asked about empty text.
	Form  string
	Check func(string) error
	// Doc is one or two sentences, Details is more for a page of documentation.
	Doc, Details string
	// PeerC and PeerGo say what Fluent Bit's own kinesis_streams output (5.1.1) and the
	// AWS Go plugin kinesis (1.10.2) do with the option; empty: they do not have it.
	PeerC, PeerGo string
	// Secret values are shown nowhere.
	Secret bool

	// Command lines: the heading in the help; what the help calls the value; whether the
	// value may be left out; whether the flag may be given again; words to complete.
	Group, Arg string
	Optional   bool
	Many       bool
	Words      []string
}

// Group and rest of a name: "server" and "listen" of server.listen.
func cutName(name string) (group, rest string) {
	if g, r, ok := strings.Cut(name, "."); ok {
		return g, r
	}
	return "", name
}

// Short is the name without its group.
func (s *Spec) Short() string {
	_, rest := cutName(s.Name)
	return rest
}

// InGroup is the group of the name, or empty.
func (s *Spec) InGroup() string {
	group, _ := cutName(s.Name)
	return group
}

// Names are all names of the option, the right one first.
func (s *Spec) Names() []string {
	return slices.Concat([]string{s.Name}, s.Aliases, s.Opposites)
}

// Is tells whether this is a name of the option.
func (s *Spec) Is(name string) bool {
	return s.Name == name || slices.Contains(s.Aliases, name) || slices.Contains(s.Opposites, name)
}

// number tells whether values are numbers with a range.
func (s *Spec) number() bool { return s.Kind == Int || s.Kind == Size || s.Kind == Duration }

// Allowed says what values are allowed, for people.
func (s *Spec) Allowed(g *Grammar) string {
	var text string
	switch {
	case len(s.Enum) > 0:
		text = OrList(s.Enum)
	case s.Form != "":
		text = s.Form
	case s.Kind == Bool:
		text = OrList(slices.Concat(g.on, g.off))
	case s.number() && s.Max != 0:
		text = s.format(g, s.Min) + " to " + s.format(g, s.Max)
	case s.number() && s.Min != 0:
		text = s.format(g, s.Min) + " and more"
	}
	if s.ZeroMeans != "" {
		text += "; 0: " + s.ZeroMeans
	}
	if s.AutoMeans != "" {
		text += "; auto: " + s.AutoMeans
	}
	return text
}

// OrList is a, b or c.
func OrList(words []string) string {
	last := len(words) - 1
	if last < 1 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// Shown is the default as users write it.
func (s *Spec) Shown(g *Grammar) string {
	switch {
	case s.Default == "":
	case s.Kind == Bool:
		return g.formatBool(s.Default == "true")
	case s.Kind == Size:
		if n, err := g.size(s.Default); err == nil {
			return g.FormatSize(n)
		}
	}
	return s.Default
}

// Specs are the descriptions of options.
func Specs[C any](options []Option[C]) []*Spec {
	list := make([]*Spec, len(options))
	for i := range options {
		list[i] = &options[i].Spec
	}
	return list
}

// Find returns the description with this name, or nil.
func Find(specs []*Spec, name string) *Spec {
	for _, s := range specs {
		if s.Is(name) {
			return s
		}
	}
	return nil
}
