// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"strings"
	"time"

	"github.com/outkpl/outkpl/core/metrics"
	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/option/table"
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

var sinkOptions = []Option{
	{
		Spec: option.Spec{
			Name: "metrics.prometheus", Kind: option.Bool, Default: "true",
			Doc: "Serve /metrics on server.admin_listen.",
		},
		Field: func(c *Config) any { return &c.Metrics.Prometheus },
	},
	{
		Spec: option.Spec{
			Name: "metrics.cloudwatch", Kind: option.Bool, Default: "false",
			Doc: "Upload the producer's metrics to CloudWatch, under the names of the Kinesis Producer Library. Needs cloudwatch:PutMetricData; each series costs money.",
		},
		Field: func(c *Config) any { return &c.Metrics.CloudWatch },
	},
	{
		Spec: option.Spec{
			Name: "metrics.cloudwatch_namespace", Default: "KinesisProducerLibrary", Form: "1 to 255 printable ASCII characters, not beginning with AWS/ or :", Check: checkNamespace,
			Doc: "Namespace of the metrics in CloudWatch.",
		},
		Field: func(c *Config) any { return &c.Metrics.CloudWatchNamespace },
	},
	{
		Spec: option.Spec{
			Name: "metrics.cloudwatch_interval", Kind: option.Duration, Default: "60s", Min: sec, Max: hour,
			Doc: "Time between two uploads to CloudWatch, in whole seconds.",
		},
		Field: func(c *Config) any { return &c.Metrics.CloudWatchInterval },
	},
	{
		Spec: option.Spec{
			Name: "metrics.cloudwatch_endpoint", Form: table.EndpointForm, Check: table.CheckEndpoint,
			Doc: "Address of the CloudWatch API instead of the region's. Without a scheme https is used.",
		},
		Field: func(c *Config) any { return &c.Metrics.CloudWatchEndpoint },
	},
	{
		Spec: option.Spec{
			Name: "metrics.dogstatsd", Form: "host:port, unix:///path, or env for what DD_AGENT_HOST and DD_DOGSTATSD_URL say", Check: checkDogStatsD,
			Doc: "Send the producer's metrics to the Datadog Agent there.",
		},
		Field: func(c *Config) any { return &c.Metrics.DogStatsD },
	},
	{
		Spec: option.Spec{
			Name: "metrics.dogstatsd_tags", Kind: option.List, Form: "tags such as env:prod",
			Doc: "Tags on all metrics that go to the Datadog Agent.",
		},
		Field: func(c *Config) any { return &c.Metrics.DogStatsDTags },
	},
}

func metricsOptions() []Option {
	part := func(c *Config) *table.Metrics {
		return &table.Metrics{Level: &c.Metrics.Level, Granularity: &c.Metrics.Granularity}
	}
	shared := option.With(option.Of("metrics.", part, table.MetricsOptions()), option.Spec{
		Name: "metrics.level",
		Doc:  "How much of the producer is measured; see docs/metrics.md. none: nothing, and only what the server itself counts is shown.",
	})
	return append(shared, sinkOptions...)
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

func (c *Config) checkMetrics(bad badFunc) {
	m := &c.Metrics
	if m.CloudWatchInterval%time.Second != 0 {
		bad("metrics.cloudwatch_interval", option.FormatDuration(m.CloudWatchInterval), "not a whole number of seconds", "")
	}
	if m.CloudWatchNamespace == "" {
		bad("metrics.cloudwatch_namespace", "", "empty", "a namespace")
	}
	if m.Level == "none" && (m.CloudWatch || m.DogStatsD != "") {
		bad("metrics.level", "none", "leaves nothing for metrics.cloudwatch and metrics.dogstatsd", "summary or detailed, or neither of them")
	}
}
