// SPDX-License-Identifier: Apache-2.0

package core

import "time"

// Service limits of Amazon Kinesis Data Streams, as documented on
// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
// and https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
// (checked 2026-11-24).
const (
	// maxRequestRecords is the most Kinesis records one PutRecords call takes.
	maxRequestRecords = 500
	// maxRequestBytes is the most bytes (data plus partition keys) one
	// PutRecords call takes. It was 5 MiB until October 2025.
	maxRequestBytes = 10 << 20
	// defaultMaxRecordBytes is the record size limit of a stream that was not
	// raised with UpdateMaxRecordSize: data plus partition key.
	defaultMaxRecordBytes = 1 << 20
	// absoluteMaxRecordBytes is the highest limit UpdateMaxRecordSize accepts.
	absoluteMaxRecordBytes = 10 << 20
	// maxPartitionKeyChars is counted in Unicode characters, not bytes.
	maxPartitionKeyChars = 256
	// listShardsPage is the default and a safe page size of ListShards.
	listShardsPage = 1000
	// maxListShardsPages bounds a list of shards to a million of them. An account
	// has at most some tens of thousands, unless AWS allows more.
	maxListShardsPages = 1000
)

// PutPayloadUnit is the billing unit of provisioned streams: every Kinesis
// record is charged in steps of 25 KiB.
// Source: https://aws.amazon.com/kinesis/data-streams/pricing/ (checked 2026-11-24).
const PutPayloadUnit = 25 << 10

const (
	// aggregatePartitionKey is the key the KPL writes on every aggregate; the
	// explicit hash key does the routing.
	aggregatePartitionKey = "a"
	// unkeyedPartitionKey is what a consumer sees as the key of a record for
	// which none was given.
	unkeyedPartitionKey = "a"

	// shardRequestBytes is the KPL's guard: a request is closed when it has
	// this much for one shard, so that a hot shard cannot fill whole requests.
	shardRequestBytes = 256 << 10

	// refreshBackoffMin and refreshBackoffMax bound the wait between failed
	// ListShards rounds; the wait grows by half each time, as in the KPL.
	refreshBackoffMin = time.Second
	refreshBackoffMax = 30 * time.Second
	// refreshSpacing is the least time between two ListShards rounds.
	refreshSpacing = 200 * time.Millisecond
	// staleGrace is how long records wait for a new map where there is an old one.
	staleGrace = 3 * time.Second
	// mapIdleLimit is how long a stream may be idle before its map is fetched again
	// on next use. To delete a stream and create it again takes longer than this
	// by experience; no figure is documented.
	mapIdleLimit = 30 * time.Second
	// closedRangeTTL is how long the hash range of a closed shard is kept to
	// reconcile answers of requests that were under way during a reshard.
	closedRangeTTL = 90 * time.Second
	// startupGrace is how long records wait for the first shard map while
	// ListShards fails with errors that may pass.
	startupGrace = 10 * time.Second
	// describeLimitGrace is how long records wait for DescribeStreamSummary
	// while it is refused because the account's calls are used up.
	describeLimitGrace = 2 * time.Second
	// unresolvedGrace is how long the outcome of an aggregate that an unknown
	// shard took may stay open while the map is refreshed. That may take three calls
	// of ListShards: one that is under way, one of the open shards, and one of all.
	unresolvedGrace = 10 * time.Second
	// maxAttempts bounds the attempts that are remembered of a user record.
	maxAttempts = 32
	// lateTick is the least time between two searches for expired records in all
	// stages.
	lateTick = 100 * time.Millisecond
	// recordOverheadBytes is what a buffered user record costs in memory
	// besides its key and data; it is part of the buffer bound.
	recordOverheadBytes = 128
	// submitRecords is how many records one stretch of a submission takes under the
	// pipeline's lock.
	submitRecords = 512
)
