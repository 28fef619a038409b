// SPDX-License-Identifier: Apache-2.0

// Package kcl tells what consumers built on the Kinesis Client Library (KCL) get of
// an aggregate. The readers of this project that play KCL share it.
//
//	res := kcl.Read(rec.Data, shard.First, shard.Last)
//	switch {
//	case res.Misplaced: // KCL drops the aggregate; res.OutOfRange says because of whom
//	case res.Err != nil: // KCL fails on the aggregate
//	default: // KCL delivers the record, or all user records of the aggregate
//	}
//
// # What KCL does
//
// This is AggregatorUtil.deaggregate of KCL 2.x to 3.5.1,
// https://github.com/awslabs/amazon-kinesis-client (checked 2026-11-28):
//
//   - It drops a whole aggregate, without an error, if one of its user records has a
//     hash key that is not in the range of the shard it reads, also the user records
//     that are in the range.
//   - It never drops a record that is not an aggregate. That includes what only
//     begins as an aggregate: the checksum or the message is wrong.
//   - It decodes partition keys to Java Strings before it hashes them: bytes that are
//     not UTF-8 become U+FFFD, so that the hash key is another one.
//   - It fails on an explicit hash key that is not a number, and on an index past its
//     table. With javax.xml.bind on the class path, it logs the aggregate and delivers
//     the user records before the first such one. Without it, as with Java 11 and
//     later, a NoClassDefFoundError ends the work on all records of that read.
//   - It delivers nothing of an aggregate without user records.
//   - A worker without the range of its shard takes the whole ring for it, and so drops
//     nothing: with skipShardSyncAtWorkerInitializationIfLeasesExist, and when it cannot
//     get the shard.
//
// # Limits
//
// Which characters are digits is taken from the Unicode version of Go, not from that of
// the JVM of the consumer. No producer writes other digits than the Latin ones.
package kcl
