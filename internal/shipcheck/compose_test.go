// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// What Prometheus and Grafana are given in docker/compose has to fit to the services.
func TestPrometheusAndGrafanaInCompose(t *testing.T) {
	var prom struct {
		Global struct {
			ScrapeInterval     time.Duration `yaml:"scrape_interval"`
			EvaluationInterval time.Duration `yaml:"evaluation_interval"`
		} `yaml:"global"`
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			JobName       string `yaml:"job_name"`
			MetricsPath   string `yaml:"metrics_path"`
			StaticConfigs []struct {
				Targets []string `yaml:"targets"`
			} `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, UID, Type, URL string
			IsDefault            bool `yaml:"isDefault"`
		}
	}
	var dashboards struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Type string
			Options    struct{ Path string }
		}
	}
	for path, into := range map[string]any{
		"docker/compose/prometheus.yml": &prom, "docker/compose/grafana/datasources.yml": &sources, "docker/compose/grafana/dashboards.yml": &dashboards,
	} {
		if err := yaml.UnmarshalWithOptions([]byte(read(t, path)), into, yaml.Strict()); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if prom.Global.ScrapeInterval != 5*time.Second || prom.Global.EvaluationInterval != 5*time.Second {
		t.Errorf("unexpected intervals; got %v; want 5 s, which a person at the screen waits for", prom.Global)
	}
	compose := read(t, "docker", "compose.yml")
	paths := map[string]string{"fluent-bit": "/api/v2/metrics/prometheus", "kpl-http": ""}
	for _, s := range prom.ScrapeConfigs {
		if path, ok := paths[s.JobName]; !ok || s.MetricsPath != path {
			t.Errorf("unexpected job or path; got %s %s", s.JobName, s.MetricsPath)
		}
		for _, c := range s.StaticConfigs {
			for _, target := range c.Targets {
				host, port, _ := strings.Cut(target, ":")
				if !strings.Contains(compose, "\n  "+host+":\n") || !strings.Contains(compose, ":"+port+"\"") {
					t.Errorf("%s: no service or port like %s", s.JobName, target)
				}
			}
		}
	}
	if len(prom.ScrapeConfigs) != 2 || len(prom.RuleFiles) != 1 || !strings.Contains(compose, "../conf/prometheus:/etc/prometheus/rules:ro") ||
		prom.RuleFiles[0] != "/etc/prometheus/rules/alerts.yaml" {
		t.Errorf("unexpected configuration of Prometheus; got %+v", prom)
	}
	if len(sources.Datasources) != 1 || sources.Datasources[0].URL != "http://prometheus:9090" || sources.Datasources[0].Type != "prometheus" {
		t.Errorf("unexpected data sources; got %+v", sources)
	}
	if len(dashboards.Providers) != 1 || !strings.Contains(compose, "../conf/grafana:"+dashboards.Providers[0].Options.Path+":ro") {
		t.Errorf("unexpected dashboards; got %+v", dashboards)
	}
}
