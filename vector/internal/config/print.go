// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Print writes the configuration in effect as a YAML file that Load reads to the same
// configuration. Each line says where its value came from. There are no secrets in
// it, since no option holds one.
func (c *Config) Print(w io.Writer) error {
	var b strings.Builder
	group := ""
	options := Options()
	for i := range options {
		o := &options[i]
		if g, _, _ := strings.Cut(o.Key, "."); g != group {
			group = g
			fmt.Fprintf(&b, "%s:\n", g)
		}
		origin := c.origins[o.Key]
		if origin == "" {
			origin = "default"
		}
		fmt.Fprintf(&b, "  %s: %s # %s\n", o.name(), yamlText(o, o.get(o.target(c))), origin)
	}
	if len(c.Routes) > 0 {
		b.WriteString("routes:\n")
	}
	for i := range c.Routes {
		fmt.Fprintf(&b, "  - match: %s\n", strconv.Quote(c.Routes[i].Match))
		for j := range options {
			o := &options[j]
			key := fmt.Sprintf("routes[%d].%s", i, o.name())
			if o.PerRoute() && c.origins[key] != "" {
				fmt.Fprintf(&b, "    %s: %s # %s\n", o.name(), yamlText(o, o.get(o.route(&c.Routes[i]))), c.origins[key])
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func yamlText(o *Option, text string) string {
	switch o.Kind {
	case KindString:
		return strconv.Quote(text)
	case KindList:
		list := splitList(text)
		for i := range list {
			list[i] = strconv.Quote(list[i])
		}
		return "[" + strings.Join(list, ", ") + "]"
	default:
		return text
	}
}
