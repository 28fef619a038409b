// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// Sources says where a configuration comes from.
type Sources struct {
	// File is the path of the YAML file, or empty for none.
	File string
	// Environ is the environment, as of os.Environ.
	Environ []string
	// Args are flags: --server.listen=:8080. What is not a flag is an error.
	Args []string
}

// Load reads all sources and checks everything. The error joins every problem.
func Load(src Sources) (*Config, error) {
	var data []byte
	if src.File != "" {
		var err error
		if data, err = os.ReadFile(src.File); err != nil {
			return nil, fmt.Errorf("cannot read the configuration: %w", err)
		}
		data = bytes.TrimPrefix(data, []byte("\ufeff")) // some editors put a byte order mark before UTF-8
	}
	return load(src, data)
}

// Problem is one thing wrong with a configuration.
type Problem struct {
	// Place is where the value came from: file:line:column, environment NAME,
	// flag --name, or empty for a default.
	Place string
	// Key is the option.
	Key string
	// Text says what is wrong and what is allowed.
	Text string
}

// Error implements error.
func (p *Problem) Error() string {
	s := p.Text
	if p.Key != "" {
		s = p.Key + ": " + s
	}
	if p.Place != "" {
		s = p.Place + ": " + s
	}
	return s
}

// loader collects values and problems of one Load.
type loader struct {
	cfg     *Config
	file    string
	options []Option
	sources map[string]string // key -> place of the value in effect
	// refused are keys whose value could not be taken, and what else is not known for
	// that reason: with a dot a group, empty everything.
	refused  map[string]bool
	problems []error

	strangers []string // variables with our prefix that are no option
}

func (l *loader) problem(place, key, text string) {
	l.refused[key] = true
	l.problems = append(l.problems, &Problem{Place: place, Key: key, Text: text})
}

func load(src Sources, data []byte) (*Config, error) {
	l := &loader{cfg: &Config{}, file: src.File, options: Options(), sources: map[string]string{}, refused: map[string]bool{}}
	for i := range l.options {
		o := &l.options[i]
		if o.Default != "" {
			if err := o.set(o.target(l.cfg), o.Default, nil); err != nil {
				l.problem("", o.Key, "default "+o.Default+": "+err.Error())
			}
		}
	}
	var routes []routeNode
	if src.File != "" {
		routes = l.readFile(data)
	}
	l.readEnviron(src.Environ)
	l.readFlags(src.Args)
	l.refuseStrangers()
	// Entries of routes[] start from what all sources say about route.
	l.readRoutes(routes)
	l.cfg.checkTogether(l)
	l.cfg.origins = l.sources
	if len(l.problems) > 0 {
		return nil, errors.Join(l.problems...)
	}
	return l.cfg, nil
}

// target is the pointer to the option's field.
func (o *Option) target(c *Config) any {
	if o.route != nil {
		return o.route(&c.Route)
	}
	return o.field(c)
}

// assign sets one value and notes a problem or the place.
func (l *loader) assign(o *Option, dst any, place, key, text string, list []string) {
	if err := o.set(dst, text, list); err != nil {
		l.problem(place, key, describe(o, text, list, err))
		return
	}
	l.sources[key] = place
}

func describe(o *Option, text string, list []string, err error) string {
	if list != nil {
		text = strings.Join(list, ",")
	}
	s := fmt.Sprintf("value %q: %v", text, err)
	if allowed := o.Allowed(); allowed != "" {
		s += "; allowed: " + allowed
	}
	return s
}

func (l *loader) find(key string) *Option {
	for i := range l.options {
		if l.options[i].Key == key {
			return &l.options[i]
		}
	}
	return nil
}

// readEnviron takes the variables with our prefix.
func (l *loader) readEnviron(environ []string) {
	names := map[string]*Option{}
	for i := range l.options {
		names[l.options[i].Env()] = &l.options[i]
	}
	environ = append([]string(nil), environ...)
	sort.Strings(environ)
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, EnvPrefix) || name == ConfigEnv {
			continue
		}
		o := names[name]
		if o == nil {
			l.strangers = append(l.strangers, name)
			continue
		}
		l.assign(o, o.target(l.cfg), "environment "+name, o.Key, value, nil)
	}
}

// ConfigEnv names the configuration file for those who cannot give a flag.
const ConfigEnv = EnvPrefix + "CONFIG"

// refuseStrangers refuses variables with our prefix that are no option, since a
// misspelt setting would be lost in silence. Those that hold secrets are named by an
// option of any source.
func (l *loader) refuseStrangers() {
	known := make([]string, 0, len(l.options))
	for i := range l.options {
		known = append(known, l.options[i].Env())
	}
	for _, name := range l.strangers {
		if name != l.cfg.Auth.BearerEnv && name != l.cfg.Auth.BasicEnv {
			l.problem("environment "+name, "", "no such option"+hint(name, known))
		}
	}
}

func (l *loader) readFlags(args []string) {
	fs := flag.NewFlagSet("kpl-http", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	known := make([]string, 0, len(l.options))
	for i := range l.options {
		o := &l.options[i]
		known = append(known, o.Key)
		put := func(text string) error {
			l.assign(o, o.target(l.cfg), "flag --"+o.Key, o.Key, text, nil)
			return nil
		}
		if o.Kind == KindBool {
			fs.BoolFunc(o.Key, o.Doc, put)
		} else {
			fs.Func(o.Key, o.Doc, put)
		}
	}
	for len(args) > 0 {
		if err := fs.Parse(args); err != nil {
			// The flag package stops at the first problem; everything is wanted.
			bad := args[len(args)-len(fs.Args())-1]
			name, _, _ := strings.Cut(strings.TrimLeft(bad, "-"), "=")
			if l.find(name) == nil {
				l.problem("flag "+bad, "", "no such option"+hint(name, known))
			} else {
				l.problem("flag "+bad, "", err.Error())
			}
			args = fs.Args()
			continue
		}
		args = fs.Args()
		if len(args) > 0 {
			l.problem("", "", fmt.Sprintf("unexpected argument %q; want --option=value", args[0]))
			args = args[1:]
		}
	}
}
