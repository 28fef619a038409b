// SPDX-License-Identifier: Apache-2.0

// Package kinesistest is an in-process Kinesis Data Streams for tests: shards
// with hash key ranges, limits, resharding, faults on demand, and a reader that
// shows what a consumer built on the Kinesis Client Library would get.
//
//	s := kinesistest.New(kinesistest.WithStream("demo", 4), kinesistest.WithLimits(kinesistest.AWSLimits))
//	producer := newProducer(s.Client()) // in process: same methods and errors as *kinesis.Client
//
//	lost := s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.LoseReply()})
//	producer.Send(events)
//	s.SplitEven("demo", "shardId-000000000002")
//	producer.Send(events)
//
//	got := s.Consume("demo") // got.Records, got.Dropped
//	_ = lost.Hits()          // 1
//
// There are two clients of the same server. [Server.Client] is called directly: it
// starts no goroutine, takes its delays from the time package and so works
// inside a testing/synctest bubble, and costs less than a producer does.
// [Server.Start] serves AWS JSON 1.1, and its form in CBOR, on the loopback address, optionally over
// TLS, for the real SDK ([Server.SDK] makes a client) and for other programs.
//
// # What it does as the service does
//
//   - Routing by MD5 of the partition key or by explicit hash key, to open shards
//     only; a put into the range of a closed shard is answered with the id of its child.
//   - Sequence numbers of 56 digits that increase in each shard.
//   - Checks of a whole call (400): 1 to 500 records, keys of 1 to 256 characters,
//     the form and range of explicit hash keys, the stream's record size, 10 MiB
//     for a call. A record above the size of its stream is a ValidationException.
//   - Limits of a shard refuse entries one by one, with HTTP status 200.
//   - ListShards pages, with tokens that expire after 300 s, and filters. It can lag
//     behind ([WithListShardsLag]).
//   - A parent takes writes while its stream is UPDATING and is then closed and
//     replaced by its children in one step.
//   - RecordDistributionStrategy AUTO: keys are ignored.
//
// # Limits of the fake
//
// Signatures are not checked; there is one account and one region; nothing is
// ever trimmed; consumers (SubscribeToShard), tags, policies and encryption
// operations are missing; control-plane operations have no rate limits, but a
// [Fault] can stand in for them. It was not compared with the service itself: the
// texts of messages, which of ValidationException and InvalidArgumentException comes, and
// what a record larger than a shard's byte bucket costs are taken from
// documentation and reports, or guessed.
//
// All of it is safe for concurrent use.
package kinesistest
