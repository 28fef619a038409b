// SPDX-License-Identifier: Apache-2.0

package table

import (
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/option"
)

const (
	mib = 1 << 20
	gib = 1 << 30

	msec = int64(time.Millisecond)
	sec  = int64(time.Second)
	min1 = int64(time.Minute)
	hour = int64(time.Hour)
)

// Producer holds the settings of package core.
type Producer struct {
	Aggregation          bool
	AggregationMaxBytes  int
	AggregationGrowBytes int
	AggregationMaxCount  int
	MaxBufferedTime      time.Duration
	Linger               time.Duration
	CollectionMaxBytes   int
	CollectionMaxCount   int
	MaxInFlight          int
	RequestTimeout       time.Duration
	VerifyUncertain      bool
	VerifyTime           time.Duration
	VerifyCalls          int
	VerifyMemory         int
	RateLimit            int
	AdaptiveRate         bool
	ShardRecords         int
	ShardBytes           int
	Ordering             string
	Distribution         string
	MaxStreams           int
	StreamIdle           time.Duration
	DescribeInterval     time.Duration
	FailIfThrottled      bool
	RecordTTL            time.Duration
	RetryBackoffMin      time.Duration
	RetryBackoffMax      time.Duration
	BufferBytes          int
	BufferRecords        int
}

// Strict is the value of Producer.Ordering that keeps order.
const Strict = "strict"

// Options returns the settings as options of core.New.
func (p *Producer) Options() []core.Option {
	ordering := core.OrderingNone
	if p.Ordering == Strict {
		ordering = core.OrderingStrict
	}
	distribution := map[string]core.RecordDistribution{"by_key": core.DistributionByKey, "auto": core.DistributionAuto}[p.Distribution]
	return []core.Option{
		core.WithOrdering(ordering),
		core.WithDistribution(distribution),
		core.WithAdaptiveRate(p.AdaptiveRate),
		core.WithShardLimit(p.ShardRecords, p.ShardBytes),
		core.WithMaxStreams(p.MaxStreams),
		core.WithStreamIdle(p.StreamIdle),
		core.WithDescribeInterval(p.DescribeInterval),
		core.WithAggregation(p.Aggregation),
		core.WithAggregationMaxBytes(p.AggregationMaxBytes),
		core.WithAggregationGrowBytes(p.AggregationGrowBytes),
		core.WithAggregationMaxCount(p.AggregationMaxCount),
		core.WithMaxBufferedTime(p.MaxBufferedTime),
		core.WithLinger(p.Linger),
		core.WithCollectionMaxBytes(p.CollectionMaxBytes),
		core.WithCollectionMaxCount(p.CollectionMaxCount),
		core.WithMaxInFlight(p.MaxInFlight),
		core.WithRequestTimeout(p.RequestTimeout),
		core.WithVerifyUncertain(p.VerifyUncertain),
		core.WithVerifyLimits(p.VerifyTime, p.VerifyCalls, p.VerifyMemory),
		core.WithRateLimit(p.RateLimit),
		core.WithFailIfThrottled(p.FailIfThrottled),
		core.WithRecordTTL(p.RecordTTL),
		core.WithRetryBackoff(p.RetryBackoffMin, p.RetryBackoffMax),
		core.WithBufferBytes(p.BufferBytes),
		core.WithBufferRecords(p.BufferRecords),
	}
}

// CheckLinger returns the problem of a wait that takes too much of the time in which a
// receiver has to answer, which the option of that name says.
func (p *Producer) CheckLinger(prefix, answer string, within time.Duration) (problems []*option.Problem) {
	if p.Linger > within/4 {
		problems = append(problems, option.Wrong(prefix+"linger", option.FormatDuration(p.Linger), "is above a quarter of "+answer,
			"at most "+option.FormatDuration(within/4)))
	}
	return problems
}

// Check returns the problems of settings that do not go with each other. prefix is that of the
// names.
func (p *Producer) Check(prefix string) (problems []*option.Problem) {
	if p.RetryBackoffMin > p.RetryBackoffMax {
		problems = append(problems, option.Wrong(prefix+"retry_backoff_min", option.FormatDuration(p.RetryBackoffMin),
			"is above "+prefix+"retry_backoff_max", "at most "+option.FormatDuration(p.RetryBackoffMax)))
	}
	return problems
}

// ProducerOptions is the table of the producer's options.
func ProducerOptions() []option.Option[Producer] {
	const rateAlone = "rate_limit alone counts"
	return []option.Option[Producer]{
		{
			Spec: option.Spec{
				Name: "aggregation", Kind: option.Bool, Default: "true", Hints: []string{"aggregate", "aggregation_enabled"},
				Doc:    "Pack many events into one Kinesis record, in the format of the Kinesis Producer Library. Consumers need KCL or a de-aggregation library.",
				PeerGo: "off by default; only `true` switches it on; mixes up keys",
			},
			Field: func(p *Producer) any { return &p.Aggregation },
		},
		{
			Spec: option.Spec{
				Name: "aggregation_max_size", Kind: option.Size, Default: "51200", Min: 64, Max: mib, Hints: []string{"aggregation_size"},
				Doc: "Largest aggregate. Multiples of 25600, the billing unit, cost least.", PeerGo: "no option, 1 MiB",
			},
			Field: func(p *Producer) any { return &p.AggregationMaxBytes },
		},
		{
			Spec: option.Spec{
				Name: "aggregation_grow_size", Kind: option.Size, Default: "512000", Max: mib, ZeroMeans: "never",
				Doc: "How far an aggregate of large events goes on beyond aggregation_max_size to fill the billing units that it is charged for.",
			},
			Field: func(p *Producer) any { return &p.AggregationGrowBytes },
		},
		{
			Spec: option.Spec{
				Name: "aggregation_max_count", Kind: option.Int, Default: "1048576", Min: 1, Max: 1 << 20,
				Doc: "Most events in one aggregate.",
			},
			Field: func(p *Producer) any { return &p.AggregationMaxCount },
		},
		{
			Spec: option.Spec{
				Name: "max_buffered_time", Kind: option.Duration, Default: "100ms", Min: msec, Max: min1, ZeroMeans: "no wait", Hints: []string{"record_max_buffered_time"},
				Doc: "How long an event may wait for others to share a Kinesis record with. It is not waited for when no more can come.",
			},
			Field: func(p *Producer) any { return &p.MaxBufferedTime },
		},
		{
			Spec: option.Spec{
				Name: "linger", Kind: option.Duration, Default: "auto", Min: msec, Max: min1, ZeroMeans: "no wait",
				AutoMeans: "as long as it fills records, at most 200ms", Hints: []string{"linger_ms", "linger.ms"},
				Doc: "How long a Kinesis record that is not full waits for events of others although all senders wait for their outcome. It waits only if others can be expected, so a lone sender never does.",
			},
			Field: func(p *Producer) any { return &p.Linger },
		},
		{
			Spec: option.Spec{
				Name: "collection_max_count", Kind: option.Int, Default: "500", Min: 1, Max: 500,
				Doc: "Most Kinesis records in one request.", PeerC: "no option, 500", PeerGo: "no option, 500",
			},
			Field: func(p *Producer) any { return &p.CollectionMaxCount },
		},
		{
			Spec: option.Spec{
				Name: "collection_max_size", Kind: option.Size, Default: "1048576", Min: 52224, Max: 10 * mib,
				Doc:   "Most bytes in one request. Small requests cost little more and keep memory and the price of a lost answer low.",
				PeerC: "no option, 10 MiB", PeerGo: "no option, 5 MiB",
			},
			Field: func(p *Producer) any { return &p.CollectionMaxBytes },
		},
		{
			Spec: option.Spec{
				Name: "max_in_flight", Kind: option.Int, Default: "16", Min: 1, Max: 256,
				Doc:   "Most requests under way at one time for one stream.",
				PeerC: "no option, one for each worker", PeerGo: "no option, one",
			},
			Field: func(p *Producer) any { return &p.MaxInFlight },
		},
		{
			Spec: option.Spec{
				Name: "request_timeout", Aliases: []string{"http_request_timeout"}, Kind: option.Duration, Default: "6s", Min: 100 * msec, Max: 10 * min1,
				Doc: "How long one call to Kinesis may take before it is given up and repeated.",
			},
			Field: func(p *Producer) any { return &p.RequestTimeout },
		},
		{
			Spec: option.Spec{
				Name: "verify_uncertain", Kind: option.Bool, Default: "false", Hints: []string{"read_back", "verify", "exactly_once"},
				Doc: "Read-back: look in the stream for events whose answer was lost before they are sent again, which is the end of most duplicates. Needs kinesis:GetRecords and kinesis:GetShardIterator, and aggregation. Nothing is read while no answer is lost.",
			},
			Field: func(p *Producer) any { return &p.VerifyUncertain },
		},
		{
			Spec: option.Spec{
				Name: "verify_uncertain_time", Kind: option.Duration, Default: "10s", Min: 2 * sec, Max: 10 * min1,
				Doc: "Longest time from the beginning of a request to the end of the search for its events, the request included. Then they are sent again, and may be stored twice.",
			},
			Field: func(p *Producer) any { return &p.VerifyTime },
		},
		{
			Spec: option.Spec{
				Name: "verify_uncertain_calls", Kind: option.Int, Default: "2", Min: 2, Max: 5,
				Doc: "Most reads of a shard in a second, each of 100 kB on average. A shard gives all its consumers together 5 reads and 2 MB in a second.",
			},
			Field: func(p *Producer) any { return &p.VerifyCalls },
		},
		{
			Spec: option.Spec{
				Name: "verify_uncertain_memory", Kind: option.Size, Default: "16777216", Min: 64 << 10, Max: 16 * gib,
				Doc: "Most bytes of records that are looked for at one time. Others are sent again at once. They are part of buffer_size.",
			},
			Field: func(p *Producer) any { return &p.VerifyMemory },
		},
		{
			Spec: option.Spec{
				Name: "rate_limit", Kind: option.Int, Default: "100", Min: 1, Max: 1_000_000,
				Doc: "Most of a shard's capacity to use, in percent. Above 100 throttles become routine.",
			},
			Field: func(p *Producer) any { return &p.RateLimit },
		},
		{
			Spec: option.Spec{
				Name: "adaptive_rate", Kind: option.Bool, Default: "true",
				Doc: "Lower the share of a shard when it throttles, and raise it again when events wait: other producers write to the same shards. Throttles that a lower rate does not lessen do not count.",
			},
			Field: func(p *Producer) any { return &p.AdaptiveRate },
		},
		{
			Spec: option.Spec{
				Name: "shard_limit_records", Aliases: []string{"shard_records_limit"}, Kind: option.Int, Default: "0", Min: 1, Max: 1_000_000_000, ZeroMeans: rateAlone,
				Doc: "Most Kinesis records for one shard in a second.",
			},
			Field: func(p *Producer) any { return &p.ShardRecords },
		},
		{
			Spec: option.Spec{
				Name: "shard_limit_bytes", Aliases: []string{"shard_bytes_limit"}, Kind: option.Size, Default: "0", Min: 1024, Max: 1_000_000_000_000, ZeroMeans: rateAlone,
				Doc: "Most bytes of data and keys for one shard in a second.",
			},
			Field: func(p *Producer) any { return &p.ShardBytes },
		},
		{
			Spec: option.Spec{
				Name: "ordering", Default: "none", Enum: []string{"none", Strict},
				Doc:   "Whether events with the same partition key keep their order. Strict has one Kinesis record under way for each shard.",
				PeerC: "no option, no order", PeerGo: "no option, no order",
			},
			Field: func(p *Producer) any { return &p.Ordering },
		},
		{
			Spec: option.Spec{
				Name: "distribution", Default: "detect", Enum: []string{"detect", "by_key", "auto"},
				Doc: "Who chooses the shard: the key, or Kinesis (record distribution strategy AUTO), which rules out aggregation. Detect finds out.",
				Details: "Set it where kinesis:DescribeStreamSummary is not allowed: finding out from answers costs some events that are written twice. " +
					"`by_key` on an AUTO stream writes most events several times.",
			},
			Field: func(p *Producer) any { return &p.Distribution },
		},
		{
			Spec: option.Spec{
				Name: "max_streams", Kind: option.Int, Default: "256", Min: 1, Max: 100_000,
				Doc: "Most streams in use at one time.",
			},
			Field: func(p *Producer) any { return &p.MaxStreams },
		},
		{
			Spec: option.Spec{
				Name: "describe_interval", Kind: option.Duration, Default: "10m", Min: 10 * sec, Max: 24 * hour,
				Doc: "How often DescribeStreamSummary is called for a stream in use, give or take a fifth: for its record limit and its record distribution strategy. The calls are limited to 20 a second for a whole account.",
			},
			Field: func(p *Producer) any { return &p.DescribeInterval },
		},
		{
			Spec: option.Spec{
				Name: "stream_idle", Kind: option.Duration, Default: "15m", Min: 10 * sec, Max: 24 * hour,
				Doc: "After what time without events a stream makes room for another one (see max_streams), and what is known of it is given up. The next event begins anew.",
			},
			Field: func(p *Producer) any { return &p.StreamIdle },
		},
		{
			Spec: option.Spec{
				Name: "fail_if_throttled", Kind: option.Bool, Default: "false",
				Doc: "Give throttled events back at once instead of waiting for room in the shard.",
			},
			Field: func(p *Producer) any { return &p.FailIfThrottled },
		},
		{
			Spec: option.Spec{
				Name: "record_ttl", Kind: option.Duration, Default: "0", Min: 100 * msec, Max: 24 * hour, ZeroMeans: "never",
				Hints: []string{"max_retries: records are retried until they are in; see record_ttl"},
				Doc:   "Give up on an event that is not confirmed this long after it was submitted.",
			},
			Field: func(p *Producer) any { return &p.RecordTTL },
		},
		{
			Spec: option.Spec{
				Name: "retry_backoff_min", Kind: option.Duration, Default: "100ms", Min: msec, Max: 5 * min1,
				Doc: "Longest wait before the first retry of a request; it doubles with each further one, and what is waited is a random part of it.",
			},
			Field: func(p *Producer) any { return &p.RetryBackoffMin },
		},
		{
			Spec: option.Spec{
				Name: "retry_backoff_max", Kind: option.Duration, Default: "5s", Min: msec, Max: 5 * min1,
				Doc: "Longest wait before any retry.",
			},
			Field: func(p *Producer) any { return &p.RetryBackoffMax },
		},
		{
			Spec: option.Spec{
				Name: "buffer_size", Kind: option.Size, Default: "67108864", Min: mib, Max: 16 * gib,
				Doc: "Most bytes of events that are under way, 128 bytes per event included.",
			},
			Field: func(p *Producer) any { return &p.BufferBytes },
		},
		{
			Spec: option.Spec{
				Name: "buffer_records", Kind: option.Int, Default: "1048576", Min: 1, Max: gib,
				Doc: "Most events that are under way.",
			},
			Field: func(p *Producer) any { return &p.BufferRecords },
		},
	}
}
