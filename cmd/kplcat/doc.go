// SPDX-License-Identifier: Apache-2.0

// Command kplcat shows what is in a Kinesis stream: it reads all shards, takes
// the aggregates of the KPL apart and prints one line of JSON for every user
// record, or a table of counts with --stats. It also disaggregates blobs from files
// and from standard input.
//
//	kplcat --from -15m logs | jq .data
//	kplcat --follow --grep ERROR arn:aws:kinesis:eu-west-1:123456789012:stream/logs
//	kplcat --stats --from trim-horizon logs
//	kplcat --verify sent.log logs
//	aws kinesis get-records --shard-iterator "$it" | kplcat -
//	kplcat doctor logs
//
// kplcat --help is the manual; docs/kplcat.md shows samples of what it prints.
//
// # Guarantees
//
//   - It only reads: no call changes a stream.
//   - Every record in the range asked for is shown once, those of a shard in
//     order and after those of its parents.
//   - It never changes a payload in silence: what is shown as text or JSON is
//     valid UTF-8, and everything else is shown in base64 in a field of its own.
//
// # Limits
//
// It remembers what it has read only with --dedupe and --verify, and does not use enhanced fan-out, so that it
// takes part in the read limits that a shard's consumers share. Records of
// different shards are not put in order of time.
package main
