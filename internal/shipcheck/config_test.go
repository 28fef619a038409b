// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/outkpl/outkpl/fluentbit/plugin"
	"github.com/outkpl/outkpl/vector/config"
)

// hostKeys are those of an output that the host takes for itself.
var hostKeys = []string{"name", "match", "workers", "retry_limit", "storage.total_limit_size", "log-driver-buffer-limit"}

// checkOutput parses an output of the plugin as the plugin does, and checks what it needs
// of the host.
func checkOutput(t *testing.T, name string, vals map[string]string) plugin.Config {
	t.Helper()
	set := plugin.MapConfig{}
	for k, v := range vals {
		if slices.Contains(hostKeys, k) {
			continue
		}
		if !slices.ContainsFunc(plugin.Options(), func(o plugin.Option) bool { return o.Name == k }) {
			t.Errorf("%s: unexpected key of the output; got %s", name, k)
		}
		set[k] = os.Expand(v, func(variable string) string {
			switch variable {
			case "AWS_REGION":
				return "eu-west-1"
			case "KINESIS_STREAM":
				return "logs"
			case "KINESIS_ENDPOINT":
				return "http://127.0.0.1:4567"
			}
			return "$" + variable // the plugin's own
		})
	}
	cfg, err := plugin.ParseConfig(set, func(string) string { return "" })
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if vals["workers"] == "" || vals["retry_limit"] != "no_limits" {
		t.Errorf("%s: workers is missing, or retry_limit is not no_limits: the host would drop chunks", name)
	}
	return cfg
}

func TestConfigurationsOfFluentBit(t *testing.T) {
	for path, wantOutputs := range map[string]int{
		"conf/fluent-bit.conf": 1, "conf/kubernetes/fluent-bit/fluent-bit.conf": 1, "docker/compose/fluent-bit.conf": 1, "conf/ecs/firelens.conf": 0,
	} {
		outputs := 0
		grace := 5 * time.Second // the host's default
		list := sections(t, path, read(t, path))
		for _, s := range list {
			if v := s.vals["grace"]; s.kind == "service" && v != "" {
				d, err := time.ParseDuration(v + "s")
				if err != nil {
					t.Errorf("%s: grace: %v", path, err)
				}
				grace = d
			}
			if !slices.Contains([]string{"service", "input", "filter", "output"}, s.kind) || s.kind != "service" && s.vals["name"] == "" {
				t.Errorf("%s: unexpected section; got %s %s", path, s.kind, s.vals["name"])
			}
		}
		for _, s := range list {
			if s.kind != "output" || s.vals["name"] != "kpl" {
				continue
			}
			outputs++
			if cfg := checkOutput(t, path, s.vals); cfg.FlushTimeout >= grace {
				t.Errorf("%s: unexpected flush_timeout; got %s; want less than grace, %s", path, cfg.FlushTimeout, grace)
			}
		}
		if outputs != wantOutputs {
			t.Errorf("%s: unexpected number of outputs; got %d; want %d", path, outputs, wantOutputs)
		}
	}
}

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
	"conf/helm/fluent-bit-values.yaml": {"serviceAccount", "rbac", "terminationGracePeriodSeconds", "initContainers", "extraVolumes", "extraVolumeMounts",
		"args", "env", "resources", "securityContext", "tolerations", "config"},
	"conf/helm/vector-values.yaml": {"role", "terminationGracePeriodSeconds", "env", "resources", "tolerations", "persistence", "podDisruptionBudget",
		"service", "serviceHeadless", "customConfig", "livenessProbe", "readinessProbe"},
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

func TestConfigurationsOfKplHTTP(t *testing.T) {
	for path, listen := range map[string]string{
		"conf/kpl-http.yaml": "127.0.0.1:8080", "conf/kubernetes/kpl-http/kpl-http.yaml": "0.0.0.0:8080", "docker/compose/kpl-http.yaml": "0.0.0.0:8080",
	} {
		cfg, err := config.Load(config.Sources{File: filepath.Join(root, path)})
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
	cfg, err := config.Load(config.Sources{File: filepath.Join(root, "conf/kubernetes/kpl-http/kpl-http.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, "conf", "kubernetes", "kpl-http", "deployment.yaml")
	if want := cfg.Server.DrainDelay + cfg.Server.DrainTimeout; number(t, text, `terminationGracePeriodSeconds: (\d+)`) <= want.Seconds() {
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
	}{"conf/vector.yaml": {plain, "conf/kpl-http.yaml"}, "conf/helm/vector-values.yaml": {chart, "conf/kubernetes/kpl-http/kpl-http.yaml"}} {
		cfg, err := config.Load(config.Sources{File: filepath.Join(root, d.conf)})
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
		if wait := time.Duration(s.Request.TimeoutSecs) * time.Second; wait <= cfg.Route.AckTimeout {
			t.Errorf("%s: unexpected timeout; got %s; want more than ack_timeout, %s", name, wait, cfg.Route.AckTimeout)
		}
		if int64(s.Batch.MaxBytes) > cfg.Limits.BodyMaxBytes {
			t.Errorf("%s: a batch of %d bytes is answered with 413", name, s.Batch.MaxBytes)
		}
		if !strings.Contains(s.URI, ":8080/streams/logs-") {
			t.Errorf("%s: unexpected address; got %s; want a stream that %s allows", name, s.URI, d.conf)
		}
	}
}

func TestTaskDefinition(t *testing.T) {
	var task struct {
		Family, NetworkMode, CPU, Memory, ExecutionRoleArn, TaskRoleArn string
		ContainerDefinitions                                            []struct {
			Name, Image string
			Essential   bool
			StopTimeout int
			Memory      int
			Firelens    *struct {
				Type    string
				Options map[string]string
			} `json:"firelensConfiguration"`
			Log struct {
				LogDriver string
				Options   map[string]string
			} `json:"logConfiguration"`
			DependsOn []struct{ ContainerName, Condition string }
		}
	}
	if err := json.Unmarshal([]byte(read(t, "conf", "ecs", "task-definition.json")), &task); err != nil {
		t.Fatal(err)
	}
	if task.TaskRoleArn == "" || task.TaskRoleArn == task.ExecutionRoleArn {
		t.Error("the task has no role of its own: the plugin uses that of the task, not that of the execution")
	}
	names := map[string]bool{}
	routers, logs := 0, 0
	for _, c := range task.ContainerDefinitions {
		names[c.Name] = true
		if c.Firelens != nil {
			routers++
			if c.Firelens.Type != "fluentbit" || !c.Essential || c.StopTimeout <= 30 {
				t.Errorf("unexpected log router; got %+v", c)
			}
			if !strings.HasSuffix(c.Firelens.Options["config-file-value"], "/firelens.conf") {
				t.Errorf("unexpected configuration of the log router; got %v", c.Firelens.Options)
			}
		}
		if c.Log.LogDriver != "awsfirelens" {
			continue
		}
		logs++
		vals := map[string]string{}
		for k, v := range c.Log.Options {
			vals[strings.ToLower(k)] = v
		}
		if vals["name"] != "kpl" {
			t.Errorf("unexpected output; got %q", vals["name"])
		}
		// FireLens sets grace to 30 s.
		if cfg := checkOutput(t, "task-definition.json", vals); cfg.FlushTimeout >= 30*time.Second {
			t.Errorf("unexpected flush_timeout; got %s; want less than 30 s", cfg.FlushTimeout)
		}
	}
	for _, c := range task.ContainerDefinitions {
		for _, d := range c.DependsOn {
			if !names[d.ContainerName] {
				t.Errorf("%s depends on %s, which is not there", c.Name, d.ContainerName)
			}
		}
	}
	if routers != 1 || logs == 0 {
		t.Errorf("unexpected containers; got %d log routers and %d that log through it", routers, logs)
	}
}
