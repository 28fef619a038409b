// SPDX-License-Identifier: Apache-2.0

// Package conformance holds no code, only one test suite of the producer that runs
// against three Kinesis implementations: kinesistest over HTTP, kinesalite and,
// with little data, kinesis-local. What they have in common is not likely to
// be an invention of ours, and the suite keeps kinesistest from drifting.
//
//	go test ./internal/emulators/conformance
//
// Every test puts records through core and awsclient, reads the stream back as a
// KCL consumer would, and compares record by record: nothing lost, nothing twice, and
// each in the shard that its result names.
//
// Two more suites use what AWS ships, which runs on Java: the KCL reads what the
// producer has written into kinesistest while shards were split and merged, and all
// readers read what the KPL has written there.
package conformance
