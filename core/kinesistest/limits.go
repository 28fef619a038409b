// SPDX-License-Identifier: Apache-2.0

package kinesistest

import "time"

// The service's limits, as of 2026-11-24. Sources: the API reference of
// PutRecords, ListShards, GetRecords, GetShardIterator and UpdateMaxRecordSize
// (https://docs.aws.amazon.com/kinesis/latest/APIReference/).
const (
	maxRecordsPerPut        = 500
	maxPartitionKeyLength   = 256 // characters
	defaultMaxRecordKiB     = 1024
	minMaxRecordKiB         = 1024
	maxMaxRecordKiB         = 10240
	defaultMaxRequestBytes  = 10 << 20
	maxListShardsResults    = 10000 // what the model accepts
	defaultListShardsPage   = 1000  // what a page holds at most
	maxGetRecordsLimit      = 10000
	maxGetRecordsBytes      = 10 << 20
	tokenLifetime           = 300 * time.Second
	iteratorLifetime        = 300 * time.Second
	maxHTTPBodyBytes        = 32 << 20 // above any legal request, base64 included
	defaultDescribeStreamPg = 100
)

// payloadUnitBytes is what PUT payload units are counted in: 25 KB chunks of
// data and partition key (https://aws.amazon.com/kinesis/data-streams/pricing/,
// 2026-11-24; taken as 25 * 1024 bytes).
const payloadUnitBytes = 25 << 10

// Limits are the write limits of one shard.
type Limits struct {
	// RecordsPerSecond refills the record bucket, which holds one second's
	// worth. 0 means no limit. Kinesis: 1000.
	RecordsPerSecond float64
	// BytesPerSecond refills the byte bucket (data and partition key), which
	// holds one second's worth. 0 means no limit. Kinesis: 1 MiB.
	BytesPerSecond float64
}

// AWSLimits are the documented limits of a shard: 1000 records and 1 MiB per
// second (https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html, 2026-11-24).
// It must not be changed.
var AWSLimits = Limits{RecordsPerSecond: 1000, BytesPerSecond: 1 << 20}

// ReadLimits are the limits of one shard for all that read it with GetRecords together.
type ReadLimits struct {
	// CallsPerSecond refills the bucket of calls, which holds one second's worth. 0 means
	// no limit. Kinesis: 5.
	CallsPerSecond float64
	// BytesPerSecond refills the bucket of bytes, which holds one second's worth. A call
	// is answered whole if there is anything in it, and leaves a debt. 0 means no limit.
	// Kinesis: 2 MiB.
	BytesPerSecond float64
}

// AWSReadLimits are the documented limits of a shard: five calls and 2 MiB a second, and
// nothing for five seconds after a call that returns 10 MiB
// (https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html, 2026-11-24). It must
// not be changed.
var AWSReadLimits = ReadLimits{CallsPerSecond: 5, BytesPerSecond: 2 << 20}

// readBucket is the pair of token buckets for the reads of a shard; the shard's lock guards it.
type readBucket struct {
	calls, bytes float64
	last         time.Time
	full         bool // last is valid and the levels are, too
}

// begin takes a call, or says what is too low.
func (b *readBucket) begin(l ReadLimits, now time.Time) (refused string) {
	if !b.full {
		*b = readBucket{calls: l.CallsPerSecond, bytes: l.BytesPerSecond, last: now, full: true}
	}
	if d := now.Sub(b.last).Seconds(); d > 0 {
		b.calls = min(max(1, l.CallsPerSecond), b.calls+d*l.CallsPerSecond)
		b.bytes = min(l.BytesPerSecond, b.bytes+d*l.BytesPerSecond)
		b.last = now
	}
	switch {
	case l.CallsPerSecond > 0 && b.calls < 1:
		return "Rate exceeded for shard %s in stream %s under account %s."
	case l.BytesPerSecond > 0 && b.bytes <= 0:
		return "Slow down: more than the bytes of a second were read from shard %s in stream %s under account %s."
	}
	b.calls--
	return ""
}

// bucket is the pair of token buckets of one shard; the shard's lock guards it.
type bucket struct {
	records, bytes float64
	last           time.Time
	full           bool // last is valid and the levels are, too
}

// take takes one record of n bytes, or nothing if either bucket is too low. A
// record larger than the whole byte bucket is admitted when the bucket is full
// and leaves a debt: the stream allows such records, so they must get through.
func (b *bucket) take(l Limits, now time.Time, n int) bool {
	if !b.full {
		*b = bucket{records: l.RecordsPerSecond, bytes: l.BytesPerSecond, last: now, full: true}
	}
	if d := now.Sub(b.last).Seconds(); d > 0 {
		b.records = min(l.RecordsPerSecond, b.records+d*l.RecordsPerSecond)
		b.bytes = min(l.BytesPerSecond, b.bytes+d*l.BytesPerSecond)
		b.last = now
	}
	if l.RecordsPerSecond > 0 && b.records < min(1, l.RecordsPerSecond) {
		return false
	}
	if l.BytesPerSecond > 0 && b.bytes < min(float64(n), l.BytesPerSecond) {
		return false
	}
	b.records--
	b.bytes -= float64(n)
	return true
}

// payloadUnits is the number of PUT payload units of a record of n bytes.
func payloadUnits(n int) int64 {
	return max(1, int64((n+payloadUnitBytes-1)/payloadUnitBytes))
}
