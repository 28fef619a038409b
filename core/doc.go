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
//	err = batch.Wait(ctx) // every record is confirmed or failed
//	batch.Failures(func(i int, err *core.RecordError) bool { return handle(records[i], err) })
//	...
//	err = producer.Close(ctx) // delivers what is left
//
// # Guarantees
//
//   - A record is reported as confirmed only after Kinesis has confirmed it, with its
//     shard and sequence number. Each record handed over is settled once: confirmed,
//     or failed with a reason; until then it is pending. The counters of Stats add up.
//   - Delivery is at least once. A record is written more than once only if it is not
//     known whether a request was stored (its reply was lost, or was an error of the
//     server's side), or if a shard that took an aggregate during a reshard cannot be
//     looked up in time. Result shows each attempt, and Attempt.Uncertain those two cases.
//   - A record that is confirmed as part of an aggregate lies in the shard its hash key
//     belongs to, so that consumers built on the Kinesis Client Library keep it, during
//     a reshard, too.
//   - A failure that may pass is retried until it passes, unless WithRecordTTL or
//     WithFailIfThrottled says otherwise. What cannot pass (no such stream, access
//     denied, a record that is too large or invalid) fails without harm to the rest.
//   - The bounds of the buffer are hard. The producer copies the data of a record once for
//     each attempt, into the request. No goroutine and no timer is made for a record.
//   - Logs never hold record data or credentials.
//
// # Limits
//
//   - No order is promised between records, unless WithOrdering(OrderingStrict) is set.
//   - What is pending is lost with the process; who hands records over must be able
//     to do it again.
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
// The client needs the IAM actions kinesis:PutRecords, kinesis:ListShards and
// kinesis:DescribeStreamSummary, and kms:GenerateDataKey for encrypted streams.
package core
