// SPDX-License-Identifier: Apache-2.0

package core

// Metric names a measurement of the producer. Up to and including
// MetricUserRecordsPerPutRecordsRequest they have the names and meanings of the
// KPL's metrics (source: amazon-kinesis-producer 1.0.7, docs/metrics.md and
// aws/metrics/metrics_constants.cc, checked 2026-11-24); the rest are additions.
type Metric uint8

// Metrics. Where it says "per user record" and so on, that is one data point.
const (
	// MetricUserRecordsReceived: 1 per user record submitted.
	MetricUserRecordsReceived Metric = iota
	// MetricUserRecordsPending: user records whose outcome is open. A gauge,
	// see Snapshot; never observed.
	MetricUserRecordsPending
	// MetricUserRecordsPut: per user record at its end, 1 confirmed, 0 failed.
	// The average is the rate of success.
	MetricUserRecordsPut
	// MetricUserRecordsDataPut: bytes of data per confirmed user record.
	MetricUserRecordsDataPut
	// MetricUserRecordExpired: 1 per user record whose TTL has passed.
	MetricUserRecordExpired
	// MetricKinesisRecordsPut: per Kinesis record of a call that was answered,
	// 1 stored, 0 refused.
	MetricKinesisRecordsPut
	// MetricKinesisRecordsDataPut: bytes of data and outer key per stored
	// Kinesis record.
	MetricKinesisRecordsDataPut
	// MetricErrorsByCode: 1 per refused Kinesis record, and 1 per failed call
	// (without a shard), by error code.
	MetricErrorsByCode
	// MetricAllErrors: 1 per refused Kinesis record and per failed call, 0 per
	// stored Kinesis record.
	MetricAllErrors
	// MetricRetriesPerRecord: attempts less one, per user record at its end.
	MetricRetriesPerRecord
	// MetricBufferingTime: milliseconds per attempt of a user record, from
	// submission or the end of the previous attempt to the start of this one.
	MetricBufferingTime
	// MetricRequestTime: milliseconds per PutRecords call.
	MetricRequestTime
	// MetricUserRecordsPerKinesisRecord: per Kinesis record sent.
	MetricUserRecordsPerKinesisRecord
	// MetricKinesisRecordsPerPutRecordsRequest: per PutRecords call.
	MetricKinesisRecordsPerPutRecordsRequest
	// MetricUserRecordsPerPutRecordsRequest: per PutRecords call.
	MetricUserRecordsPerPutRecordsRequest

	// MetricAggregateFill: per stored aggregate, its size as a share of
	// WithAggregationMaxBytes, or of the units it is billed as if they are more;
	// 0 to 1.
	MetricAggregateFill
	// MetricPutPayloadUnits: PutPayloadUnits charged per stored Kinesis record.
	MetricPutPayloadUnits
	// MetricPutPayloadUnitsSaved: units that the user records of a stored
	// Kinesis record would have cost one by one, less those charged.
	MetricPutPayloadUnitsSaved
	// MetricWrongShard: 1 per user record of an aggregate that is resent, because
	// not all of its records are in the range of the shard that took it. Consumers built on
	// the KCL drop the first copy.
	MetricWrongShard
	// MetricUncertain: 1 per user record of an attempt that failed and may have stored
	// it all the same, so that the next one may double it.
	MetricUncertain
	// MetricVerifyOpened: 1 per user record that is looked for because the answer of its
	// attempt was lost or useless; see WithVerifyUncertain.
	MetricVerifyOpened
	// MetricVerifyStored: 1 per user record that was found.
	MetricVerifyStored
	// MetricVerifyMissing: 1 per user record that is not stored.
	MetricVerifyMissing
	// MetricVerifyGivenUp: 1 per user record of which that stays open. It counts as
	// uncertain, too.
	MetricVerifyGivenUp
	// MetricVerifyReads: 1 per call of GetRecords or GetShardIterator for these.
	MetricVerifyReads
	// MetricShardMapRefreshes: 1 per shard map fetched.
	MetricShardMapRefreshes
	// MetricLedgerHits: 1 per chunk or body that came again and of which only
	// what was missing was sent. Observed by the receivers, not by the producer.
	MetricLedgerHits
	// MetricDeadLetters: 1 per record kept as a dead letter. Observed by the
	// receivers.
	MetricDeadLetters

	// MetricBufferedBytes and those below are gauges, see Snapshot.
	MetricBufferedBytes
	// MetricOldestRecordAge: milliseconds since the oldest open submission.
	MetricOldestRecordAge
	// MetricCapacityInUse: the most of a shard's present limit that is in use, 0 to 1; see
	// StreamSnapshot.InUse.
	MetricCapacityInUse
	// MetricBacklog: milliseconds that a shard needs for what waits for it, of the shard
	// that needs most.
	MetricBacklog
	// MetricOpenShards: open shards of the stream.
	MetricOpenShards
	// MetricShardsNeeded: shards that would do; see StreamSnapshot.ShardsNeeded.
	MetricShardsNeeded
	// MetricShardQueuedBytes: bytes that wait for tokens of a shard.
	MetricShardQueuedBytes
	// MetricShardTokens: bytes a shard would take at once, negative in debt.
	MetricShardTokens
	// MetricShardShare: the share of a shard's capacity in use as the limit,
	// 1 for all of it.
	MetricShardShare
	// MetricShardInUse: how much of this limit is in use, 0 to 1.
	MetricShardInUse

	metricCount
)

// MetricKind says how data points of a metric are summed up.
type MetricKind uint8

// Kinds of metrics.
const (
	// Counter: the sum matters. Observations of it may carry unequal points.
	Counter MetricKind = iota
	// Distribution: each value matters. All points of an observation are equal.
	Distribution
	// Gauge: a state, read from Snapshot.
	Gauge
)

// MetricLevel orders metrics as the KPL does, by how much detail they give.
type MetricLevel uint8

// Levels. A producer at one level reports the metrics of it and those below.
const (
	LevelNone MetricLevel = iota
	LevelSummary
	LevelDetailed
)

// Granularity is the finest dimension of a metric or of what is reported.
type Granularity uint8

// Granularities.
const (
	GranularityGlobal Granularity = iota
	GranularityStream
	GranularityShard
)

// MetricInfo describes a metric.
type MetricInfo struct {
	// Name is the KPL's name of the metric, or one like it.
	Name string
	// Unit is "Count", "Bytes", "Milliseconds" or "Ratio".
	Unit string
	Kind MetricKind
	// Level is the lowest level at which the metric is reported.
	Level MetricLevel
	// Granularity is the finest dimension that the metric has.
	Granularity Granularity
	// Help says what one data point is.
	Help string
}

// Info returns the description of the metric.
func (m Metric) Info() MetricInfo {
	if m < metricCount {
		return metricInfos[m]
	}
	return MetricInfo{Name: "Unknown"}
}

// String returns the name of the metric.
func (m Metric) String() string { return m.Info().Name }

// Metrics returns all metrics.
func Metrics() []Metric {
	list := make([]Metric, metricCount)
	for i := range list {
		list[i] = Metric(i)
	}
	return list
}

var metricInfos = [metricCount]MetricInfo{
	MetricUserRecordsReceived:                {"UserRecordsReceived", "Count", Counter, LevelDetailed, GranularityStream, "1 per user record submitted"},
	MetricUserRecordsPending:                 {"UserRecordsPending", "Count", Gauge, LevelDetailed, GranularityStream, "user records whose outcome is open"},
	MetricUserRecordsPut:                     {"UserRecordsPut", "Count", Counter, LevelSummary, GranularityShard, "per user record at its end: 1 confirmed, 0 failed"},
	MetricUserRecordsDataPut:                 {"UserRecordsDataPut", "Bytes", Counter, LevelDetailed, GranularityShard, "bytes of data per confirmed user record"},
	MetricUserRecordExpired:                  {"UserRecordExpired", "Count", Counter, LevelSummary, GranularityShard, "1 per user record whose TTL has passed"},
	MetricKinesisRecordsPut:                  {"KinesisRecordsPut", "Count", Counter, LevelSummary, GranularityShard, "per Kinesis record in an answered call: 1 stored, 0 refused"},
	MetricKinesisRecordsDataPut:              {"KinesisRecordsDataPut", "Bytes", Counter, LevelDetailed, GranularityShard, "bytes of data and key per stored Kinesis record"},
	MetricErrorsByCode:                       {"ErrorsByCode", "Count", Counter, LevelSummary, GranularityShard, "1 per refused Kinesis record and per failed call, by error code"},
	MetricAllErrors:                          {"AllErrors", "Count", Counter, LevelSummary, GranularityShard, "1 per refused Kinesis record and per failed call, 0 per stored Kinesis record"},
	MetricRetriesPerRecord:                   {"RetriesPerRecord", "Count", Distribution, LevelDetailed, GranularityShard, "attempts less one, per user record at its end"},
	MetricBufferingTime:                      {"BufferingTime", "Milliseconds", Distribution, LevelSummary, GranularityShard, "per attempt of a user record: the wait before it"},
	MetricRequestTime:                        {"RequestTime", "Milliseconds", Distribution, LevelDetailed, GranularityStream, "per PutRecords call"},
	MetricUserRecordsPerKinesisRecord:        {"UserRecordsPerKinesisRecord", "Count", Distribution, LevelDetailed, GranularityShard, "per Kinesis record sent"},
	MetricKinesisRecordsPerPutRecordsRequest: {"KinesisRecordsPerPutRecordsRequest", "Count", Distribution, LevelDetailed, GranularityStream, "per PutRecords call"},
	MetricUserRecordsPerPutRecordsRequest:    {"UserRecordsPerPutRecordsRequest", "Count", Distribution, LevelDetailed, GranularityStream, "per PutRecords call"},
	MetricAggregateFill:                      {"AggregateFill", "Ratio", Distribution, LevelDetailed, GranularityShard, "size as a share of the maximum, per stored aggregate"},
	MetricPutPayloadUnits:                    {"PutPayloadUnits", "Count", Counter, LevelSummary, GranularityShard, "25 KiB units charged per stored Kinesis record"},
	MetricPutPayloadUnitsSaved:               {"PutPayloadUnitsSaved", "Count", Counter, LevelSummary, GranularityShard, "units that aggregation saved, per stored Kinesis record"},
	MetricWrongShard:                         {"WrongShard", "Count", Counter, LevelSummary, GranularityShard, "1 per user record of an aggregate that is resent, because not all of its records are in the range of the shard that took it"},
	MetricUncertain:                          {"Uncertain", "Count", Counter, LevelSummary, GranularityStream, "1 per user record of an attempt that failed and may have stored it all the same"},
	MetricVerifyOpened:                       {"VerifyOpened", "Count", Counter, LevelSummary, GranularityStream, "1 per user record that is looked for because the answer of its attempt was lost or useless"},
	MetricVerifyStored:                       {"VerifyStored", "Count", Counter, LevelSummary, GranularityStream, "1 per user record that was looked for and is stored"},
	MetricVerifyMissing:                      {"VerifyMissing", "Count", Counter, LevelSummary, GranularityStream, "1 per user record that was looked for and is not stored"},
	MetricVerifyGivenUp:                      {"VerifyGivenUp", "Count", Counter, LevelSummary, GranularityStream, "1 per user record that was looked for, and it stays open whether it is stored"},
	MetricVerifyReads:                        {"VerifyReads", "Count", Counter, LevelSummary, GranularityStream, "1 per call of GetRecords or GetShardIterator for records that are looked for"},
	MetricShardMapRefreshes:                  {"ShardMapRefreshes", "Count", Counter, LevelDetailed, GranularityStream, "1 per shard map fetched"},
	MetricLedgerHits:                         {"LedgerHits", "Count", Counter, LevelSummary, GranularityGlobal, "1 per chunk or body that came again and of which only what was missing was sent"},
	MetricDeadLetters:                        {"DeadLetters", "Count", Counter, LevelSummary, GranularityStream, "1 per record kept as a dead letter"},
	MetricBufferedBytes:                      {"BufferedBytes", "Bytes", Gauge, LevelSummary, GranularityGlobal, "bytes in the buffer"},
	MetricOldestRecordAge:                    {"OldestRecordAge", "Milliseconds", Gauge, LevelSummary, GranularityStream, "time since the oldest submission that is not settled"},
	MetricCapacityInUse:                      {"CapacityInUse", "Ratio", Gauge, LevelSummary, GranularityStream, "most of a shard's limit that is in use: from 0.9 on the shard has no room"},
	MetricBacklog:                            {"Backlog", "Milliseconds", Gauge, LevelSummary, GranularityStream, "longest time that a shard needs for what waits for it, at the present rate"},
	MetricOpenShards:                         {"OpenShards", "Count", Gauge, LevelSummary, GranularityStream, "open shards of the stream"},
	MetricShardsNeeded:                       {"ShardsNeeded", "Count", Gauge, LevelSummary, GranularityStream, "shards that would take the present rate and what waits, if keys are even"},
	MetricShardQueuedBytes:                   {"ShardQueuedBytes", "Bytes", Gauge, LevelDetailed, GranularityShard, "bytes that wait for capacity of a shard"},
	MetricShardTokens:                        {"ShardTokens", "Bytes", Gauge, LevelDetailed, GranularityShard, "bytes a shard would take at once, negative in debt"},
	MetricShardShare:                         {"ShardShare", "Ratio", Gauge, LevelDetailed, GranularityShard, "share of a shard's capacity that is the limit at present"},
	MetricShardInUse:                         {"ShardInUse", "Ratio", Gauge, LevelDetailed, GranularityShard, "share of this limit that is in use"},
}
