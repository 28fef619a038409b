// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is the type of an option's value.
type Kind uint8

// The kinds of values.
const (
	KindString   Kind = iota
	KindBool          // true or false
	KindInt           // a whole number
	KindSize          // bytes: 65536, 64KiB, 10MB
	KindDuration      // 250ms, 9s, 2m, 1h30m
	KindList          // a YAML list, or text with commas
)

// String is the name of the kind as documentation writes it.
func (k Kind) String() string {
	return [...]string{"string", "boolean", "integer", "size", "duration", "list"}[k]
}

// Option describes one setting. The table of options is the only place where a
// setting is defined.
type Option struct {
	// Key is the path in the file, for instance "server.listen".
	Key  string
	Kind Kind
	// Default is in effect if nothing is given; empty means unset.
	Default string
	// Min and Max bound numbers: counts, bytes, or nanoseconds. Both 0: unbounded.
	Min, Max int64
	// ZeroMeans is what 0 stands for, if 0 is allowed outside of Min and Max.
	ZeroMeans string
	// Enum lists the allowed words, if only these are allowed.
	Enum []string
	// Form says what text is allowed, for people.
	Form string
	// Doc is one or two sentences.
	Doc string

	field func(*Config) any // pointer to the field
	route func(*Route) any  // or to a field of a route
	check func(string) error
}

// Env is the name of the environment variable, for instance KPL_HTTP_SERVER_LISTEN.
func (o *Option) Env() string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(o.Key, ".", "_"))
}

// EnvPrefix begins the names of all environment variables that set options.
const EnvPrefix = "KPL_HTTP_"

// PerRoute tells whether entries of routes[] may set the option, too.
func (o *Option) PerRoute() bool { return o.route != nil }

// name is the key without its group.
func (o *Option) name() string { return o.Key[strings.IndexByte(o.Key, '.')+1:] }

// Allowed says what values are allowed, for people.
func (o *Option) Allowed() string {
	var s string
	switch {
	case len(o.Enum) > 0:
		s = strings.Join(o.Enum, ", ")
	case o.Form != "":
		s = o.Form
	case o.Kind == KindBool:
		s = "true, false"
	case o.Min != 0 || o.Max != 0:
		s = o.text(o.Min) + " to " + o.text(o.Max)
	}
	if o.ZeroMeans != "" {
		s += "; 0: " + o.ZeroMeans
	}
	return s
}

func (o *Option) text(n int64) string {
	switch o.Kind {
	case KindSize:
		return FormatSize(n)
	case KindDuration:
		return formatDuration(time.Duration(n))
	default:
		return strconv.FormatInt(n, 10)
	}
}

// set parses a value and puts it where dst points. list is used for lists that
// came as such.
func (o *Option) set(dst any, text string, list []string) error {
	switch o.Kind {
	case KindList:
		if list == nil {
			list = splitList(text)
		}
		for _, s := range list {
			if err := o.word(s); err != nil {
				return err
			}
		}
		*dst.(*[]string) = list
		return nil
	case KindString:
		if err := o.word(text); err != nil {
			return err
		}
		*dst.(*string) = text
		return nil
	case KindBool:
		switch text {
		case "true":
			*dst.(*bool) = true
		case "false":
			*dst.(*bool) = false
		default:
			return errors.New("not a boolean")
		}
		return nil
	}
	n, err := o.number(text)
	if err != nil {
		return err
	}
	if !(o.ZeroMeans != "" && n == 0) && (n < o.Min || n > o.Max) {
		return errors.New("out of range")
	}
	switch p := dst.(type) {
	case *int:
		*p = int(n)
	case *int64:
		*p = n
	case *time.Duration:
		*p = time.Duration(n)
	}
	return nil
}

func (o *Option) word(s string) error {
	if len(o.Enum) > 0 && !slices.Contains(o.Enum, s) {
		return errors.New("not one of the allowed words")
	}
	if o.check != nil && s != "" {
		return o.check(s)
	}
	return nil
}

func (o *Option) number(text string) (int64, error) {
	switch o.Kind {
	case KindSize:
		return parseSize(text)
	case KindDuration:
		if text == "0" {
			return 0, nil
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, errors.New("not a duration such as 250ms, 9s or 2m")
		}
		return int64(d), nil
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return 0, errors.New("not a whole number")
		}
		return n, nil
	}
}

// get writes the value that src points to as set would read it.
func (o *Option) get(src any) string {
	switch p := src.(type) {
	case *string:
		return *p
	case *bool:
		return strconv.FormatBool(*p)
	case *int:
		return o.text(int64(*p))
	case *int64:
		return o.text(*p)
	case *time.Duration:
		return formatDuration(*p)
	case *[]string:
		return strings.Join(*p, ",")
	}
	return ""
}

func splitList(s string) []string {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	list := strings.Split(s, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

var sizeUnits = []struct {
	name string
	n    int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1}}

func parseSize(s string) (int64, error) {
	digits, unit := s, int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			digits, unit = strings.TrimRight(rest, " "), u.n
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return 0, errors.New("not a size such as 65536, 64KiB or 10MB")
	}
	return n * unit, nil
}

// FormatSize writes a size in bytes as options have it: 64KiB, or 65537.
func FormatSize(n int64) string {
	for _, u := range sizeUnits[:3] {
		if n >= u.n && n%u.n == 0 {
			return fmt.Sprintf("%d%s", n/u.n, u.name)
		}
	}
	return strconv.FormatInt(n, 10)
}

// formatDuration is Duration.String without units that are 0.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
