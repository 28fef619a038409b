// SPDX-License-Identifier: Apache-2.0

// Package deadletter keeps records that Kinesis can never accept, so that they can
// be looked at, mended and sent again: records that are too large or invalid
// (core.Reason.Permanent). What may pass is not its business; that is retried.
//
//	file, err := deadletter.OpenFile(deadletter.FileConfig{Path: "/var/lib/out_kpl/dead.ndjson"})
//	...
//	batch, err := producer.PutBatch(ctx, "logs", records)
//	...
//	err = batch.WaitSettled(ctx)
//	kept, err := deadletter.Settle(ctx, batch, records, tag, file)
//	// kept: the indexes of records that may be acknowledged although they failed
//	...
//	err = file.Close(ctx)
//
// There are two sinks: File writes one JSON object a line, and NewStream writes to
// a second Kinesis stream. Read gives the dead letters of a file back, and the command
// kpl-replay puts them into a stream again. The form of a line is described in
// docs/dead-letters.md.
//
// # Guarantees
//
//   - Write returns nil only when every dead letter is durable: after fsync, or when
//     Kinesis has confirmed it. Several writers share one fsync.
//   - Data and partition key come back byte by byte.
//   - What a crash left of a last line, which was never acknowledged, is cut off
//     when the file is opened. After a failed write, for instance on a full disk,
//     nothing of it is acknowledged, and the next write goes on in its place.
//   - The space is bounded: FileConfig.MaxBytes times FileConfig.MaxFiles + 1. When
//     it is used up, Write fails, unless FileConfig.DropOldest is set.
//   - Two processes cannot write the same file.
//   - No error and no log line holds data or keys.
//
// # Limits
//
//   - Delivery to a sink is at least once: a Write that fails may have written some
//     of its dead letters.
//   - A dead letter's line takes at most MaxLineBytes, and is built in memory.
//   - Only the last 32 attempts of a record are kept.
//   - There is no lock on systems that are neither Windows nor have flock.
package deadletter
