// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/outkpl/outkpl/vector"
)

// The same for Kubernetes in three forms: for kustomize, in YAML, and for Helm.
func TestFormsForKubernetesSayTheSame(t *testing.T) {
	want := sections(t, "fluent-bit.conf", read(t, "conf", "kubernetes", "fluent-bit", "fluent-bit.conf"))
	if len(want) != 4 {
		t.Fatalf("unexpected number of sections; got %d; want 4", len(want))
	}
	var values struct {
		Config struct{ Service, Inputs, Filters, Outputs string }
		Args   []string
		Grace  int `yaml:"terminationGracePeriodSeconds"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "conf", "helm", "fluent-bit-values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	c := values.Config
	for name, got := range map[string][]section{
		"conf/fluent-bit-kubernetes.yaml":  ymlSections(t, read(t, "conf", "fluent-bit-kubernetes.yaml")),
		"conf/helm/fluent-bit-values.yaml": sections(t, "values", c.Service+"\n"+c.Inputs+"\n"+c.Filters+"\n"+c.Outputs),
	} {
		if len(got) != len(want) {
			t.Errorf("%s: unexpected number of sections; got %d; want %d", name, len(got), len(want))
			continue
		}
		for i := range want {
			if got[i].kind != want[i].kind || !slices.Equal(got[i].keys, want[i].keys) {
				t.Errorf("%s: unexpected section; got %s %v; want %s %v", name, got[i].kind, got[i].keys, want[i].kind, want[i].keys)
			}
			for k, v := range want[i].vals {
				if got[i].vals[k] != v {
					t.Errorf("%s: unexpected %s; got %q; want %q", name, k, got[i].vals[k], v)
				}
			}
		}
	}
	if values.Grace <= 30 || !slices.Contains(values.Args, "--plugin=/fluent-bit/plugins/out_kpl.so") {
		t.Errorf("unexpected values; got a grace period of %d s and %v", values.Grace, values.Args)
	}
}

// What can be set at the top of the values of the two charts (fluent-bit 0.58.1, vector
// 0.57.0), as far as it is used here. Helm ignores what it does not know.
var chartKeys = map[string][]string{
	"conf/helm/fluent-bit-values.yaml": {
		"serviceAccount", "rbac", "terminationGracePeriodSeconds", "initContainers", "extraVolumes", "extraVolumeMounts",
		"args", "env", "resources", "securityContext", "tolerations", "config",
	},
	"conf/helm/vector-values.yaml": {
		"role", "terminationGracePeriodSeconds", "env", "resources", "tolerations", "persistence", "podDisruptionBudget",
		"service", "serviceHeadless", "customConfig", "livenessProbe", "readinessProbe",
	},
}

func TestValuesOfCharts(t *testing.T) {
	for path, known := range chartKeys {
		var values map[string]any
		if err := yaml.Unmarshal([]byte(read(t, path)), &values); err != nil {
			t.Fatal(err)
		}
		for k := range values {
			if !slices.Contains(known, k) {
				t.Errorf("%s: the chart does not know %s", path, k)
			}
		}
		if len(values) != len(known) {
			t.Errorf("%s: unexpected number of values; got %d; want %d", path, len(values), len(known))
		}
	}
}

// inEffect is what kpl-http makes of a configuration, as its print-config says it.
type inEffect struct {
	Server struct {
		Listen       string
		DrainDelay   duration `yaml:"drain_delay"`
		DrainTimeout duration `yaml:"drain_timeout"`
	}
	Limits struct {
		Memory      size
		BodyMaxSize size `yaml:"body_max_size"`
	}
	Route struct {
		AckTimeout duration `yaml:"ack_timeout"`
	}
}

type duration struct{ time.Duration }

func (d *duration) UnmarshalYAML(b []byte) (err error) {
	d.Duration, err = time.ParseDuration(strings.TrimSpace(string(b)))
	return err
}

// size is in bytes.
type size int64

func (s *size) UnmarshalYAML(b []byte) error {
	number, unit, ok := strings.Cut(strings.TrimSpace(string(b)), "MiB")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || !ok || unit != "" {
		return fmt.Errorf("unexpected size; got %q; want MiB", b)
	}
	*s = size(n << 20)
	return nil
}

// load reads a configuration as kpl-http does.
func load(path string) (cfg inEffect, err error) {
	var out, problems bytes.Buffer
	if code := vector.Main(context.Background(), []string{"print-config", filepath.Join(root, path)}, nil, &out, &problems); code != 0 {
		return cfg, fmt.Errorf("exit code %d: %s", code, problems.Bytes())
	}
	err = yaml.Unmarshal(out.Bytes(), &cfg)
	return cfg, err
}

func TestConfigurationsOfKplHTTP(t *testing.T) {
	for path, listen := range map[string]string{
		"conf/kpl-http.yaml": "127.0.0.1:8080", "conf/kubernetes/kpl-http/kpl-http.yaml": "0.0.0.0:8080", "docker/compose/kpl-http.yaml": "0.0.0.0:8080",
		"conf/combine/kpl-http.yaml": "127.0.0.1:8080",
	} {
		cfg, err := load(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if cfg.Server.Listen != listen {
			t.Errorf("%s: unexpected address; got %s; want %s", path, cfg.Server.Listen, listen)
		}
	}
}

// The times of the Deployment and of the configuration in it have to fit.
func TestTimesOfTheDeployment(t *testing.T) {
	cfg, err := load("conf/kubernetes/kpl-http/kpl-http.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, "conf", "kubernetes", "kpl-http", "deployment.yaml")
	if want := cfg.Server.DrainDelay.Duration + cfg.Server.DrainTimeout.Duration; number(t, text, `terminationGracePeriodSeconds: (\d+)`) <= want.Seconds() {
		t.Errorf("the pod is killed before it has drained, which takes up to %s", want)
	}
	if number(t, text, `limits: \{memory: (\d+)Mi\}`)*(1<<20) < 2*float64(cfg.Limits.Memory) {
		t.Error("the memory limit of the container is below twice limits.memory")
	}
	fb := read(t, "conf", "kubernetes", "fluent-bit", "fluent-bit.yaml")
	conf := read(t, "conf", "kubernetes", "fluent-bit", "fluent-bit.conf")
	if number(t, fb, `terminationGracePeriodSeconds: (\d+)`) <= number(t, conf, `grace +(\d+)`) {
		t.Error("Fluent Bit is killed before its grace is over")
	}
}

func number(t *testing.T, text, pattern string) (v float64) {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("nothing is like %s", pattern)
	}
	if err := json.Unmarshal([]byte(m[1]), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// vectorSink is what is known of Vector's sink "http".
type vectorSink struct {
	Type, URI, Method, Compression string
	Inputs                         []string
	Auth                           struct{ Strategy, Token string }
	Encoding                       struct{ Codec string }
	Batch                          struct {
		MaxBytes    int `yaml:"max_bytes"`
		TimeoutSecs int `yaml:"timeout_secs"`
	}
	Request struct {
		TimeoutSecs         int `yaml:"timeout_secs"`
		AdaptiveConcurrency struct {
			Initial int `yaml:"initial_concurrency"`
		} `yaml:"adaptive_concurrency"`
	}
	Healthcheck struct {
		Enabled bool
		URI     string
	}
	Acknowledgements struct{ Enabled bool }
	Buffer           struct {
		Type     string
		MaxSize  int    `yaml:"max_size"`
		WhenFull string `yaml:"when_full"`
	}
}

func TestConfigurationsOfVector(t *testing.T) {
	type doc struct {
		DataDir string `yaml:"data_dir"`
		API     struct {
			Enabled bool
			Address string
		}
		Sources map[string]struct {
			Type    string
			Include []string
		}
		Sinks map[string]vectorSink
	}
	var plain doc
	if err := yaml.UnmarshalWithOptions([]byte(read(t, "conf", "vector.yaml")), &plain, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	var values struct {
		CustomConfig yaml.MapSlice `yaml:"customConfig"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "conf", "helm", "vector-values.yaml")), &values); err != nil {
		t.Fatal(err)
	}
	b, err := yaml.Marshal(values.CustomConfig)
	if err != nil {
		t.Fatal(err)
	}
	var chart doc
	if err := yaml.UnmarshalWithOptions(b, &chart, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for name, d := range map[string]struct {
		doc
		conf string
	}{"conf/vector.yaml": {plain, "conf/kpl-http.yaml"}, "conf/vector.yaml with combine": {plain, "conf/combine/kpl-http.yaml"}, "conf/helm/vector-values.yaml": {chart, "conf/kubernetes/kpl-http/kpl-http.yaml"}} {
		cfg, err := load(d.conf)
		if err != nil {
			t.Fatal(err)
		}
		s := d.Sinks["kinesis"]
		for _, input := range s.Inputs {
			if _, ok := d.Sources[input]; !ok {
				t.Errorf("%s: no source %s", name, input)
			}
		}
		if s.Type != "http" || s.Method != "post" || !s.Acknowledgements.Enabled || s.Buffer.WhenFull != "block" || s.Encoding.Codec != "json" {
			t.Errorf("%s: unexpected sink; got %+v", name, s)
		}
		if wait := time.Duration(s.Request.TimeoutSecs) * time.Second; wait <= cfg.Route.AckTimeout.Duration {
			t.Errorf("%s: unexpected timeout; got %s; want more than ack_timeout, %s", name, wait, cfg.Route.AckTimeout)
		}
		if size(s.Batch.MaxBytes) > cfg.Limits.BodyMaxSize {
			t.Errorf("%s: a batch of %d bytes is answered with 413", name, s.Batch.MaxBytes)
		}
		if !strings.Contains(s.URI, ":8080/streams/logs-") {
			t.Errorf("%s: unexpected address; got %s; want a stream that %s allows", name, s.URI, d.conf)
		}
	}
}
