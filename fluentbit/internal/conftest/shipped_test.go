// SPDX-License-Identifier: Apache-2.0

package conftest

import (
	"cmp"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/fluentbit/internal/plugin"
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
		"conf/combine/fluent-bit.conf": 1,
	} {
		outputs := 0
		grace := 5 * time.Second // the host's default
		list := classic(t, filepath.Join("..", path))
		for _, s := range list {
			if v := s.get("grace"); s.kind == "service" && v != "" {
				d, err := time.ParseDuration(v + "s")
				if err != nil {
					t.Errorf("%s: grace: %v", path, err)
				}
				grace = d
			}
			if !slices.Contains([]string{"service", "input", "filter", "output"}, s.kind) || s.kind != "service" && s.get("name") == "" {
				t.Errorf("%s: unexpected section; got %s %s", path, s.kind, s.get("name"))
			}
		}
		for _, s := range list {
			if s.kind != "output" || s.get("name") != "kpl" {
				continue
			}
			outputs++
			if cfg := checkOutput(t, path, s.vals()); cfg.FlushTimeout >= grace {
				t.Errorf("%s: unexpected flush_timeout; got %s; want less than grace, %s", path, cfg.FlushTimeout, grace)
			}
		}
		if outputs != wantOutputs {
			t.Errorf("%s: unexpected number of outputs; got %d; want %d", path, outputs, wantOutputs)
		}
	}
}

func TestTaskDefinition(t *testing.T) {
	for name, combine := range map[string]string{"ecs/task-definition.json": "off", "combine/task-definition.json": "lines"} {
		t.Run(name, func(t *testing.T) { checkTask(t, name, combine) })
	}
}

func checkTask(t *testing.T, name, combine string) {
	t.Helper()
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
	if err := json.Unmarshal([]byte(strings.Join(read(t, name), "\n")), &task); err != nil {
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
		cfg := checkOutput(t, name, vals)
		if cfg.FlushTimeout >= 30*time.Second {
			t.Errorf("unexpected flush_timeout; got %s; want less than 30 s", cfg.FlushTimeout)
		}
		if got := vals["combine"]; cmp.Or(got, "off") != combine {
			t.Errorf("unexpected combine; got %q; want %s", got, combine)
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
