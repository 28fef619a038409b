// SPDX-License-Identifier: Apache-2.0

package emulators_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/outkpl/outkpl/internal/emulators"
	"github.com/outkpl/outkpl/internal/emulators/emulatorstest"
)

// whole is the range of a stream with one shard.
var whole = emulators.KCLShard{ID: "shardId-000000000000", StartingHashKey: "0", EndingHashKey: "340282366920938463463374607431768211455"}

// A large stream goes through page by page, and in order.
func TestKCLTakesALargeStream(t *testing.T) {
	emulatorstest.RequireJVM(t)
	shards := []emulators.KCLShard{whole, whole}
	shards[1].ID = "shardId-000000000001"
	data := bytes.Repeat([]byte("x"), 500)
	for i := range shards {
		for j := range 25_000 {
			shards[i].Records = append(shards[i].Records, emulators.Record{PartitionKey: "k", SequenceNumber: fmt.Sprint(j), Data: data})
		}
	}
	users, err := emulators.DeaggregateKCL(t.Context(), shards)
	if err != nil {
		t.Fatal(err)
	}
	if len(users) != 50_000 {
		t.Fatalf("unexpected number of user records; got %d; want 50000", len(users))
	}
	for i, u := range users {
		if want := shards[i/25_000].ID; u.ShardID != want || u.SequenceNumber != fmt.Sprint(i%25_000) || u.Aggregated || !bytes.Equal(u.Data, data) {
			t.Fatalf("record %d: unexpected place or data; got %s, %s, aggregated %t, %d bytes", i, u.ShardID, u.SequenceNumber, u.Aggregated, len(u.Data))
		}
	}
}

func TestMistakeInKCLInputIsReported(t *testing.T) {
	emulatorstest.RequireJVM(t)
	bad := whole
	bad.StartingHashKey = "zero"
	users, err := emulators.DeaggregateKCL(t.Context(), []emulators.KCLShard{bad})
	var thrown *emulators.KCLThrownError
	if err == nil || errors.As(err, &thrown) || len(users) != 0 {
		t.Errorf("unexpected result; got %d records, %v; want an error of our program", len(users), err)
	}
}
