// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"errors"
	"fmt"

	"github.com/outkpl/outkpl/core"
)

// Config says what is reported. The zero Config reports everything, as the KPL
// does by default: detailed metrics, per shard. In any other Config both fields
// mean what they say, so {Level: core.LevelSummary} alone means sums over all
// streams.
type Config struct {
	// Level: metrics above it are dropped.
	Level core.MetricLevel
	// Granularity: dimensions finer than it are folded. Error codes are kept
	// at every granularity, as by the KPL.
	Granularity core.Granularity
}

// ParseConfig reads a level ("none", "summary" or "detailed") and a granularity
// ("global", "stream" or "shard"), the words of the KPL's settings MetricsLevel
// and MetricsGranularity. Empty means detailed and shard. For the level "none"
// it returns on as false: give core no observer then.
func ParseConfig(level, granularity string) (c Config, on bool, err error) {
	var errs []error
	switch level {
	case "", "detailed":
		c.Level = core.LevelDetailed
	case "summary":
		c.Level = core.LevelSummary
	case "none":
	default:
		errs = append(errs, fmt.Errorf("metrics level %q; want none, summary or detailed", level))
	}
	switch granularity {
	case "", "shard":
		c.Granularity = core.GranularityShard
	case "stream":
		c.Granularity = core.GranularityStream
	case "global":
		c.Granularity = core.GranularityGlobal
	default:
		errs = append(errs, fmt.Errorf("metrics granularity %q; want global, stream or shard", granularity))
	}
	if err := errors.Join(errs...); err != nil {
		return Config{}, false, fmt.Errorf("cannot configure metrics: %w", err)
	}
	return c, c.Level != core.LevelNone, nil
}

// OrDefault returns the Config that the zero Config stands for, or c.
func (c Config) OrDefault() Config {
	if c == (Config{}) {
		return Config{Level: core.LevelDetailed, Granularity: core.GranularityShard}
	}
	return c
}

// Keeps says whether a metric is reported at all.
func (c Config) Keeps(m core.Metric) bool { return m.Info().Level <= c.OrDefault().Level }

// GranularityOf returns the finest dimension a metric is reported with.
func (c Config) GranularityOf(m core.Metric) core.Granularity {
	return min(m.Info().Granularity, c.OrDefault().Granularity)
}
