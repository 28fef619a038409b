// SPDX-License-Identifier: Apache-2.0

// Package emulators runs implementations that are not ours, for tests and for
// the demo: the Kinesis emulators kinesalite and kinesis-local, and the KPL
// aggregation of aws-kinesis-agg. All are npm packages, pinned by package-lock.json
// in this folder and installed by "make npm". The real KCL and the real KPL run on
// Java, pinned by java/pom.xml and installed by "make jvm".
//
//	if err := emulators.Available(); err != nil {
//		return err // says what is missing
//	}
//	server, err := emulators.Start(ctx, emulators.Kinesalite, emulators.Config{})
//	if err != nil {
//		return err
//	}
//	defer server.Stop()
//	// An endpoint without TLS, any credentials: server.URL()
//
// # Guarantees
//
//   - A server listens on free ports of the loopback address only.
//   - It ends with Stop, and also when this process ends in any way: its
//     standard input is a pipe from here.
//   - Nothing is written to disk, but for the native program of the KPL, which it unpacks
//     below java/target, where "make clean" removes it.
//   - What runs on Java ends with the context of the call, and speaks to 127.0.0.1 only.
//
// # Limits
//
// The programs run on Unix. What the emulators do not model, as seen with
// the versions of the lock file on 2026-11-24: neither enforces the limits of
// a shard. Kinesalite does not know UpdateShardCount and accepts a stream by ARN only
// together with its name; it ignores MaxResults and ShardFilter of
// ListShards, and a request with a NextToken ends its process. It takes 7 MiB of
// JSON a request. Kinesis-local slows down with the size of a request and with
// what it holds: a few hundred small records are right for it.
package emulators
