// SPDX-License-Identifier: Apache-2.0

package otel

import (
	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
)

// Name returns the name of the instrument of a metric.
func Name(m core.Metric) string { return "kpl." + metrics.SnakeName(m) }

// Unit returns the unit of the instrument of a metric, in UCUM.
func Unit(m core.Metric) string {
	switch m.Info().Unit {
	case "Bytes":
		return "By"
	case "Milliseconds":
		return "s"
	case "Ratio":
		return "1"
	}
	switch m {
	case core.MetricErrorsByCode, core.MetricAllErrors:
		return "{error}"
	case core.MetricRetriesPerRecord:
		return "{retry}"
	case core.MetricPutPayloadUnits, core.MetricPutPayloadUnitsSaved:
		return "{unit}"
	case core.MetricShardMapRefreshes:
		return "{refresh}"
	case core.MetricLedgerHits:
		return "{hit}"
	default: // the unit is that of the metric
	}
	return "{record}"
}
