// SPDX-License-Identifier: Apache-2.0

package metrics

import "github.com/outkpl/outkpl/core"

// rules is a Config made quick to ask.
type rules struct {
	kept   [256]bool
	finest [256]core.Granularity
}

func (r *rules) set(c Config) {
	for _, m := range core.Metrics() {
		r.kept[m] = c.Keeps(m)
		r.finest[m] = c.GranularityOf(m)
	}
}

func (r *rules) keeps(m core.Metric) bool { return r.kept[m] }

// fold clears the dimensions that are not reported, or that the metric has not:
// the caller may give more than that.
func (r *rules) fold(m core.Metric, stream, shard, code *string) {
	g := r.finest[m]
	if g < core.GranularityShard {
		*shard = ""
	}
	if g < core.GranularityStream {
		*stream = ""
	}
	if m != core.MetricErrorsByCode {
		*code = ""
	}
}
