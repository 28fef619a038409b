// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/internal/option"
)

// The forms of output; another one is a template.
const (
	formatAuto    = "auto"
	formatJSON    = "json"
	formatCompact = "compact"
)

const groupForm = "Form of the output"

const formatForm = "auto, json, compact or a Go template with {{ and }}"

// form is how records are shown.
type form struct {
	format, color string
	template      *template.Template // nil: none
	ofData        bool               // --data was given, which is about JSON
	top           topOptions
}

// checkForm names flags that do not go with --format.
func (o *options) checkForm(given option.Given) (problems []error) {
	o.ofData = given.Has("data")
	if !given.Has("format") {
		return nil
	}
	for name, why := range map[string]string{
		"raw": "--raw prints payloads as they are", "stats": "--stats prints no records", "data": "--data is a form of payloads in JSON",
	} {
		if given.Has(name) && (name != "data" || o.format != formatJSON) {
			problems = append(problems, &option.Problem{Name: "--format", What: "--" + name + " and --format cannot be combined", Hint: why})
		}
	}
	return problems
}

var formFlags = []flag{
	{
		Spec: option.Spec{
			Name: "format", Arg: "FORM", Default: formatAuto, Words: []string{formatAuto, formatJSON, formatCompact}, Group: groupForm, Form: formatForm,
			Doc: "Form of a record: json, a line of JSON; compact, a line with time, shard, key and text; auto, which is compact on a terminal and json elsewhere; or a Go template, see Templates. Default auto.",
		},
		Parse: func(o *options, v string) (err error) {
			o.format, o.template = v, nil
			switch v {
			case formatAuto, formatJSON, formatCompact:
				return nil
			}
			if !strings.Contains(v, "{{") {
				return errors.New("not a form of output")
			}
			o.template, err = parseTemplate(v)
			return err
		},
	},
	{
		Spec: option.Spec{
			Name: "color", Arg: "WHEN", Default: "auto", Enum: []string{"auto", "always", "never"}, Group: groupForm,
			Doc: "Colours in the form compact: auto (on a terminal, unless the environment has NO_COLOR, or TERM is dumb), always or never. Default auto.",
		},
		Field: func(o *options) any { return &o.color },
	},
}

const manualTemplates = `
Templates of --format:
  Go's text/template, once for each record, with a line feed behind it:
    kplcat --format '{{.Time}} {{.Key}} {{.Data}}' logs
    kplcat --format '{{.Field "level"}} {{.Field "kubernetes" "pod_name"}}' logs
    kplcat --format '{{json .Data}}' logs
  Fields: .Shard .Source .Sequence .Subsequence .Event (-1 if there is none) .Arrival
  (a time.Time) .Time (the same as text, in UTC) .Key .HashKey .Aggregated .Misplaced
  .OutOfRange .KCLError .Damaged .Compression .Data (the payload). .Field NAME... is
  a value out of a payload of JSON, by the names that lead to it, as text; empty if
  there is none. .JSON is the payload as a value. json makes JSON of a value.
`

// parseTemplate reads a template, and tells of fields that do not exist.
func parseTemplate(text string) (*template.Template, error) {
	t, err := template.New("--format").Funcs(template.FuncMap{"json": toJSON}).Parse(text)
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "template: "))
	}
	// Records differ in what they hold, so that only one kind of error is known by now.
	err = t.Execute(io.Discard, lineData{Data: "{}"})
	if err := fieldError(err); err != nil {
		return nil, err
	}
	return t, nil
}

var noField = regexp.MustCompile(`can't evaluate field (\w+) in type (\S+)`)

// fieldError says which field a template asks for that does not exist, and is nil for other errors.
func fieldError(err error) error {
	if err == nil {
		return nil
	}
	m := noField.FindStringSubmatch(err.Error())
	switch {
	case m == nil:
		return nil
	case !strings.HasSuffix(m[2], ".lineData"):
		return fmt.Errorf("there is no field .%s in a %s", m[1], strings.TrimPrefix(m[2], "*"))
	}
	hint, names := "", templateFields()
	if best := option.Nearest(m[1], names); best != "" {
		hint = ", did you mean ." + best + "?"
	}
	return fmt.Errorf("there is no field .%s%s fields: .%s", m[1], cmp.Or(hint, ";"), strings.Join(names, " ."))
}

// templateFields are the names of what a template can ask for.
func templateFields() (names []string) {
	t := reflect.TypeFor[lineData]()
	for i := range t.NumField() {
		names = append(names, t.Field(i).Name)
	}
	for i := range t.NumMethod() {
		names = append(names, t.Method(i).Name)
	}
	return names
}

func toJSON(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// lineData is what a template sees of a record.
type lineData struct {
	Shard, Source, Sequence           string
	Subsequence, Event                int // -1: none
	Arrival                           time.Time
	Key, HashKey                      string
	Aggregated, Misplaced, OutOfRange bool
	KCLError                          string
	Damaged                           bool
	Compression                       string
	Data                              string
}

const timeForm = "2006-01-02T15:04:05.000Z07:00"

// Time is the arrival as text, or "" if it is not known.
func (l lineData) Time() string {
	if l.Arrival.IsZero() {
		return ""
	}
	return l.Arrival.UTC().Format(timeForm)
}

// JSON is the payload as a value, or nil if it is not JSON. Numbers keep their digits.
func (l lineData) JSON() any {
	d := json.NewDecoder(strings.NewReader(l.Data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || d.More() {
		return nil
	}
	return v
}

// Field is a value in a payload of JSON, as text.
func (l lineData) Field(names ...string) (string, error) {
	v := l.JSON()
	for _, name := range names {
		m, ok := v.(map[string]any)
		if !ok {
			return "", nil
		}
		v = m[name]
	}
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return toJSON(v)
}

// shown is a user record, or an event of it, on its way to the output.
type shown struct {
	r           *record
	u           *aggregation.UserRecord
	sub         int
	m           mark
	number      int // of the event; negative: none
	payload     []byte
	compression string // undone
}

func (s *shown) data() lineData {
	l := lineData{
		Shard: s.r.shard.ID, Source: s.r.source, Sequence: s.r.sequence, Subsequence: -1, Event: max(-1, s.number), Arrival: s.r.arrival,
		Key: s.u.PartitionKey, HashKey: s.u.ExplicitHashKey, Aggregated: s.m.aggregated, Misplaced: s.m.misplaced, OutOfRange: s.m.outOfRange,
		KCLError: s.m.kclError, Damaged: s.m.damaged, Compression: s.compression, Data: string(s.payload),
	}
	if s.m.aggregated {
		l.Subsequence = s.sub
	}
	return l
}

// printer writes a record in a form of its own, with its line feed.
type printer func(b []byte, s *shown) ([]byte, error)

// newPrinter returns the printer of the form that is asked for, or nil for JSON.
func newPrinter(o *options, stdout io.Writer) printer {
	tty := isTerminal(stdout)
	switch {
	case o.template != nil:
		var out bytes.Buffer
		return func(b []byte, s *shown) ([]byte, error) {
			out.Reset()
			if err := o.template.Execute(&out, s.data()); err != nil {
				return nil, fmt.Errorf("--format: %w", cmp.Or(fieldError(err), err))
			}
			return append(append(b, out.Bytes()...), '\n'), nil
		}
	case o.format == formatCompact, o.format == formatAuto && tty && !o.ofData && !o.raw:
		return newCompact(useColors(o.color, tty)).append
	}
	return nil
}

// printable is text for a terminal: what a payload has of control characters must not
// command it. Bytes that are not UTF-8 make it base64.
func printable(b, text []byte) []byte {
	if !utf8.Valid(text) {
		return base64.StdEncoding.AppendEncode(append(b, "base64:"...), text)
	}
	for _, r := range string(text) {
		switch {
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\t':
			b = append(b, ' ')
		case r < ' ' || r >= 0x7f && r <= 0x9f:
			b = fmt.Appendf(b, `\x%02x`, r)
		default:
			b = append(b, string(r)...)
		}
	}
	return b
}
