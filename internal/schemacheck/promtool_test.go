// SPDX-License-Identifier: Apache-2.0

package schemacheck

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"sigs.k8s.io/yaml"
)

// ruleTests is the part of a file for "promtool test rules" that ours use. Its own types
// are not exported.
// Source: https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/ (not checked).
type ruleTests struct {
	RuleFiles          []string       `json:"rule_files"`
	EvaluationInterval model.Duration `json:"evaluation_interval"`
	Tests              []struct {
		Name        string         `json:"name"`
		Interval    model.Duration `json:"interval"`
		InputSeries []struct {
			Series string `json:"series"`
			Values string `json:"values"`
		} `json:"input_series"`
		AlertRuleTest []struct {
			EvalTime  model.Duration `json:"eval_time"`
			Alertname string         `json:"alertname"`
			ExpAlerts []struct {
				Labels      map[string]string `json:"exp_labels"`
				Annotations map[string]string `json:"exp_annotations"`
			} `json:"exp_alerts"`
		} `json:"alert_rule_test"`
		PromqlExprTest []struct {
			Expr       string         `json:"expr"`
			EvalTime   model.Duration `json:"eval_time"`
			ExpSamples []struct {
				Labels string  `json:"labels"`
				Value  float64 `json:"value"`
			} `json:"exp_samples"`
		} `json:"promql_expr_test"`
	}
}

// alerts are the names of the rules and the keys of their labels and annotations.
func alerts(t *testing.T) (rules map[string]rulefmt.Rule) {
	t.Helper()
	var groups rulefmt.RuleGroups
	if err := yaml.Unmarshal(file(t, root, "conf", "prometheus", "alerts.yaml"), &groups); err != nil {
		t.Fatal(err)
	}
	rules = map[string]rulefmt.Rule{}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			rules[r.Alert] = r
		}
	}
	return rules
}

// ruleTestProblems says what promtool would refuse, and what it would test in vain;
// whether the tests pass is for promtool ("make promtool").
func ruleTestProblems(data []byte, rules map[string]rulefmt.Rule) (problems []string) {
	bad := func(parts ...string) { problems = append(problems, strings.Join(parts, " ")) }
	var doc ruleTests
	if err := yaml.UnmarshalStrict(data, &doc); err != nil {
		return []string{err.Error()}
	}
	if doc.EvaluationInterval == 0 || len(doc.RuleFiles) == 0 || len(doc.Tests) == 0 {
		bad("no interval, no file of rules, or no test")
	}
	for _, f := range doc.RuleFiles {
		if _, err := os.Stat(filepath.Join(root, "conf", "prometheus", f)); err != nil {
			bad(err.Error())
		}
	}
	p := parser.NewParser(parser.Options{})
	for _, test := range doc.Tests {
		if test.Name == "" || test.Interval == 0 || len(test.InputSeries) == 0 || len(test.AlertRuleTest)+len(test.PromqlExprTest) == 0 {
			bad(test.Name, "has no name, interval or series, or tests nothing")
		}
		for _, s := range test.InputSeries {
			if _, _, err := p.ParseSeriesDesc(s.Series + " " + s.Values); err != nil {
				bad(s.Series, err.Error())
			}
		}
		for _, a := range test.AlertRuleTest {
			rule, ok := rules[a.Alertname]
			if !ok || a.EvalTime == 0 {
				bad(a.Alertname, "is not in alerts.yaml, or has no eval_time")
			}
			for _, e := range a.ExpAlerts {
				for k := range rule.Annotations {
					if e.Annotations[k] == "" {
						bad(a.Alertname, "is expected without", k)
					}
				}
				if len(e.Annotations) != len(rule.Annotations) || e.Labels["severity"] != rule.Labels["severity"] {
					bad(a.Alertname, "is expected with other annotations, or another severity")
				}
			}
		}
		for _, e := range test.PromqlExprTest {
			if _, err := p.ParseExpr(e.Expr); err != nil || e.EvalTime == 0 {
				bad(e.Expr, "cannot be parsed, or has no eval_time")
			}
			for _, s := range e.ExpSamples {
				m, err := p.ParseMetric(s.Labels)
				if _, ok := rules[m.Get("alertname")]; err != nil || !ok || m.Get("__name__") != "ALERTS" {
					bad(s.Labels, "is no alert of alerts.yaml")
				}
			}
		}
	}
	return problems
}

func TestRuleTests(t *testing.T) {
	for _, p := range ruleTestProblems(file(t, root, "conf", "prometheus", "alerts_test.yaml"), alerts(t)) {
		t.Error(p)
	}
}

func TestBrokenRuleTestsAreNoticed(t *testing.T) {
	good, rules := string(file(t, root, "conf", "prometheus", "alerts_test.yaml")), alerts(t)
	for old, broken := range map[string]string{
		"eval_time": "evl_time", "exp_samples": "exp_sample", "input_series": "inputs", "promql_expr_test": "promql_test", "interval: 1m": "interval: soon",
		"alertname: KplHotShard": "alertname: KplHot", "exp_labels": "labels", "summary:": "sumary:", "values: 0x10 3x10": "values: 0xx", "alerts.yaml": "rules.yaml", "sort_desc(": "sort_desc((",
	} {
		text := strings.Replace(good, old, broken, 1)
		if text == good || len(ruleTestProblems([]byte(text), rules)) == 0 {
			t.Errorf("%q instead of %q was not noticed", broken, old)
		}
	}
}
