// SPDX-License-Identifier: Apache-2.0

// Package core is a producer for Amazon Kinesis Data Streams that does the work of
// the Kinesis Producer Library: it predicts the shard of each user record, packs
// user records of a shard into aggregates of the KPL's format, keeps to the pace of
// each shard, collects aggregates into PutRecords calls, and retries what fails,
// record by record.
//
//	client, err := awsclient.New(ctx, awsclient.Config{Region: "eu-west-1"})
//	...
//	producer, err := core.New(client, core.WithLogger(logger))
//	...
//	batch, err := producer.PutBatch(ctx, "logs", records) // waits only for room in the buffer
//	...
//	err = batch.Wait(ctx) // nil: every record is confirmed
//	for i, err := range batch.Failures {
//		handle(records[i], err)
//	}
//	...
//	err = producer.Close(ctx) // delivers what is left
//
// # Guarantees
//
//   - A record is reported as confirmed only after Kinesis has confirmed it, with its
//     shard and sequence number. Each submitted record is settled once: confirmed,
//     or failed with a reason; until then it is pending. The counters of Stats add up.
//   - Delivery is at least once. A record is read more than once only if it is not
//     known whether a request was stored (its reply was lost, or was an error of the
//     server's side), or if a shard that took an aggregate during a reshard cannot be
//     looked up in time. Result shows each attempt, and Attempt.Uncertain those two cases.
//   - An aggregate is confirmed only if all of its records are in the range of the shard
//     that took it, so that consumers built on the Kinesis Client Library keep it, during
//     a reshard, too. Otherwise all of them are resent, with the code "Wrong Shard" in
//     Result. That library drops the first copy; consumers that do not check ranges
//     see both. See docs/delivery.md.
//   - A failure that may pass is retried until it passes, unless WithRecordTTL or
//     WithFailIfThrottled says otherwise. What cannot pass (no such stream, access
//     denied, a record that is too large or invalid) fails without harm to the rest.
//   - The bounds of the buffer are hard. The producer copies the data of a record once for
//     each attempt, into the request. No goroutine and no timer is made for a record.
//   - Logs never contain record data or credentials.
//
// # Limits
//
//   - No order is promised between records, unless WithOrdering(OrderingStrict) is set.
//   - What is pending is lost with the process; the caller must be able to submit
//     it again.
//   - The data and keys of a record must not change until its batch has settled.
//   - A record with neither key nor explicit hash key goes to a shard of the producer's
//     choice.
//   - Streams whose record distribution strategy is AUTO get no aggregates. Where
//     DescribeStreamSummary is not allowed, this is concluded from answers; see
//     WithDistribution.
//   - After a panic in the producer's own code, the stream concerned is not written to any
//     more: its records fail with ReasonInternal.
//   - There is no metrics client in here: Stats, Snapshot and WithObserver give
//     what one needs. Packages under core/metrics are clients.
//
// # Options by topic
//
//   - Aggregation: WithAggregation, WithAggregationMaxBytes, WithAggregationGrowBytes,
//     WithAggregationMaxCount, WithMaxBufferedTime.
//   - Requests: WithCollectionMaxCount, WithCollectionMaxBytes, WithMaxInFlight,
//     WithRequestTimeout.
//   - Pace and retries: WithRateLimit, WithShardLimit, WithAdaptiveRate,
//     WithRetryBackoff, WithRecordTTL, WithFailIfThrottled.
//   - Bounds: WithBufferBytes, WithBufferRecords, WithMaxStreams, WithStreamIdle.
//   - Order and place: WithOrdering, WithDistribution, WithDefaultStream.
//   - What it reports: WithOutcomeFunc, WithLogger, WithOptionNames, WithObserver.
//
// # Ways to learn the outcome
//
//   - Batch.Wait for one batch: the error says how many records failed, and errors.Is
//     finds their reasons. WaitSettled and Done do not look at the outcomes.
//   - Batch.OnSettled has a function called when a batch is settled, WithOutcomeFunc one
//     for each record. Neither starts a goroutine. Record.Value comes back in them.
//   - Batch.Result has all attempts of a record, Batch.Failures the records that failed.
//
// A batch that is settled does not keep the data of its records.
//
// # When records leave
//
// An aggregate leaves when it is full, when its oldest record has waited for
// WithMaxBufferedTime, or when waiting cannot help: all callers with open batches wait for
// them, or Flush or Close was called, or PutSync put a record into it. While callers are blocked for room, more input
// comes as soon as room is freed, so aggregates leave early only to make room: if nothing
// else is under way, or if they take more than half of the buffer.
//
// # Streams
//
// Each stream, by the name or ARN that callers use, has a shard map, metadata, counters
// and one goroutine of its own; all share the buffer. They are made on first use
// and given up after WithStreamIdle or when WithMaxStreams is reached. A name and
// the ARN of the same stream count as two, and do not know of each other.
//
// # What runs where
//
// Logger, Observer, the outcome function and those of OnSettled are called by the
// producer's goroutines and by callers, with no lock held. They must not wait; see
// Batch.OnSettled. A panic in any of them, or in a Client, is caught and logged. A Client
// must return when its context ends, or Close cannot.
//
// The client needs the IAM actions kinesis:PutRecords, kinesis:ListShards and
// kinesis:DescribeStreamSummary, and kms:GenerateDataKey for encrypted streams.
package core
