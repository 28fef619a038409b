// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"strings"
	"time"

	"github.com/outkpl/outkpl/core/metrics"
)

// Metrics says what is measured, and where it goes.
type Metrics struct {
	Level               string
	Granularity         string
	Prometheus          bool
	CloudWatch          bool
	CloudWatchNamespace string
	CloudWatchInterval  time.Duration
	CloudWatchEndpoint  string
	DogStatsD           string
	DogStatsDTags       []string
}

// Config returns level and granularity for the sinks; on is false if nothing is to be
// measured.
func (m *Metrics) Config() (c metrics.Config, on bool, err error) {
	return metrics.ParseConfig(m.Level, m.Granularity)
}

var metricsOptions = []Option{
	{Key: "metrics.level", Default: "detailed", Enum: []string{"none", "summary", "detailed"},
		Doc:   "How much of the producer is measured; see docs/metrics.md. none: nothing, and only what the server itself counts is shown.",
		field: func(c *Config) any { return &c.Metrics.Level }},
	{Key: "metrics.granularity", Default: "shard", Enum: []string{"global", "stream", "shard"},
		Doc:   "Finest dimension of the producer's metrics. With several hundred shards, stream keeps the number of series small.",
		field: func(c *Config) any { return &c.Metrics.Granularity }},
	{Key: "metrics.prometheus", Kind: KindBool, Default: "true",
		Doc:   "Serve /metrics on server.admin_listen.",
		field: func(c *Config) any { return &c.Metrics.Prometheus }},
	{Key: "metrics.cloudwatch", Kind: KindBool, Default: "false",
		Doc:   "Upload the producer's metrics to CloudWatch, under the names of the Kinesis Producer Library. Needs cloudwatch:PutMetricData; each series costs money.",
		field: func(c *Config) any { return &c.Metrics.CloudWatch }},
	{Key: "metrics.cloudwatch_namespace", Default: "KinesisProducerLibrary", Form: "1 to 255 printable ASCII characters, not beginning with AWS/ or :", check: checkNamespace,
		Doc:   "Namespace of the metrics in CloudWatch.",
		field: func(c *Config) any { return &c.Metrics.CloudWatchNamespace }},
	{Key: "metrics.cloudwatch_interval", Kind: KindDuration, Default: "60s", Min: sec, Max: hour,
		Doc:   "Time between two uploads to CloudWatch, in whole seconds.",
		field: func(c *Config) any { return &c.Metrics.CloudWatchInterval }},
	{Key: "metrics.cloudwatch_endpoint", Form: "host, host:port or URL", check: checkEndpoint,
		Doc:   "Address of the CloudWatch API instead of the region's. Without a scheme https is used.",
		field: func(c *Config) any { return &c.Metrics.CloudWatchEndpoint }},
	{Key: "metrics.dogstatsd", Form: "host:port, unix:///path, or env for what DD_AGENT_HOST and DD_DOGSTATSD_URL say", check: checkDogStatsD,
		Doc:   "Send the producer's metrics to the Datadog Agent there.",
		field: func(c *Config) any { return &c.Metrics.DogStatsD }},
	{Key: "metrics.dogstatsd_tags", Kind: KindList, Form: "tags such as env:prod",
		Doc:   "Tags on all metrics that go to the Datadog Agent.",
		field: func(c *Config) any { return &c.Metrics.DogStatsDTags }},
}

func checkNamespace(s string) error {
	if len(s) > 255 || strings.HasPrefix(s, "AWS/") || strings.HasPrefix(s, ":") {
		return errors.New("not a namespace")
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return errors.New("not printable ASCII")
		}
	}
	return nil
}

func checkDogStatsD(s string) error {
	if s == "env" || strings.HasPrefix(s, "unix:///") {
		return nil
	}
	return checkAddress(s)
}

func (c *Config) checkMetrics(bad func(key, format string, args ...any)) {
	m := &c.Metrics
	if m.CloudWatchInterval%time.Second != 0 {
		bad("metrics.cloudwatch_interval", "value %s is not a whole number of seconds", m.CloudWatchInterval)
	}
	if m.CloudWatchNamespace == "" {
		bad("metrics.cloudwatch_namespace", "value \"\" is empty; want a namespace")
	}
	if m.Level == "none" && (m.CloudWatch || m.DogStatsD != "") {
		bad("metrics.level", "value none leaves nothing for metrics.cloudwatch and metrics.dogstatsd; want summary or detailed, or neither of them")
	}
}
