// SPDX-License-Identifier: Apache-2.0

package schemacheck

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// dashboardKeys are the keys of a dashboard that are used: the path of an object, and
// what may be in it. Lists have no part in a path. Grafana passes over what it does not
// know. None of them is unknown to the types of Grafana's foundation SDK for Go v0.0.22
// (checked 2026-11-24), which takes a minute to compile, too long to be used here.
var dashboardKeys = map[string]string{
	"":                              "annotations description editable graphTooltip links panels refresh schemaVersion tags templating time timezone title uid version",
	".annotations":                  "list",
	".time":                         "from to",
	".templating":                   "list",
	".templating.list":              "allValue current datasource definition hide includeAll label multi name options query refresh regex sort type",
	".templating.list.current":      "selected text value",
	".templating.list.datasource":   "type uid",
	".templating.list.options":      "selected text value",
	".templating.list.query":        "query refId",
	".panels":                       "collapsed datasource description fieldConfig gridPos id options panels targets title type",
	".panels.datasource":            "type uid",
	".panels.gridPos":               "h w x y",
	".panels.targets":               "datasource expr legendFormat refId",
	".panels.targets.datasource":    "type uid",
	".panels.fieldConfig":           "defaults overrides",
	".panels.fieldConfig.defaults":  "max min thresholds unit",
	".panels.options":               "colorMode graphMode legend reduceOptions textMode tooltip",
	".panels.options.legend":        "displayMode placement showLegend",
	".panels.options.reduceOptions": "calcs fields values",
	".panels.options.tooltip":       "mode sort",
	thresholdsPath:                  "mode steps",
	thresholdsPath + ".steps":       "color value",
}

const thresholdsPath = ".panels.fieldConfig.defaults.thresholds"

// dashboardWords are texts out of a list, by their path.
var dashboardWords = map[string]string{
	".refresh":                            "10s",
	".tags":                               "kinesis fluent-bit",
	".time.from":                          "now-1h",
	".time.to":                            "now",
	".timezone":                           "browser utc",
	".templating.list.type":               "datasource query textbox",
	".templating.list.datasource.type":    "prometheus",
	".templating.list.datasource.uid":     "${datasource}",
	".panels.type":                        "row stat timeseries",
	".panels.datasource.type":             "prometheus",
	".panels.datasource.uid":              "${datasource}",
	".panels.targets.datasource.type":     "prometheus",
	".panels.targets.datasource.uid":      "${datasource}",
	".panels.targets.refId":               "A B C D",
	".panels.fieldConfig.defaults.unit":   "Bps bytes currencyUSD percentunit reqps rps s short",
	thresholdsPath + ".mode":              "absolute percentage",
	thresholdsPath + ".steps.color":       "green orange red",
	".panels.options.colorMode":           "background value none",
	".panels.options.graphMode":           "area none",
	".panels.options.textMode":            "auto value name none",
	".panels.options.legend.displayMode":  "list table",
	".panels.options.legend.placement":    "bottom right",
	".panels.options.reduceOptions.calcs": "lastNotNull",
	".panels.options.tooltip.mode":        "multi single none",
	".panels.options.tooltip.sort":        "desc asc none",
}

// dashboardProblems compares a value and what is in it with the tables.
func dashboardProblems(path string, v any) (problems []string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			problems = append(problems, dashboardProblems(path, e)...)
		}
	case map[string]any:
		keys := strings.Fields(dashboardKeys[path])
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if !slices.Contains(keys, k) {
				problems = append(problems, fmt.Sprintf("unexpected key %s.%s", path, k))
				continue
			}
			problems = append(problems, dashboardProblems(path+"."+k, v[k])...)
		}
	case string:
		if words, ok := dashboardWords[path]; ok && !slices.Contains(strings.Fields(words), v) {
			problems = append(problems, fmt.Sprintf("unexpected %s; got %s; want one of %s", path, v, words))
		}
	}
	return problems
}

func TestKeysOfTheDashboard(t *testing.T) {
	var d any
	if err := json.Unmarshal(file(t, root, "conf", "grafana", "out_kpl.json"), &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range dashboardProblems("", d) {
		t.Error(p)
	}
}

func TestBrokenDashboardsAreNoticed(t *testing.T) {
	good := string(file(t, root, "conf", "grafana", "out_kpl.json"))
	for old, broken := range map[string]string{
		`"refresh"`: `"refreshes"`, `"placement"`: `"place"`, `"uid": "${datasource}"`: `"id": "${datasource}"`, `"gridPos"`: `"grid"`, `"mode": "multi"`: `"modes": "multi"`,
		`"multi"`: `"many"`, `"percentunit"`: `"percentage"`, `"timeseries"`: `"timeserie"`, `"lastNotNull"`: `"lastNotNil"`, `"expr"`: `"exp"`, `"schemaVersion"`: `"version2"`,
	} {
		text := strings.Replace(good, old, broken, 1)
		var d any
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		if text == good || len(dashboardProblems("", d)) == 0 {
			t.Errorf("%s instead of %s was not noticed", broken, old)
		}
	}
}
