// SPDX-License-Identifier: Apache-2.0

package cloudwatch

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
	"github.com/outkpl/outkpl/internal/plural"
)

// DefaultNamespace is the namespace of the KPL.
const DefaultNamespace = "KinesisProducerLibrary"

// Config configures a Sink. The zero Config is what the KPL does.
type Config struct {
	metrics.Config
	// Namespace of the metrics, empty means DefaultNamespace. Up to 255 ASCII
	// characters, not beginning with "AWS/" or ":".
	Namespace string
	// Interval between uploads, whole seconds from 1 s to 1 h, 0 means 60 s (the
	// KPL's MetricsUploadDelay). CloudWatch keeps one value a minute.
	Interval time.Duration
	// Dimensions are added to the path, the KPL's extra dimensions. At most 27,
	// which leaves room for the three that the metrics have.
	Dimensions []Dimension
	// StatisticSets sends distributions as count, sum, minimum and maximum, too,
	// as the KPL does: smaller requests, no percentiles.
	StatisticSets bool
	// MaxSeries bounds the series of one upload, without the sums over them; 0
	// means 10000.
	MaxSeries int
	// MaxPending is how many uploads that failed are kept apart, 1 to 1000, 0
	// means 5. Beyond it the oldest are summed up, so no data point is lost.
	MaxPending int
	// RequestTimeout bounds one call of PutMetricData, retries of the client
	// included; 1 s to 5 min, 0 means 20 s.
	RequestTimeout time.Duration
	// Logger gets a line when failures begin and one when they end; nil for none.
	Logger *slog.Logger
}

// Dimension is a dimension with a fixed value, such as the host.
type Dimension struct {
	// Name of up to 255, Value of up to 1024 printable ASCII characters; the
	// name must not begin with ":" and neither may be blank.
	Name, Value string
	// Granularity is the place in the path: before the error code, after the
	// stream or after the shard. It is left out at a coarser Config.Granularity.
	Granularity core.Granularity
}

// Limits of PutMetricData. Source: the API reference of PutMetricData, MetricDatum
// and Dimension (checked 2026-11-24).
const (
	maxData       = 1000
	maxValues     = 150
	maxDimensions = 30
	// Characters of the value of a dimension.
	maxValueLength = 1024
	// A request may have 1 MB after compression. What is counted here is before
	// it, roughly, so a margin is left.
	maxBytes = 800_000
	maxValue = 0x1p360
)

func (c *Config) fill() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Namespace == "" {
		c.Namespace = DefaultNamespace
	}
	if len(c.Namespace) > 255 || !printable(c.Namespace) || strings.HasPrefix(c.Namespace, "AWS/") || c.Namespace[0] == ':' {
		bad("namespace %q; want up to 255 printable ASCII characters, not beginning with AWS/ or a colon", c.Namespace)
	}
	duration := func(name string, d *time.Duration, def, lo, hi time.Duration) {
		if *d == 0 {
			*d = def
		}
		if *d < lo || *d > hi {
			bad("%s %v; want %v to %v", name, *d, lo, hi)
		}
	}
	duration("interval", &c.Interval, time.Minute, time.Second, time.Hour)
	duration("request time-out", &c.RequestTimeout, 20*time.Second, time.Second, 5*time.Minute)
	if c.MaxPending == 0 {
		c.MaxPending = 5
	}
	if c.MaxPending < 1 || c.MaxPending > 1000 {
		bad("pending uploads %d; want 1 to 1000", c.MaxPending)
	}
	if c.MaxSeries < 0 {
		bad("series %d; want 0 or more", c.MaxSeries)
	}
	if n := len(c.Dimensions); n > maxDimensions-3 {
		bad("%s; want up to %d", plural.Count(n, "dimension"), maxDimensions-3)
	}
	seen := map[string]bool{"StreamName": true, "ShardId": true, "ErrorCode": true}
	for _, d := range c.Dimensions {
		if !validDimension(d.Name, 255) || d.Name[0] == ':' || !validDimension(d.Value, maxValueLength) {
			bad("dimension %q=%q; want printable ASCII, up to 255 and 1024 characters, not blank", d.Name, d.Value)
		}
		if seen[d.Name] {
			bad("dimension %q is there twice or is one of the metrics' own", d.Name)
		}
		seen[d.Name] = true
		if d.Granularity > core.GranularityShard {
			bad("granularity %d of dimension %q; want global, stream or shard", d.Granularity, d.Name)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cannot configure the CloudWatch sink: %w", err)
	}
	c.Config = c.OrDefault()
	return nil
}

func validDimension(s string, limit int) bool {
	return strings.TrimSpace(s) != "" && len(s) <= limit && printable(s)
}

func printable(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}
