// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/outkpl/outkpl/internal/option"
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

// loader collects values and problems of one Load.
type loader struct {
	cfg     *Config
	file    string
	options []Option
	specs   []*option.Spec
	sources map[string]string // option -> place of the value in effect
	// refused are options whose value could not be taken, and what else is not known for
	// that reason: with a dot a group, empty everything.
	refused  map[string]bool
	problems []error

	strangers []string // variables with our prefix that are no option
}

func (l *loader) problem(place, name string, p *option.Problem) {
	p.Place = place
	l.refused[name] = true
	l.problems = append(l.problems, p)
}

// unknown notes a name that is none. shown is the name if the place does not say it.
func (l *loader) unknown(place, shown, name, what string, known []string, all []*option.Spec) {
	l.problem(place, "", &option.Problem{Name: shown, What: what, Hint: option.Suggest(name, known, all, listed)})
}

// listed says where all names are.
const listed = "kpl-http options lists all"

func load(src Sources, data []byte) (*Config, error) {
	l := &loader{cfg: &Config{}, file: src.File, options: Options(), sources: map[string]string{}, refused: map[string]bool{}}
	l.specs = option.Specs(l.options)
	for i := range l.options {
		o := &l.options[i]
		if o.Default == "" {
			continue
		}
		if _, problem := o.Set(option.Plain, l.cfg, o.Name, o.Default, nil); problem != nil {
			l.problem("default", o.Name, problem)
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

// assign sets an option by one of its names, and notes a problem or the place. prefix is what
// stands before the option's own names.
func assign[C any](l *loader, o *option.Option[C], c *C, place, prefix, name, text string, list []string) {
	note, problem := o.Set(option.Plain, c, name, text, list)
	if problem != nil {
		problem.Name = prefix + name
		l.problem(place, prefix+o.Name, problem)
		return
	}
	if note != "" {
		l.cfg.Notes = append(l.cfg.Notes, place+": "+prefix+name+" "+note)
	}
	l.sources[prefix+o.Name] = place
}

// readEnviron takes the variables with our prefix.
func (l *loader) readEnviron(environ []string) {
	type named struct {
		o    *Option
		name string
	}
	names := map[string]named{}
	for i := range l.options {
		for _, name := range l.options[i].Names() {
			names[Env(name)] = named{&l.options[i], name}
		}
	}
	seen := map[string]string{} // option -> the name that was there
	for _, kv := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, EnvPrefix) || name == ConfigEnv {
			continue
		}
		n := names[name]
		switch place := "environment " + name; {
		case n.o == nil:
			l.strangers = append(l.strangers, name)
		case seen[n.o.Name] != "":
			l.problem(place, n.o.Name, option.TwoNames(n.name, seen[n.o.Name]))
		default:
			assign(l, n.o, l.cfg, place, "", n.name, value, nil)
			seen[n.o.Name] = n.name
		}
	}
}

// ConfigEnv names the configuration file for those who cannot give a flag.
const ConfigEnv = EnvPrefix + "CONFIG"

// refuseStrangers refuses variables with our prefix that are no option, since a
// misspelt setting would be lost in silence. Those that hold secrets are named by an
// option of any source.
func (l *loader) refuseStrangers() {
	known := make([]string, 0, len(l.specs))
	for _, s := range l.specs {
		known = append(known, Env(s.Name))
	}
	for _, name := range l.strangers {
		if name != l.cfg.Auth.BearerEnv && name != l.cfg.Auth.BasicEnv {
			l.unknown("environment "+name, "", name, "no such option", known, nil)
		}
	}
}

// programFlags are those of the program that are no options.
var programFlags = []string{"config", "help", "version"}

func (l *loader) readFlags(args []string) {
	flags, rest := option.SplitArgs(l.specs, args)
	known := make([]string, 0, len(l.specs))
	for _, s := range l.specs {
		known = append(known, s.Name)
	}
	seen := map[string]string{} // option -> the name that was there
	for _, f := range flags {
		switch {
		case f.Spec == nil && option.Nearest(f.Name, programFlags) != "":
			l.problem("flag "+f.Text, "", &option.Problem{What: "no such option", Hint: "did you mean --" + option.Nearest(f.Name, programFlags) + "?"})
		case f.Spec == nil:
			l.unknown("flag "+f.Text, "", f.Name, "no such option", known, l.specs)
		case f.Missing:
			l.problem("flag "+f.Text, f.Spec.Name, &option.Problem{What: "needs a value", Allowed: f.Text + "=VALUE"})
		case seen[f.Spec.Name] != "" && seen[f.Spec.Name] != f.Name:
			l.problem("flag --"+f.Name, f.Spec.Name, option.TwoNames(f.Name, seen[f.Spec.Name]))
		default:
			i := slices.Index(l.specs, f.Spec)
			assign(l, &l.options[i], l.cfg, "flag --"+f.Name, "", f.Name, f.Value, nil)
			seen[f.Spec.Name] = f.Name
		}
	}
	for _, a := range rest {
		l.problem("", "", &option.Problem{What: fmt.Sprintf("unexpected argument %q", a), Allowed: "--option=value"})
	}
}
