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
	}
	return "", "", false
}
