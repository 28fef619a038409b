// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
)

// Name returns the name a metric has in Prometheus.
func Name(m core.Metric) string {
	info := m.Info()
	name := "kpl_" + metrics.SnakeName(m)
	switch m {
	case core.MetricBufferedBytes, core.MetricShardQueuedBytes: // the unit is in the name
	default:
		switch info.Unit {
		case "Bytes":
			name += "_bytes"
		case "Milliseconds":
			name += "_seconds"
		case "Ratio":
			name += "_ratio"
		}
	}
	if info.Kind == core.Counter {
		name += "_total"
	}
	return name
}

// labels returns the labels of a metric.
func labels(m core.Metric, c metrics.Config) []string {
	var list []string
	g := c.GranularityOf(m)
	if g >= core.GranularityStream {
		list = append(list, "stream")
	}
	if g >= core.GranularityShard {
		list = append(list, "shard")
	}
	if m == core.MetricErrorsByCode {
		list = append(list, "code")
	}
	if _, _, ok := metrics.Outcomes(m); ok {
		list = append(list, "result")
	}
	return list
}
