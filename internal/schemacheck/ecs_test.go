// SPDX-License-Identifier: Apache-2.0

package schemacheck

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Options that are maps of strings in the API. Those of awsfirelens are the plugin's,
// which internal/shipcheck looks at.
// Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_LogConfiguration.html
// and .../API_FirelensConfiguration.html (not checked).
var (
	awslogsOptions = []string{
		"awslogs-create-group", "awslogs-region", "awslogs-group", "awslogs-stream-prefix", "awslogs-datetime-format",
		"awslogs-multiline-pattern", "mode", "max-buffer-size",
	}
	firelensOptions = []string{"enable-ecs-log-metadata", "config-file-type", "config-file-value"}
)

// taskProblems reads a task definition into the types of the SDK; they know no other fields.
func taskProblems(data []byte) (problems []string) {
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	var task types.TaskDefinition
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&task); err != nil {
		return []string{err.Error()}
	}
	if task.Revision != 0 || task.Status != "" || task.TaskDefinitionArn != nil || task.Compatibilities != nil || task.RegisteredAt != nil {
		bad("a field that only answers have")
	}
	known := func(what string, ok bool) {
		if !ok {
			bad("unexpected %s", what)
		}
	}
	known("networkMode", slices.Contains(task.NetworkMode.Values(), task.NetworkMode))
	for _, c := range task.RequiresCompatibilities {
		known("requiresCompatibilities", slices.Contains(c.Values(), c))
	}
	if p := task.RuntimePlatform; p == nil {
		bad("no runtimePlatform")
	} else {
		known("cpuArchitecture", slices.Contains(p.CpuArchitecture.Values(), p.CpuArchitecture))
		known("operatingSystemFamily", slices.Contains(p.OperatingSystemFamily.Values(), p.OperatingSystemFamily))
	}
	for _, c := range task.ContainerDefinitions {
		for _, d := range c.DependsOn {
			known("condition", slices.Contains(d.Condition.Values(), d.Condition))
		}
		if f := c.FirelensConfiguration; f != nil {
			known("type of firelensConfiguration", slices.Contains(f.Type.Values(), f.Type))
			for k := range f.Options {
				known("option of firelensConfiguration "+k, slices.Contains(firelensOptions, k))
			}
		}
		l := c.LogConfiguration
		if l == nil || c.Name == nil || c.Image == nil || c.Memory == nil || c.Cpu == 0 {
			bad("a container without name, image, memory, cpu or logConfiguration")
			continue
		}
		known("logDriver", slices.Contains(l.LogDriver.Values(), l.LogDriver))
		for k := range l.Options {
			known("option of awslogs "+k, l.LogDriver != types.LogDriverAwslogs || slices.Contains(awslogsOptions, k))
		}
	}
	return problems
}

func TestTaskDefinition(t *testing.T) {
	for _, folder := range []string{"ecs", "combine"} {
		for _, p := range taskProblems(file(t, root, "conf", folder, "task-definition.json")) {
			t.Errorf("conf/%s: %s", folder, p)
		}
	}
}

func TestBrokenTaskDefinitionsAreNoticed(t *testing.T) {
	good := string(file(t, root, "conf", "ecs", "task-definition.json"))
	for old, broken := range map[string]string{
		`"cpu"`: `"cpus"`, `"memory": 384`: `"memry": 384`, `"awsvpc"`: `"awsvcp"`, `"FARGATE"`: `"FARGET"`, `"ARM64"`: `"ARM46"`, `"START"`: `"STARTED"`, `"stopTimeout"`: `"stopTime"`,
		"config-file-type": "config-type", "awslogs-stream-prefix": "awslogs-prefix", `"awslogs",`: `"awslog",`, `"fluentbit"`: `"fluent-bit"`, `"condition"`: `"when"`,
	} {
		text := strings.Replace(good, old, broken, 1)
		if text == good || len(taskProblems([]byte(text))) == 0 {
			t.Errorf("%s instead of %s was not noticed", broken, old)
		}
	}
}
