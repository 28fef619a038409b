// SPDX-License-Identifier: Apache-2.0

package core

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/outkpl/outkpl/internal/pace"
	"github.com/outkpl/outkpl/internal/remedy"
)

// Option changes one setting of a Producer. Options are made by the With
// functions of this package only.
type Option interface{ apply(*config) }

type optionFunc func(*config)

func (f optionFunc) apply(c *config) { f(c) }

// config has every setting; defaultConfig says what applies without options.
type config struct {
	// Aggregation.
	aggregation          bool
	aggregationMaxBytes  int
	aggregationGrowBytes int
	aggregationMaxCount  int
	maxBufferedTime      time.Duration
	linger               time.Duration

	// Requests.
	collectionMaxCount int
	collectionMaxBytes int
	maxInFlight        int
	requestTimeout     time.Duration

	distribution RecordDistribution
	ordering     Ordering

	// Read-back; see verify.go.
	verify       bool
	verifyTime   time.Duration
	verifyCalls  int // a second and shard
	verifyMemory int

	// Pace and retry.
	rateLimitPercent int
	shardRecords     int // a second, 0: as the percentage says
	shardBytes       int
	adaptiveRate     bool
	pace             pace.Limits // made of these by New
	failIfThrottled  bool
	recordTTL        time.Duration
	retryBackoffMin  time.Duration
	retryBackoffMax  time.Duration

	// Bounds.
	bufferBytes   int
	bufferRecords int
	maxStreams    int
	streamIdle    time.Duration
	describeEvery time.Duration

	defaultStream string
	logger        *slog.Logger
	names         remedy.Names // of options, in log lines
	observer      Observer
	onOutcomes    func([]Outcome)
	trace         Trace
	places        bool
}

func defaultConfig() config {
	return config{
		aggregation:          true,
		aggregationMaxBytes:  2 * PutPayloadUnit,
		aggregationGrowBytes: 20 * PutPayloadUnit,
		aggregationMaxCount:  1 << 20,
		maxBufferedTime:      100 * time.Millisecond,
		linger:               LingerAuto,
		collectionMaxCount:   maxRequestRecords,
		collectionMaxBytes:   1 << 20,
		maxInFlight:          16,
		requestTimeout:       6 * time.Second,
		rateLimitPercent:     100,
		adaptiveRate:         true,
		retryBackoffMin:      100 * time.Millisecond,
		retryBackoffMax:      5 * time.Second,
		bufferBytes:          64 << 20,
		bufferRecords:        1 << 20,
		verifyTime:           10 * time.Second,
		verifyCalls:          2,
		verifyMemory:         16 << 20,
		places:               true,
		maxStreams:           1000, streamIdle: 15 * time.Minute, describeEvery: 10 * time.Minute,
		logger: slog.New(slog.DiscardHandler),
		names:  remedy.Library,
	}
}

// WithAggregation switches KPL aggregation on or off. Default: on. Streams
// whose record distribution strategy is AUTO never get aggregates, whatever is
// set here, because consumers would drop records out of them.
func WithAggregation(on bool) Option {
	return optionFunc(func(c *config) { c.aggregation = on })
}

// WithAggregationMaxBytes bounds one aggregate, framing and outer partition key
// included; but see WithAggregationGrowBytes. Default 51,200 (two PUT payload
// units), range 64 to 1,048,576. A larger user record is not aggregated and has
// no frame. Multiples of PutPayloadUnit cost least.
func WithAggregationMaxBytes(n int) Option {
	return optionFunc(func(c *config) { c.aggregationMaxBytes = n })
}

// WithAggregationGrowBytes bounds aggregates that go on beyond WithAggregationMaxBytes
// because more than 4 % of the payload units that they are billed as would
// stay empty, as happens with records of many KiB. Nothing grows if
// WithAggregationMaxBytes is not a multiple of PutPayloadUnit. Default 512,000 (20
// units), range 0 (never) to 1,048,576.
func WithAggregationGrowBytes(n int) Option {
	return optionFunc(func(c *config) { c.aggregationGrowBytes = n })
}

// WithAggregationMaxCount bounds the user records of one aggregate. Default and
// maximum 1,048,576, minimum 1.
func WithAggregationMaxCount(n int) Option {
	return optionFunc(func(c *config) { c.aggregationMaxCount = n })
}

// WithMaxBufferedTime bounds how long a user record waits for others before it
// is sent on. Default 100 ms, range 0 to 1 min. It is a bound, not a delay: when
// every caller that has submitted records waits for the outcome, they are
// sent at once, and so is what shares an aggregate with a record of PutSync. Aggregates
// that are due within a tenth of this time after the first leave together, at its end. No
// record waits for others for more than half of WithRecordTTL. The wait for shard
// capacity is not part of it; while others wait for
// it, a record that has it waits up to half of this time to share their request.
func WithMaxBufferedTime(d time.Duration) Option {
	return optionFunc(func(c *config) { c.maxBufferedTime = d })
}

// WithCollectionMaxCount bounds the Kinesis records of one PutRecords call.
// Default and maximum 500, minimum 1.
func WithCollectionMaxCount(n int) Option {
	return optionFunc(func(c *config) { c.collectionMaxCount = n })
}

// WithCollectionMaxBytes bounds data plus partition keys of one PutRecords call.
// Default 1 MiB, range 52,224 to 10,485,760. A larger record is the only one of its call.
// The KPL's default is 5 MiB; smaller requests cost little more and keep
// memory and the cost of a lost reply low.
func WithCollectionMaxBytes(n int) Option {
	return optionFunc(func(c *config) { c.collectionMaxBytes = n })
}

// WithMaxInFlight bounds the PutRecords calls under way at one time for one
// stream. Default 16, range 1 to 256.
func WithMaxInFlight(n int) Option {
	return optionFunc(func(c *config) { c.maxInFlight = n })
}

// WithRequestTimeout bounds one call to Kinesis. Default 6 s, range 100 ms to
// 10 min. When it passes, the outcome is unknown and the records are sent again.
func WithRequestTimeout(d time.Duration) Option {
	return optionFunc(func(c *config) { c.requestTimeout = d })
}

// WithRateLimit sets the most of a shard's capacity (1,000 records and 1 MiB
// a second) that this producer may use, in percent. Default 100, range 1 to
// 1,000,000. The KPL's default of 150 makes throttling routine. Below it the
// share adapts; see WithAdaptiveRate.
func WithRateLimit(percent int) Option {
	return optionFunc(func(c *config) { c.rateLimitPercent = percent })
}

// WithShardLimit sets the most that this producer sends to one shard in a
// second, in Kinesis records and in bytes of data plus partition keys. It holds
// besides WithRateLimit; the lower one counts. Default 0 for both: only the
// percentage holds. Range 1 to 1,000,000,000 records and 1,024 to
// 1,000,000,000,000 bytes, or 0.
func WithShardLimit(recordsPerSecond, bytesPerSecond int) Option {
	return optionFunc(func(c *config) { c.shardRecords, c.shardBytes = recordsPerSecond, bytesPerSecond })
}

// WithAdaptiveRate lets the producer find its share of each shard, for other
// producers write to the same shards: a throttle of a shard lowers the share,
// time in which records wait for the shard raises it again, up to WithRateLimit
// and WithShardLimit. Throttles that a lower rate does not lessen are tolerated
// and retried at once: they come from a writer that does not adapt, as the KPL,
// or do not depend on the rate. To distinguish the two, producers slow down for some
// seconds at the same moments of the system's clock, which must be right within a
// second. Default: on. Off, these limits are the rate at all times, and throttles
// are only waited out.
func WithAdaptiveRate(on bool) Option {
	return optionFunc(func(c *config) { c.adaptiveRate = on })
}

// WithFailIfThrottled makes a throttled record fail with ReasonThrottled
// instead of being retried. Default: off.
func WithFailIfThrottled(on bool) Option {
	return optionFunc(func(c *config) { c.failIfThrottled = on })
}

// WithRecordTTL gives up on a record with ReasonExpired when it was not
// confirmed this long after its submission. Default 0: never, because giving up loses
// data; the KPL's default is 30 s. Range 100 ms to 24 h, or 0. It is kept to within
// 100 ms, but for a record whose call is under way, which settles when the call has
// ended (WithRequestTimeout), and one that is stored and whose shard is looked up, for
// up to 10 s.
func WithRecordTTL(d time.Duration) Option {
	return optionFunc(func(c *config) { c.recordTTL = d })
}

// WithRetryBackoff sets the bounds of the wait before a retry: a random time up
// to min doubled with each attempt, never more than max, nor than half of
// WithRecordTTL as far as min allows. Defaults 100 ms and 5 s, range 1 ms to 5 min.
func WithRetryBackoff(minimum, maximum time.Duration) Option {
	return optionFunc(func(c *config) { c.retryBackoffMin, c.retryBackoffMax = minimum, maximum })
}

// WithBufferBytes bounds what the producer buffers, over all streams: keys, data
// and 128 bytes a record. Default 64 MiB, range 1 MiB to 16 GiB. A single
// record that is larger than the bound is taken when the buffer is empty.
func WithBufferBytes(n int) Option {
	return optionFunc(func(c *config) { c.bufferBytes = n })
}

// WithBufferRecords bounds the user records the producer buffers, over all
// streams. Default 1,048,576, range 1 to 1,073,741,824.
func WithBufferRecords(n int) Option {
	return optionFunc(func(c *config) { c.bufferRecords = n })
}

// WithMaxStreams bounds the streams in use at one time. When one more is wanted,
// the state of the one that has been idle longest is given up; if all have records
// that are not settled, the call fails with ErrTooManyStreams. Default 1,000,
// range 1 to 100,000.
func WithMaxStreams(n int) Option {
	return optionFunc(func(c *config) { c.maxStreams = n })
}

// WithStreamIdle sets after what time without records the state of a stream
// (shard map, limits learned, one goroutine) is given up. The next record for it
// starts over. Default 15 min, range 10 s to 24 h.
func WithStreamIdle(d time.Duration) Option {
	return optionFunc(func(c *config) { c.streamIdle = d })
}

// WithDescribeInterval sets how often DescribeStreamSummary is called for a stream
// in use, give or take 20 %, for its record limit, its record distribution strategy
// and its time of creation. Answers that contradict what is known have it called
// earlier, at most every 10 s. Default 10 min, range 10 s to 24 h. The operation is
// limited to 20 calls a second for a whole account
// (https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeStreamSummary.html,
// checked 2026-11-24), which the default keeps for some 12,000 producers and streams.
func WithDescribeInterval(d time.Duration) Option {
	return optionFunc(func(c *config) { c.describeEvery = d })
}

// WithDefaultStream sets the stream, by name or ARN, of calls that name none: "" in
// Put, PutBatch, TryPut, TryPutBatch, PutSync, FlushStream and Check. Default: such
// calls fail.
func WithDefaultStream(stream string) Option {
	return optionFunc(func(c *config) { c.defaultStream = stream })
}

// WithObserver sets what gets the measurements; see Observer. Default: none, at no
// cost.
func WithObserver(o Observer) Option {
	return optionFunc(func(c *config) { c.observer = o })
}

// WithPlaces sets whether it is remembered where confirmed records are, and how they came there: false
// leaves ShardID, SequenceNumber and Attempts of their results and outcomes empty. It saves memory and
// time for each Kinesis record, which counts without aggregation. The answer that the client of package
// awsclient gives must not be used any more after the Client's own call has returned then: its memory
// is used again. Default: true.
func WithPlaces(on bool) Option {
	return optionFunc(func(c *config) { c.places = on })
}

// WithLogger sets where changes of state are logged: never once per record,
// never record data or credentials. Default: nowhere.
func WithLogger(l *slog.Logger) Option {
	return optionFunc(func(c *config) {
		if l != nil {
			c.logger = l
		}
	})
}

// WithOptionNames sets how log lines and the errors of Check name the options that they
// advise to change: names gets ca_file, region and so on, and returns the word of the
// program, such as --ca-file. Default: the names of this package and of package awsclient.
func WithOptionNames(names func(option string) string) Option {
	return optionFunc(func(c *config) {
		if names != nil {
			c.names = names
		}
	})
}

// paceLimits works the settings of the rate into what the limiter needs.
func (c *config) paceLimits() pace.Limits {
	l := pace.Limits{
		Records:    pace.ShardRecords * float64(c.rateLimitPercent) / 100,
		Bytes:      pace.ShardBytes * float64(c.rateLimitPercent) / 100,
		Adaptive:   c.adaptiveRate,
		BackoffMin: c.retryBackoffMin,
		BackoffMax: c.retryBackoffMax,
	}
	if c.shardRecords > 0 {
		l.Records = min(l.Records, float64(c.shardRecords))
	}
	if c.shardBytes > 0 {
		l.Bytes = min(l.Bytes, float64(c.shardBytes))
	}
	return l
}

// validate checks every setting and returns all problems at once.
func (c *config) validate() error {
	var errs []error
	check := func(ok bool, name string, value any, allowed string) {
		if !ok {
			errs = append(errs, fmt.Errorf("option %s: value %v is out of range; allowed: %s", name, value, allowed))
		}
	}
	between := func(name string, v, lo, hi int) {
		check(v >= lo && v <= hi, name, v, fmt.Sprintf("%d to %d", lo, hi))
	}
	lasting := func(name string, v, lo, hi time.Duration) {
		check(v >= lo && v <= hi, name, v, fmt.Sprintf("%v to %v", lo, hi))
	}
	check(c.distribution <= DistributionAuto, "Distribution", uint8(c.distribution), "DistributionDetect, DistributionByKey or DistributionAuto")
	check(c.ordering <= OrderingStrict, "Ordering", uint8(c.ordering), "OrderingNone or OrderingStrict")
	between("AggregationMaxBytes", c.aggregationMaxBytes, 64, 1<<20)
	between("AggregationGrowBytes", c.aggregationGrowBytes, 0, 1<<20)
	between("AggregationMaxCount", c.aggregationMaxCount, 1, 1<<20)
	lasting("MaxBufferedTime", c.maxBufferedTime, 0, time.Minute)
	check(c.linger == LingerAuto || c.linger == 0 || c.linger >= time.Millisecond && c.linger <= time.Minute, "Linger", c.linger, "LingerAuto, 0 (never) or 1ms to 1m0s")
	between("CollectionMaxCount", c.collectionMaxCount, 1, maxRequestRecords)
	between("CollectionMaxBytes", c.collectionMaxBytes, 52224, maxRequestBytes)
	between("MaxInFlight", c.maxInFlight, 1, 256)
	lasting("VerifyLimits within", c.verifyTime, 2*time.Second, 10*time.Minute)
	between("VerifyLimits callsPerSecond", c.verifyCalls, 2, 5)
	between("VerifyLimits bytes", c.verifyMemory, 64<<10, 16<<30)
	lasting("RequestTimeout", c.requestTimeout, 100*time.Millisecond, 10*time.Minute)
	between("RateLimit", c.rateLimitPercent, 1, 1_000_000)
	check(c.shardRecords == 0 || c.shardRecords >= 1 && c.shardRecords <= 1_000_000_000,
		"ShardLimit records", c.shardRecords, "0 (none) or 1 to 1000000000")
	check(c.shardBytes == 0 || c.shardBytes >= 1024 && c.shardBytes <= 1_000_000_000_000,
		"ShardLimit bytes", c.shardBytes, "0 (none) or 1024 to 1000000000000")
	check(c.recordTTL == 0 || c.recordTTL >= 100*time.Millisecond && c.recordTTL <= 24*time.Hour,
		"RecordTTL", c.recordTTL, "0 (never) or 100ms to 24h")
	lasting("RetryBackoff minimum", c.retryBackoffMin, time.Millisecond, 5*time.Minute)
	lasting("RetryBackoff maximum", c.retryBackoffMax, time.Millisecond, 5*time.Minute)
	check(c.retryBackoffMin <= c.retryBackoffMax, "RetryBackoff", c.retryBackoffMin,
		fmt.Sprintf("a minimum not above the maximum of %v", c.retryBackoffMax))
	between("BufferBytes", c.bufferBytes, 1<<20, 16<<30)
	between("MaxStreams", c.maxStreams, 1, 100_000)
	lasting("StreamIdle", c.streamIdle, 10*time.Second, 24*time.Hour)
	lasting("DescribeInterval", c.describeEvery, 10*time.Second, 24*time.Hour)
	between("BufferRecords", c.bufferRecords, 1, 1<<30)
	if c.defaultStream != "" {
		if _, _, err := ParseStream(c.defaultStream); err != nil {
			errs = append(errs, fmt.Errorf("option DefaultStream: %w", err))
		}
	}
	return errors.Join(errs...)
}
