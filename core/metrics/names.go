// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"strings"

	"github.com/outkpl/outkpl/core"
)

// SnakeName returns the name of a metric in snake case: "user_records_put".
func SnakeName(m core.Metric) string {
	var b strings.Builder
	for i, r := range m.String() {
		if r >= 'A' && r <= 'Z' {
			if i > 0 {
				b.WriteByte('_')
			}
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Outcomes returns the words for the data points 1 and 0 of metrics that count
// successes and failures in one: the sum is the successes, the count less the sum
// the failures. For other metrics ok is false.
func Outcomes(m core.Metric) (one, zero string, ok bool) {
	switch m {
	case core.MetricUserRecordsPut:
		return "confirmed", "failed", true
	case core.MetricKinesisRecordsPut:
		return "stored", "refused", true
	default: // the others have no two results
	}
	return "", "", false
}

// Bounds returns upper bounds for the classic buckets of a distribution, in
// seconds where that is a time.
func Bounds(m core.Metric) []float64 {
	switch m {
	case core.MetricRequestTime: // up to the default time-out of a request
		return []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
	case core.MetricBufferingTime: // 0.1 s is the default of WithMaxBufferedTime
		return []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300}
	case core.MetricAggregateFill:
		return []float64{0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1}
	case core.MetricRetriesPerRecord:
		return []float64{0, 1, 2, 3, 5, 10, 30, 100}
	case core.MetricKinesisRecordsPerPutRecordsRequest: // a request takes 500
		return []float64{1, 2, 5, 10, 25, 50, 100, 250, 500}
	default: // user records
		return []float64{1, 5, 10, 50, 100, 500, 1000, 5000, 10_000, 50_000}
	}
}
