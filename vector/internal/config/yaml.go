// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/internal/option"
)

// routeNode is an entry of routes[] that waits for the values of route.
type routeNode struct {
	prefix string
	place  string
	node   *ast.MappingNode
}

// readFile takes the options of the file and returns the entries of routes[].
//
// The tree is walked instead of decoded into structs: only so each value has its
// place, and all problems come out at once.
func (l *loader) readFile(data []byte) []routeNode {
	f, err := parser.ParseBytes(data, 0)
	if err != nil {
		var pos yaml.Error
		if errors.As(err, &pos) && pos.GetToken() != nil {
			l.problem(l.place(pos.GetToken().Position.Line, pos.GetToken().Position.Column), "", wrong("", "not YAML: "+pos.GetMessage(), ""))
		} else {
			l.problem(l.file, "", wrong("", "not YAML: "+err.Error(), ""))
		}
		return nil
	}
	if len(f.Docs) > 1 {
		l.problem(l.file, "", wrong("", "more than one document", "one"))
		return nil
	}
	if len(f.Docs) == 0 || f.Docs[0].Body == nil {
		return nil
	}
	top := l.mapping(f.Docs[0].Body, "")
	if top == nil {
		return nil
	}
	groups := l.groups()
	var routes []routeNode
	for _, v := range top.Values {
		key := keyText(v)
		switch {
		case key == "routes":
			routes = l.routeNodes(v.Value)
		case groups[key] != nil:
			if g := l.mapping(v.Value, key); g != nil {
				each(l, g, key+".", "", groups[key], l.cfg)
			}
		case option.Find(l.specs, key) != nil:
			p := wrong(key, "no such key", "")
			p.Hint = nested(option.Find(l.specs, key), key, v.Value)
			l.problem(l.at(v.Key), "", p)
		default:
			l.unknown(l.at(v.Key), key, key, "no such key", append(slices.Collect(maps.Keys(groups)), "routes"), l.specs)
		}
	}
	return routes
}

// nested says how an option whose whole name is a key is written.
func nested(o *option.Spec, key string, value ast.Node) string {
	if slices.Contains(o.Aliases, key) {
		key = o.Name
	}
	group, short, _ := strings.Cut(key, ".")
	text := "..."
	if t, ok := scalar(value); ok && t != "" && !o.Secret && !strings.Contains(value.String(), "\n") {
		text = awsclient.WithoutPassword(value.String())
	}
	return fmt.Sprintf("write %s: {%s: %s}", group, short, text)
}

// groups lists the options of each group.
func (l *loader) groups() map[string][]*Option {
	g := map[string][]*Option{}
	for i := range l.options {
		name := l.options[i].InGroup()
		g[name] = append(g[name], &l.options[i])
	}
	return g
}

// each sets the options of one mapping. Keys are the names of options behind own; prefix
// is what messages put before them.
func each[C any](l *loader, m *ast.MappingNode, own, prefix string, options []*option.Option[C], c *C) {
	known := make([]string, 0, len(options))
	for _, o := range options {
		known = append(known, o.Short())
	}
	seen := map[*option.Option[C]]string{} // the name that was there
	for _, v := range m.Values {
		key := keyText(v)
		i := slices.IndexFunc(options, func(o *option.Option[C]) bool { return o.Is(own + key) })
		if i < 0 {
			p := wrong(prefix+own+key, "no such key", "")
			p.Hint = option.Suggest(prefix+own+key, known, l.specs, listed)
			l.problem(l.at(v.Key), prefix+own, p)
			continue
		}
		found := options[i]
		text, list, err := l.value(&found.Spec, v.Value)
		switch {
		case err != nil:
			p := option.Wrong(prefix+own+key, text, err.Error(), found.Allowed(option.Plain))
			l.problem(l.at(v.Value), prefix+found.Name, p)
		case seen[found] != "":
			l.problem(l.at(v.Key), prefix+found.Name, option.TwoNames(prefix+own+key, prefix+own+seen[found]))
		default:
			assign(l, found, c, l.at(v.Value), prefix, own+key, text, list)
		}
		seen[found] = key
	}
}

func wrong(name, what, allowed string) *option.Problem {
	return &option.Problem{Name: name, What: what, Allowed: allowed}
}

// value is the text of a scalar, or the texts of a list.
func (l *loader) value(o *option.Spec, n ast.Node) (text string, list []string, err error) {
	if s, ok := n.(*ast.SequenceNode); ok {
		if o.Kind != option.List {
			return "[...]", nil, errors.New("a list")
		}
		list = []string{}
		for _, e := range s.Values {
			t, ok := scalar(e)
			if !ok {
				return "[...]", nil, errors.New("an entry is not plain text")
			}
			list = append(list, t)
		}
		return "", list, nil
	}
	text, ok := scalar(n)
	if !ok {
		return n.Type().String(), nil, errors.New("not a plain value")
	}
	return text, nil, nil
}

// scalar is the text of a plain value as it stands in the file.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.BoolNode:
		return fmt.Sprint(n.Value), true
	case *ast.IntegerNode, *ast.FloatNode:
		return n.GetToken().Value, true
	case *ast.NullNode:
		return "", true
	}
	return "", false
}

func (l *loader) routeNodes(n ast.Node) []routeNode {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		if _, null := n.(*ast.NullNode); !null {
			l.problem(l.at(n), "routes", wrong("routes", "not a list", "- match: PATH with the options of route"))
		}
		return nil
	}
	var routes []routeNode
	for i, e := range s.Values {
		prefix := fmt.Sprintf("routes[%d]", i)
		if m := l.mapping(e, prefix); m != nil {
			routes = append(routes, routeNode{prefix: prefix + ".", place: l.at(e), node: m})
		} else {
			l.refused["routes["] = true // the entries behind it have other numbers
		}
	}
	return routes
}

func (l *loader) readRoutes(nodes []routeNode) {
	match := matchOption
	options := []*option.Option[Route]{&match}
	for i := range routeOptions {
		options = append(options, &routeOptions[i])
	}
	for _, n := range nodes {
		r := l.cfg.Route
		each(l, n.node, "", n.prefix, options, &r)
		if r.Match == "" && !l.refused[n.prefix+"match"] {
			l.problem(n.place, n.prefix+"match", wrong(n.prefix+"match", "missing", match.Form))
		}
		l.cfg.Routes = append(l.cfg.Routes, r)
	}
}

// mapping is n as a mapping, or nil with a problem noted.
func (l *loader) mapping(n ast.Node, key string) *ast.MappingNode {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n
	case *ast.MappingValueNode:
		return ast.Mapping(n.GetToken(), false, n)
	case *ast.NullNode:
		return ast.Mapping(n.GetToken(), false)
	}
	l.problem(l.at(n), key, wrong(key, "not a mapping", "keys and values"))
	l.refused[key+"."] = true
	return nil
}

func keyText(v *ast.MappingValueNode) string {
	if s, ok := scalar(v.Key); ok {
		return s
	}
	return v.Key.String()
}

func (l *loader) at(n ast.Node) string {
	p := n.GetToken().Position
	return l.place(p.Line, p.Column)
}

func (l *loader) place(line, column int) string {
	return fmt.Sprintf("%s:%d:%d", l.file, line, column)
}
