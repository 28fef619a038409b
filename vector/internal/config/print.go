// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/outkpl/outkpl/internal/option"
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
		if g := o.InGroup(); g != group {
			group = g
			fmt.Fprintf(&b, "%s:\n", g)
		}
		origin := c.origins[o.Name]
		if origin == "" {
			origin = "default"
		}
		fmt.Fprintf(&b, "  %s: %s # %s\n", o.Short(), yamlText(&o.Spec, o.Get(option.Plain, o.Field(c))), origin)
	}
	if len(c.Routes) > 0 {
		b.WriteString("routes:\n")
	}
	for i := range c.Routes {
		fmt.Fprintf(&b, "  - match: %s\n", strconv.Quote(c.Routes[i].Match))
		for j := range routeOptions {
			o := &routeOptions[j]
			key := fmt.Sprintf("routes[%d].%s", i, o.Name)
			if c.origins[key] != "" {
				fmt.Fprintf(&b, "    %s: %s # %s\n", o.Name, yamlText(&o.Spec, o.Get(option.Plain, o.Field(&c.Routes[i]))), c.origins[key])
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func yamlText(o *option.Spec, text string) string {
	switch o.Kind {
	case option.String:
		return strconv.Quote(text)
	case option.List:
		if text == "" {
			return "[]"
		}
		list := strings.Split(text, ",")
		for i := range list {
			list[i] = strconv.Quote(list[i])
		}
		return "[" + strings.Join(list, ", ") + "]"
	default:
		return text
	}
}
