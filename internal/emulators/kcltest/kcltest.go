// SPDX-License-Identifier: Apache-2.0

// Package kcltest shows what the real KCL delivers of what a kinesistest.Server
// stores.
//
//	func TestNothingIsLost(t *testing.T) {
//		fake := kinesistest.New(kinesistest.WithStream("demo", 4))
//		write(fake)
//		got := kcltest.Consume(t, fake, "demo")
//	}
//
// [Scenarios] are streams whose shards change while a program under test writes to
// them, with the count of what the KCL delivers of it in the end.
package kcltest

import (
	"testing"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/emulators"
	"github.com/outkpl/outkpl/internal/emulators/emulatorstest"
)

// Consume returns the user records of a stream that the KCL's own class delivers,
// shards in order of their ids, so parents before children, each with its range.
// It skips the test, or fails it with CI=true, where the KCL is not installed, and fails it if
// the class throws.
func Consume(t testing.TB, fake *kinesistest.Server, stream string) []emulators.KCLUserRecord {
	t.Helper()
	emulatorstest.RequireJVM(t)
	users, err := emulators.DeaggregateKCL(t.Context(), Shards(fake, stream))
	if err != nil {
		t.Fatal(err)
	}
	return users
}

// Shards returns what a stream stores in the form that
// [emulators.DeaggregateKCL] takes.
func Shards(fake *kinesistest.Server, stream string) []emulators.KCLShard {
	var shards []emulators.KCLShard
	for _, s := range fake.Shards(stream) {
		stored := fake.ShardRecords(stream, s.ID)
		shard := emulators.KCLShard{ID: s.ID, StartingHashKey: s.StartingHashKey, EndingHashKey: s.EndingHashKey, Records: make([]emulators.Record, len(stored))}
		for i, r := range stored {
			shard.Records[i] = emulators.Record{PartitionKey: r.PartitionKey, SequenceNumber: r.SequenceNumber, Data: r.Data}
		}
		shards = append(shards, shard)
	}
	return shards
}
