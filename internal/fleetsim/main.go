// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	out := flag.String("out", "", "folder for plots; the tables go into the file of that name with .md")
	fleet := flag.Bool("fleet", true, "also simulate a fleet, which takes some 20 s")
	flag.Parse()
	if err := write(*out, *fleet); err != nil {
		fmt.Fprintln(os.Stderr, "fleetsim:", err)
		os.Exit(1)
	}
}

func write(out string, fleet bool) error {
	tables := map[string]string{}
	var plots map[string]string
	tables["quick"], plots = quickTable()
	tables["crowd"], tables["backlog"] = crowdTable(), backlogTable()
	tables["start"] = startTable()
	hostileNumbers, more := hostileTable()
	tables["hostile"] = hostileNumbers
	maps.Copy(plots, more)
	if fleet {
		table, svg := fleetTable()
		tables["fleet"], plots["fleet.svg"] = table, svg
	}
	if out == "" {
		for _, name := range []string{"quick", "crowd", "hostile", "backlog", "start", "fleet"} {
			fmt.Println(tables[name])
		}
		return nil
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("cannot make folder: %w", err)
	}
	for name, svg := range plots {
		if err := os.WriteFile(filepath.Join(out, name), []byte(svg), 0o644); err != nil {
			return fmt.Errorf("cannot write plot: %w", err)
		}
	}
	text, err := os.ReadFile(out + ".md")
	if err != nil {
		return fmt.Errorf("cannot read text: %w", err)
	}
	for name, table := range tables {
		old, err := block(string(text), name)
		if err != nil {
			return err
		}
		text = []byte(strings.Replace(string(text), old, begin(name)+table+end, 1))
	}
	if err := os.WriteFile(out+".md", text, 0o644); err != nil {
		return fmt.Errorf("cannot write text: %w", err)
	}
	return nil
}

const end = "<!-- end -->"

func begin(name string) string { return "<!-- begin " + name + ", by internal/fleetsim -->\n" }

// block returns the part of the text that a table fills, marks included.
func block(text, name string) (string, error) {
	_, rest, ok := strings.Cut(text, begin(name))
	table, _, ended := strings.Cut(rest, end)
	if !ok || !ended {
		return "", fmt.Errorf("cannot find the place of table %s", name)
	}
	return begin(name) + table + end, nil
}
