// SPDX-License-Identifier: Apache-2.0

package table

import "github.com/outkpl/outkpl/internal/option"

// DeadLetter has pointers to the settings of a file for dead letters.
type DeadLetter struct {
	File       *string
	MaxBytes   *int64
	MaxFiles   *int
	DropOldest *bool
}

// DeadLetterOptions is the table of the options of a file for dead letters.
func DeadLetterOptions() []option.Option[DeadLetter] {
	return []option.Option[DeadLetter]{
		{
			Spec: option.Spec{
				Name: "file", Form: "path; the folder must exist",
				Doc: "File that keeps what can never be delivered: one JSON object a line, with the event, the reason and all attempts.",
			},
			Field: func(d *DeadLetter) any { return d.File },
		},
		{
			Spec: option.Spec{
				Name: "max_size", Kind: option.Size, Default: "268435456", Min: mib, Max: 1 << 40,
				Doc: "Size at which a new dead letter file is begun.",
			},
			Field: func(d *DeadLetter) any { return d.MaxBytes },
		},
		{
			Spec: option.Spec{
				Name: "max_files", Kind: option.Int, Default: "16", Min: 1, Max: 100_000,
				Doc: "Full dead letter files that are kept.",
			},
			Field: func(d *DeadLetter) any { return d.MaxFiles },
		},
		{
			Spec: option.Spec{
				Name: "drop_oldest", Kind: option.Bool, Default: "false",
				Doc: "Delete the oldest full dead letter file instead of waiting. That loses its events.",
			},
			Field: func(d *DeadLetter) any { return d.DropOldest },
		},
	}
}

// Metrics has pointers to the settings of what is measured.
type Metrics struct{ Level, Granularity *string }

// MetricsOptions is the table of what is measured.
func MetricsOptions() []option.Option[Metrics] {
	return []option.Option[Metrics]{
		{
			Spec: option.Spec{
				Name: "level", Default: "detailed", Enum: []string{"none", "summary", "detailed"},
				Doc: "How much of the producer is measured; see docs/metrics.md.",
			},
			Field: func(m *Metrics) any { return m.Level },
		},
		{
			Spec: option.Spec{
				Name: "granularity", Default: "shard", Enum: []string{"global", "stream", "shard"},
				Doc: "Finest label of the metrics of the producer. With several hundred shards, stream keeps the number of series small.",
			},
			Field: func(m *Metrics) any { return m.Granularity },
		},
	}
}
