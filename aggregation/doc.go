// SPDX-License-Identifier: Apache-2.0

// Package aggregation reads and writes the KPL aggregated record format: many
// user records (UR) packed into one Kinesis record (KR), as Amazon's Kinesis
// Producer Library does and the Kinesis Client Library undoes. It also holds
// the arithmetic of the hash ring, because a user record's place on the ring
// is part of the format.
//
// A producer keeps one [Builder] per predicted shard:
//
//	var b aggregation.Builder
//	for _, r := range events {
//		if b.Len() > 0 && b.SizeWith(r.Key, r.Data) > limitBytes {
//			send(b.AppendTo(nil)) // must be sent before Reset
//			b.Reset()
//		}
//		b.Add(r.Key, r.Data)
//	}
//
// A consumer calls [Deaggregate] on every Kinesis record, aggregated or not.
//
// # Format
//
//	blob   = F3 89 9A C2, PROTO, MD5(PROTO)
//	PROTO  = message AggregatedRecord (proto2)
//
//	AggregatedRecord  1 partition_key_table      repeated string
//	                  2 explicit_hash_key_table  repeated string
//	                  3 records                  repeated Record
//	Record            1 partition_key_index      required uint64
//	                  2 explicit_hash_key_index  optional uint64
//	                  3 data                     required bytes
//	                  4 tags                     repeated Tag
//	Tag               1 key                      required string
//	                  2 value                    optional string
//
// Source: aws/kinesis/protobuf/messages.proto and aggregation-format.md in
// https://github.com/awslabs/amazon-kinesis-producer (checked 2026-11-24).
//
// # Guarantees
//
//   - The bytes are those of the KPL's C++ serializer: both tables first, filled
//     by first appearance and free of duplicates, then the records in the order
//     of Add; index 0 and empty data are written out.
//   - [Builder.Size] and [Builder.SizeWith] are exact and take constant time.
//   - A Builder does not allocate once it has grown to its working size, and
//     copies each payload once, in [Builder.AppendTo].
//   - [Deaggregate] accepts any bytes, does not panic and never loses input: what
//     is not a well-formed aggregate comes back as one plain user record.
//
// # Limits
//
//   - Tags are decoded but cannot be written; the KPL does not write them either.
//   - The package does not check Kinesis' own limits (key length, record size),
//     nor does it decide when a batch of one should be sent unwrapped.
//   - It does not check that the user records of an aggregate belong to one shard.
//     The Kinesis Client Library drops a whole aggregate if the hash key of one of
//     its user records is not in the range of the shard it is read from.
//   - Partition keys are bytes here. The Kinesis Client Library decodes them as UTF-8
//     before it hashes them, so that a key that is not UTF-8 has another hash key
//     there, and its aggregate is most likely dropped.
//   - The format prescribes MD5. A process run with GODEBUG=fips140=only cannot
//     use it.
package aggregation
