// SPDX-License-Identifier: Apache-2.0

package plugin

var metricsOptions = []Option{
	{
		Name: "metrics_level", Default: "summary", Range: "none, summary or detailed",
		Description: "How much of the metrics kpl_* shows beside the host's own, for instance at /api/v2/metrics/prometheus.",
		Details: "`summary` reads counters and gauges that exist anyway and costs nothing for each event. `detailed` adds histograms and error codes, at a small " +
			"cost for each event. Hosts that do not export their metrics functions show none.",
		parse: choiceOption(func(c *Config) *string { return &c.metricsLevel }, "none", "summary", "detailed"),
	},
	{
		Name: "metrics_granularity", Default: "stream", Range: "global, stream or shard",
		Description: "Finest label of the metrics. With shard and metrics_level detailed there is a series for each shard.",
		parse:       choiceOption(func(c *Config) *string { return &c.metricsGranularity }, "global", "stream", "shard"),
	},
}
