// SPDX-License-Identifier: Apache-2.0

package table

import "github.com/outkpl/outkpl/internal/option"

// Combine has pointers to the settings of records that hold many events.
type Combine struct {
	Form        *string
	Size, Count *int
}

// CombineOptions is the table of the options of records that hold many events.
func CombineOptions() []option.Option[Combine] {
	return []option.Option[Combine]{
		{
			Spec: option.Spec{
				Name: "combine", Default: "off", Enum: []string{"off", "lines", "json_array"}, Off: "off",
				Doc: "Make one record of the events of a chunk or body that have stream and partition key in common, in their order; without a key, of all of them. Consumers have to split records into events, see consumers.md.",
			},
			Field: func(c *Combine) any { return c.Form },
		},
		{
			Spec: option.Spec{
				Name: "combine_size", Kind: option.Size, Default: "0", Min: 1 << 10, Max: 10 * mib, ZeroMeans: "256 KiB, or 1 MiB where each record is a Kinesis record of its own",
				Doc: "Most bytes of the events of a record, before compression. A larger event is a record of its own.",
			},
			Field: func(c *Combine) any { return c.Size },
		},
		{
			Spec: option.Spec{
				Name: "combine_count", Kind: option.Int, Default: "0", Min: 1, Max: 1_000_000, ZeroMeans: "no bound",
				Doc: "Most events of a record.",
			},
			Field: func(c *Combine) any { return c.Count },
		},
	}
}
