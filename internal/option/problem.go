// SPDX-License-Identifier: Apache-2.0

package option

import (
	"strconv"

	"github.com/outkpl/outkpl/core/awsclient"
)

// Problem is one thing that is wrong with an option.
type Problem struct {
	// Place is where the value came from, such as file:line:column; empty: not said.
	Place string
	// Name is the option, or what stands in the place of one.
	Name string
	// Value is the text in quotes, or empty where there is none to show.
	Value string
	// What is wrong, what is Allowed, and a Hint at what was probably meant.
	What, Allowed, Hint string
}

// Error implements error.
func (p *Problem) Error() string {
	s := p.What
	for _, before := range []string{p.Value, p.Name, p.Place} {
		if before != "" {
			s = before + ": " + s
		}
	}
	if p.Allowed != "" {
		s += "; allowed: " + p.Allowed
	}
	if p.Hint != "" {
		s += "; " + p.Hint
	}
	return s
}

// Wrong is a problem with the value of an option. A password in a URL is not shown.
func Wrong(name, value, what, allowed string) *Problem {
	return &Problem{Name: name, Value: strconv.Quote(awsclient.WithoutPassword(value)), What: what, Allowed: allowed}
}

// TwoNames is a problem with an option that one place gives under two of its names: which
// of them counts, nobody could tell.
func TwoNames(name, before string) *Problem {
	return &Problem{Name: name, What: "given under two names, with " + before, Allowed: "one of them"}
}

// Split takes a joined error apart, for one line each.
func Split(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}
