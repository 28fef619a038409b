// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics/prometheus"
)

// metricNames lists the metrics of both receivers.
func metricNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{
		// Of the host; see its documentation of monitoring.
		"fluentbit_output_retries_total": true, "fluentbit_output_dropped_records_total": true,
	}
	for _, m := range core.Metrics() {
		name := prometheus.Name(m)
		if m.Info().Kind == core.Distribution {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				names[name+suffix] = true
			}
			continue
		}
		names[name] = true
	}
	// What a receiver has beside these is written in its code.
	literal := regexp.MustCompile(`"(kpl_[a-z_]+)"`)
	family := regexp.MustCompile(`Family\{Name: "([a-z_]+)"`)
	for _, dir := range []string{"core/metrics/prometheus", "vector/internal/receiver", "fluentbit/internal/plugin"} {
		for _, path := range glob(t, dir+"/*.go") {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			text := read(t, path)
			for _, m := range literal.FindAllStringSubmatch(text, -1) {
				names[m[1]] = true
				if strings.HasSuffix(m[1], "_seconds") {
					names[m[1]+"_bucket"], names[m[1]+"_sum"], names[m[1]+"_count"] = true, true, true
				}
			}
			for _, m := range family.FindAllStringSubmatch(text, -1) {
				names["kpl_"+m[1]] = true
			}
		}
	}
	return names
}

var metricName = regexp.MustCompile(`\b(kpl|fluentbit)_[a-z_]+`)

func TestRulesAndDashboardNameMetricsThatExist(t *testing.T) {
	known := metricNames(t)
	for _, path := range []string{"conf/prometheus/alerts.yaml", "conf/prometheus/alerts_test.yaml", "conf/grafana/out_kpl.json"} {
		n := 0
		for _, name := range metricName.FindAllString(read(t, path), -1) {
			n++
			if !known[name] {
				t.Errorf("%s: unexpected metric; got %s; want one that exists", path, name)
			}
		}
		if n < 10 {
			t.Errorf("%s: unexpected number of metrics; got %d", path, n)
		}
	}
}

// What an operator has to see is on the dashboard, and what has to wake a person up has an
// alert.
func TestWhatMattersIsWatched(t *testing.T) {
	dashboard, alerts := read(t, "conf", "grafana", "out_kpl.json"), read(t, "conf", "prometheus", "alerts.yaml")
	for _, name := range []string{
		"kpl_user_records_failed_total", "kpl_user_records_put_total", "kpl_all_errors_total", "kpl_kinesis_records_data_put_bytes_total",
		"kpl_aggregate_fill_ratio_bucket", "kpl_put_payload_units_total", "kpl_retries_per_record_sum", "kpl_oldest_record_age_seconds",
		"kpl_shard_queued_bytes", "kpl_capacity_in_use_ratio", "kpl_backlog_seconds", "kpl_shards_needed", "kpl_open_shards", "kpl_dead_letters_total", "kpl_uncertain_total",
	} {
		if !strings.Contains(dashboard, name) {
			t.Errorf("%s is not on the dashboard", name)
		}
	}
	for _, name := range []string{"kpl_user_records_failed_total", "kpl_oldest_record_age_seconds", "kpl_http_events_dropped_total", "kpl_events_left_out_total", "kpl_capacity_in_use_ratio", "kpl_journal_failed", "kpl_http_journal_failed", "fluentbit_output_dropped_records_total"} {
		if !strings.Contains(alerts, name) {
			t.Errorf("%s has no alert", name)
		}
	}
	for _, test := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(alerts, -1) {
		if !strings.Contains(read(t, "conf", "prometheus", "alerts_test.yaml"), test[1]) {
			t.Errorf("the alert %s has no test", test[1])
		}
		if !strings.Contains(read(t, "docs", "troubleshooting.md"), "`"+test[1]+"`") {
			t.Errorf("docs/troubleshooting.md does not say what to do about the alert %s", test[1])
		}
	}
}

// Every file that ships belongs to a test.
func TestEveryFileIsCovered(t *testing.T) {
	covered := []string{
		// here
		"docker/Dockerfile.*", "docker/compose/*.conf", "docker/compose/*.yaml", "conf/iam/*.json", "conf/ecs/*", "conf/helm/*", "conf/fluent-bit-kubernetes.yaml",
		"conf/vector.yaml", "conf/otel-collector.yaml", "conf/kpl-http.yaml", "conf/combine/*", "docker/compose/prometheus.yml", "docker/compose/grafana/*.yml",
		"docker/images", "docker/README.md", "conf/README.md", // links by internal/docscheck
		// internal/schemacheck
		"docker/compose.yml", "conf/kubernetes/*/*", "conf/terraform/*.tf", "conf/prometheus/*.yaml", "conf/grafana/*.json",
		// fluentbit/internal/conftest
		"conf/fluent-bit.conf", "conf/fluent-bit.yaml",
		// internal/shippers, make shippers
		"conf/rsyslog/*",
	}
	for _, dir := range []string{"docker", "conf"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			for _, pattern := range covered {
				if ok, err := filepath.Match(pattern, filepath.ToSlash(rel)); ok || err != nil {
					return err
				}
			}
			t.Errorf("%s is covered by no test", rel)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
