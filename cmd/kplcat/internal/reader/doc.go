// SPDX-License-Identifier: Apache-2.0

// Package reader reads a Kinesis stream from one process: all shards at once,
// parents to their end before their children, as the Kinesis Client Library
// orders them.
//
//	err := reader.Run(ctx, reader.Config{
//		API: client, Stream: "logs", From: reader.From{At: reader.TrimHorizon}, UntilNow: true,
//		Handle: func(b reader.Batch) error { return show(b.Shard, b.Records) },
//	})
//
// # Guarantees
//
//   - Every record of the chosen shards and times is returned once; per shard in
//     order, and those of a child after those of its parents. There is no order
//     between other shards.
//   - New shards are found when their parents end: from the ChildShards of
//     GetRecords, or from ListShards where a server leaves those out.
//   - An iterator that expires is replaced at the place where reading stopped.
//   - A shard is called at most five times a second, throttled calls are
//     repeated after a growing pause, and so are calls that failed by chance.
//   - Memory is bounded: at most 16 pages of GetRecords (10 MiB each) exist.
//
// # Limits
//
// Nothing is remembered from run to run. Enhanced fan-out is not used, so the reader
// shares the 2 MiB/s and five calls a second that a shard grants all its
// consumers of this kind. An iterator at the tip (LATEST) that expires before a
// single record was read is replaced by a time; records of the second before
// can then be shown as well.
package reader
