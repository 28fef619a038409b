// SPDX-License-Identifier: Apache-2.0

package dogstatsd

import (
	"strings"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
)

// Name returns the name a metric has in Datadog.
func Name(m core.Metric) string { return "kpl." + metrics.SnakeName(m) }

// clean takes out what ends a tag.
var clean = strings.NewReplacer(",", "_", "|", "_", "\n", "_")

func tags(stream, shard, code, result string) []string {
	var list []string
	for _, t := range [...]struct{ name, value string }{{"stream:", stream}, {"shard:", shard}, {"error_code:", code}, {"result:", result}} {
		if t.value != "" {
			list = append(list, t.name+clean.Replace(t.value))
		}
	}
	return list
}
