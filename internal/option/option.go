// SPDX-License-Identifier: Apache-2.0

package option

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Option is a Spec with the field of C that it sets.
type Option[C any] struct {
	Spec
	// Field returns a pointer: *string, *bool, *Not, *int, *int64, *time.Duration or *[]string.
	Field func(*C) any
	// Parse is for options that need more than a field, instead of Field.
	Parse func(c *C, text string) error
}

// Not is a boolean whose zero value is true to users.
type Not bool

// Of makes options of a part of C options of C. prefix is put before all their names.
func Of[C, P any](prefix string, part func(*C) *P, options []Option[P]) []Option[C] {
	list := make([]Option[C], len(options))
	for i, o := range options {
		list[i].Spec = o.Prefixed(prefix)
		if o.Field != nil {
			list[i].Field = func(c *C) any { return o.Field(part(c)) }
		}
		if o.Parse != nil {
			list[i].Parse = func(c *C, text string) error { return o.Parse(part(c), text) }
		}
	}
	return list
}

// Prefixed is the description with all names behind a prefix.
func (s Spec) Prefixed(prefix string) Spec {
	return s.renamed(func(name string) string { return prefix + name })
}

// Dashed is the description with names as flags have them: role-arn.
func (s Spec) Dashed() Spec {
	return s.renamed(func(name string) string { return strings.ReplaceAll(name, "_", "-") })
}

func (s Spec) renamed(to func(string) string) Spec {
	each := func(names []string) []string {
		names = slices.Clone(names)
		for i := range names {
			names[i] = to(names[i])
		}
		return names
	}
	s.Name, s.Aliases, s.Opposites = to(s.Name), each(s.Aliases), each(s.Opposites)
	return s
}

// Pick returns the options with these names, in this order. A name that is none is a
// mistake in a table.
func Pick[C any](options []Option[C], names ...string) []Option[C] {
	list := make([]Option[C], len(names))
	for i, name := range names {
		list[i] = *named(options, name)
	}
	return list
}

func named[C any](options []Option[C], name string) *Option[C] {
	at := slices.IndexFunc(options, func(o Option[C]) bool { return o.Name == name })
	if at < 0 {
		panic("no option " + name + " in the table")
	}
	return &options[at]
}

// With changes options of a table: what a Spec has, the option of that name gets in place
// of its own.
func With[C any](options []Option[C], changes ...Spec) []Option[C] {
	for _, change := range changes {
		to, from := reflect.ValueOf(&named(options, change.Name).Spec).Elem(), reflect.ValueOf(change)
		for i := range from.NumField() {
			if f := from.Field(i); !f.IsZero() {
				to.Field(i).Set(f)
			}
		}
	}
	return options
}

// Set parses a value that was given under a name of the option, and puts it into c. list
// is for lists that came as such. The note is for the user, or empty.
func (o *Option[C]) Set(g *Grammar, c *C, name, text string, list []string) (note string, problem *Problem) {
	if note = o.Alias(name); note != "" {
		note = "is " + note + "; write " + o.Name
	}
	if slices.Contains(o.Opposites, name) {
		if v, ok := g.boolean(text); ok {
			text = g.formatBool(!v)
		}
	}
	var word string
	var err error
	if o.Parse != nil {
		err = o.Parse(c, text)
	} else {
		word, err = o.put(g, o.Field(c), text, list)
	}
	if err != nil {
		return "", o.wrong(g, name, text, list, err)
	}
	if word != "" {
		note = strings.Join(slices.DeleteFunc([]string{note, "the word " + text + " is called " + word + " now"}, func(s string) bool { return s == "" }), "; ")
	}
	return note, nil
}

// Alias says what another name of the option is; "" for its right name.
func (s *Spec) Alias(name string) string {
	switch {
	case slices.Contains(s.Aliases, name):
		return "an alias of " + s.Name
	case slices.Contains(s.Opposites, name):
		return "the opposite of " + s.Name
	}
	return ""
}

func (s *Spec) wrong(g *Grammar, name, text string, list []string, err error) *Problem {
	if list != nil {
		text = strings.Join(list, ",")
	}
	p := Wrong(name, text, err.Error(), s.Allowed(g))
	var m *misspelt
	if errors.As(err, &m) && m.meant != "" {
		p.Hint = "did you mean " + m.meant + "?"
	}
	if s.Secret {
		p.Value = `"..."`
	}
	return p
}

// misspelt is a word that is none of Spec.Enum.
type misspelt struct{ meant string }

func (*misspelt) Error() string { return "not one of the allowed words" }

// put parses a value and puts it where dst points. It returns the word that took the place
// of the given one, if it has another name now.
func (s *Spec) put(g *Grammar, dst any, text string, list []string) (word string, err error) {
	switch p := dst.(type) {
	case *[]string:
		if list == nil {
			if list, err = g.list(text); err != nil {
				return "", err
			}
		}
		for i, entry := range list {
			if list[i], _, err = s.word(g, entry); err != nil {
				return "", err
			}
		}
		*p = list
		return "", nil
	case *string:
		text, renamed, err := s.word(g, text)
		if err == nil {
			*p = text
		}
		if renamed {
			word = text
		}
		return word, err
	case *bool, *Not:
		v, ok := g.boolean(text)
		if !ok {
			return "", errors.New("not a boolean")
		}
		switch p := dst.(type) {
		case *bool:
			*p = v
		case *Not:
			*p = Not(!v)
		}
		return "", nil
	}
	n, err := s.parse(g, text)
	if err != nil {
		return "", err
	}
	switch p := dst.(type) {
	case *int:
		*p = int(n)
	case *int64:
		*p = n
	case *time.Duration:
		*p = time.Duration(n)
	}
	return "", nil
}

// word checks a text.
func (s *Spec) word(g *Grammar, text string) (word string, renamed bool, err error) {
	if len(s.Enum) == 0 {
		if s.Check != nil && text != "" {
			err = s.Check(text)
		}
		return text, false, err
	}
	word = text
	if g.fold {
		word = strings.ToLower(text)
		if v, ok := g.boolean(text); ok && v && s.On != "" {
			word = s.On
		} else if ok && !v && s.Off != "" {
			word = s.Off
		}
	}
	if to := s.Renamed[word]; to != "" {
		return to, true, nil
	}
	if !slices.Contains(s.Enum, word) {
		return "", false, &misspelt{nearestWord(strings.ToLower(text), s.Enum)}
	}
	return word, false, nil
}

// nearestWord is more generous than nearest: there are few words.
func nearestWord(text string, words []string) string {
	best, distance := "", 3
	for _, w := range words {
		d := Distance(text, w)
		if text != "" && (strings.HasPrefix(text, w) || strings.HasPrefix(w, text)) {
			d = min(d, 2)
		}
		if d < distance {
			best, distance = w, d
		}
	}
	return best
}

// parse reads a number in the range.
func (s *Spec) parse(g *Grammar, text string) (n int64, err error) {
	if s.AutoMeans != "" && (text == "auto" || g.fold && strings.EqualFold(text, "auto")) {
		return Auto, nil
	}
	switch s.Kind {
	case Size:
		n, err = g.size(text)
	case Duration:
		var d time.Duration
		d, err = g.ParseDuration(text)
		n = int64(d)
	default:
		if n, err = strconv.ParseInt(text, 10, 64); err != nil {
			err = errors.New("not a whole number")
		}
	}
	switch {
	case err != nil:
		return 0, err
	case s.ZeroMeans != "" && n == 0, s.Min == 0 && s.Max == 0:
	case n < s.Min, s.Max != 0 && n > s.Max:
		return 0, errors.New("out of range")
	}
	return n, nil
}

// Get writes the value that src points to as put would read it.
func (s *Spec) Get(g *Grammar, src any) string {
	switch p := src.(type) {
	case *string:
		return *p
	case *bool:
		return g.formatBool(*p)
	case *Not:
		return g.formatBool(!bool(*p))
	case *int:
		return s.format(g, int64(*p))
	case *int64:
		return s.format(g, *p)
	case *time.Duration:
		if s.AutoMeans != "" && *p == Auto {
			return "auto"
		}
		return FormatDuration(*p)
	case *[]string:
		return strings.Join(*p, ",")
	}
	return ""
}
