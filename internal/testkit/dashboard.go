// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"encoding/json"
	"os"
	"testing"
)

// Panel is one panel of a dashboard of Grafana.
type Panel struct {
	Row, Title string
	Queries    []string
}

// Name is the row and the title.
func (p Panel) Name() string { return p.Row + " / " + p.Title }

// Dashboard reads the panels of a dashboard out of its file, without the rows themselves.
func Dashboard(t testing.TB, path string) (panels []Panel) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Type, Title string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	row := ""
	for _, p := range d.Panels {
		if p.Type == "row" {
			row = p.Title
			continue
		}
		one := Panel{Row: row, Title: p.Title}
		for _, target := range p.Targets {
			one.Queries = append(one.Queries, target.Expr)
		}
		panels = append(panels, one)
	}
	return panels
}
