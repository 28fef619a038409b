// SPDX-License-Identifier: Apache-2.0

package schemacheck

import (
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

func TestAlertRules(t *testing.T) {
	groups, errs := rulefmt.ParseFile(filepath.Join(root, "conf", "prometheus", "alerts.yaml"), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil || len(groups.Groups) == 0 || len(groups.Groups[0].Rules) < 8 {
		t.Fatal("there are hardly any rules")
	}
	for _, r := range groups.Groups[0].Rules {
		if r.Labels["severity"] == "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" || r.Annotations["runbook_url"] == "" {
			t.Errorf("%s: severity, summary, description or runbook_url is missing", r.Alert)
		}
	}
}

// dashboard is the part of Grafana's model that is checked.
type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Templating    struct {
		List []struct{ Name string }
	}
	Panels []struct {
		ID                       int
		Type, Title, Description string
		GridPos                  struct{ H, W, X, Y int }
		Targets                  []struct{ Expr string }
	}
}

func TestDashboard(t *testing.T) {
	var d dashboard
	if err := json.Unmarshal(file(t, root, "conf", "grafana", "out_kpl.json"), &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 36 || len(d.Panels) < 20 {
		t.Errorf("unexpected head; got %q %q %d, %d panels", d.UID, d.Title, d.SchemaVersion, len(d.Panels))
	}
	// Variables as Grafana puts them in.
	replace := []string{"$__rate_interval", "5m", "$__range", "1h"}
	for _, v := range d.Templating.List {
		value := ".*"
		if v.Name == "unit_price" {
			value = "0.014"
		}
		replace = append(replace, "$"+v.Name, value)
	}
	vars := strings.NewReplacer(replace...)
	p := parser.NewParser(parser.Options{})
	ids, taken := map[int]bool{}, map[[2]int]int{}
	for _, panel := range d.Panels {
		if ids[panel.ID] {
			t.Errorf("panel %q: the id %d is there twice", panel.Title, panel.ID)
		}
		ids[panel.ID] = true
		for y := range panel.GridPos.H {
			for x := range panel.GridPos.W {
				at := [2]int{panel.GridPos.X + x, panel.GridPos.Y + y}
				if other, ok := taken[at]; ok || at[0] >= 24 {
					t.Fatalf("panel %q overlaps panel %d, or the edge", panel.Title, other)
				}
				taken[at] = panel.ID
			}
		}
		if panel.Type == "row" {
			continue
		}
		if panel.Description == "" || len(panel.Targets) == 0 {
			t.Errorf("panel %q has no description or no queries", panel.Title)
		}
		for _, target := range panel.Targets {
			expr := vars.Replace(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("panel %q uses a variable that is not defined: %s", panel.Title, target.Expr)
			}
			if _, err := p.ParseExpr(expr); err != nil {
				t.Errorf("panel %q: %v in %s", panel.Title, err, expr)
			}
		}
	}
}
