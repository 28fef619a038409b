// SPDX-License-Identifier: Apache-2.0

package emulators_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/internal/emulators"
	"github.com/outkpl/outkpl/internal/emulators/emulatorstest"
)

// differentialSeed makes a failure repeatable; raise it to look for new ones.
const differentialSeed = 20261124

// keys are partition keys with something to get wrong in them.
var keys = []string{
	"a", "10", "9", "0", "pod-1", " ", "\x01", "\"quoted\\", "__proto__", "constructor",
	"caf\u00e9", "\u043a\u043b\u044e\u0447", "\u65e5\u672c", "\U0001f600", "line\u2028break", "tab\tnew\nline",
	strings.Repeat("k", 127), strings.Repeat("k", 128), strings.Repeat("\u00e9", 256),
}

// lengths are data lengths on both sides of what takes another byte of varint,
// for the data and for the record around it.
var lengths = []int{0, 1, 2, 100, 121, 122, 123, 124, 125, 126, 127, 128, 129, 16376, 16377, 16378, 16383, 16384, 16385}

func randomHashKey(r *rand.Rand) aggregation.HashKey {
	k := aggregation.HashKey{Hi: r.Uint64(), Lo: r.Uint64()}
	switch r.IntN(6) {
	case 0:
		k.Hi = 0
	case 1:
		k = aggregation.HashKey{}
	case 2:
		k = aggregation.MaxHashKey
	}
	return k
}

func randomData(r *rand.Rand) []byte {
	n := r.IntN(300)
	if r.IntN(3) == 0 {
		n = lengths[r.IntN(len(lengths))]
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// randomBatch makes user records of which all or none have an explicit hash key,
// because of what aws-kinesis-agg reports for a mixture.
func randomBatch(r *rand.Rand, keys []string) []emulators.Record {
	explicit := r.IntN(2) == 0
	batch := make([]emulators.Record, 1+r.IntN(40))
	for i := range batch {
		key := keys[r.IntN(len(keys))]
		if r.IntN(3) == 0 {
			key = fmt.Sprintf("key-%d", r.IntN(1000))
		}
		batch[i] = emulators.Record{PartitionKey: key, Data: randomData(r)}
		if explicit {
			batch[i].ExplicitHashKey = randomHashKey(r).String()
		}
	}
	return batch
}

// encode builds the aggregate of a batch.
func encode(t *testing.T, batch []emulators.Record) []byte {
	t.Helper()
	var b aggregation.Builder
	for _, r := range batch {
		if r.ExplicitHashKey == "" {
			b.Add(r.PartitionKey, r.Data)
			continue
		}
		k, err := aggregation.ParseHashKey(r.ExplicitHashKey)
		if err != nil {
			t.Fatal(err)
		}
		b.AddExplicit(r.PartitionKey, k, r.Data)
	}
	return b.AppendTo(nil)
}

// TestOurAggregatesAreUnderstood has another implementation read what we encode.
func TestOurAggregatesAreUnderstood(t *testing.T) {
	emulatorstest.Require(t)
	r := rand.New(rand.NewPCG(differentialSeed, 1))
	batches := make([][]emulators.Record, 300)
	records := make([]emulators.Record, len(batches))
	for i := range batches {
		batches[i] = randomBatch(r, keys)
		records[i] = emulators.Record{PartitionKey: "outer", SequenceNumber: fmt.Sprint(i), Data: encode(t, batches[i])}
	}
	users, err := emulators.Deaggregate(t.Context(), records)
	if err != nil {
		t.Fatal(err)
	}
	next := 0
	for i, batch := range batches {
		for j, want := range batch {
			if next == len(users) {
				t.Fatalf("unexpected number of user records; got %d; want more", len(users))
			}
			got := users[next]
			next++
			if got.SequenceNumber != fmt.Sprint(i) || got.SubSequenceNumber == nil || *got.SubSequenceNumber != j {
				t.Fatalf("batch %d, record %d: unexpected place; got %s, %v", i, j, got.SequenceNumber, got.SubSequenceNumber)
			}
			if got.PartitionKey != want.PartitionKey || got.ExplicitHashKey != want.ExplicitHashKey {
				t.Errorf("batch %d, record %d: unexpected keys; got %q, %q; want %q, %q",
					i, j, got.PartitionKey, got.ExplicitHashKey, want.PartitionKey, want.ExplicitHashKey)
			}
			if !bytes.Equal(got.Data, want.Data) {
				t.Errorf("batch %d, record %d: unexpected data; got %d bytes; want other %d bytes", i, j, len(got.Data), len(want.Data))
			}
		}
	}
	if next != len(users) {
		t.Errorf("unexpected number of user records; got %d; want %d", len(users), next)
	}
}

// TestTheirAggregatesAreUnderstood decodes what another implementation encodes.
func TestTheirAggregatesAreUnderstood(t *testing.T) {
	emulatorstest.Require(t)
	r := rand.New(rand.NewPCG(differentialSeed, 2))
	// Left out is what aws-kinesis-agg encodes wrongly: keys that a JavaScript object
	// sorts as numbers or has already.
	var usable []string
	for _, k := range keys {
		switch k {
		case "10", "9", "0", "__proto__", "constructor":
		default:
			usable = append(usable, k)
		}
	}
	batches := make([][]emulators.Record, 300)
	for i := range batches {
		batches[i] = randomBatch(r, usable)
		for j := range batches[i] {
			if len(batches[i][j].ExplicitHashKey) < 15 && batches[i][j].ExplicitHashKey != "" {
				batches[i][j].ExplicitHashKey = aggregation.MaxHashKey.String() // 0 for instance; the same fault
			}
		}
	}
	records, err := emulators.Aggregate(t.Context(), batches)
	if err != nil {
		t.Fatal(err)
	}
	for i, batch := range batches {
		users, aggregated := aggregation.Deaggregate(records[i].PartitionKey, records[i].ExplicitHashKey, records[i].Data)
		if !aggregated || len(users) != len(batch) {
			t.Fatalf("batch %d: unexpected result; got %d user records, aggregated %t; want %d, true", i, len(users), aggregated, len(batch))
		}
		for j, want := range batch {
			got := users[j]
			if got.PartitionKey != want.PartitionKey || got.ExplicitHashKey != want.ExplicitHashKey || !bytes.Equal(got.Data, want.Data) {
				t.Errorf("batch %d, record %d: unexpected user record; got %q, %q, %d bytes; want %q, %q, %d bytes", i, j,
					got.PartitionKey, got.ExplicitHashKey, len(got.Data), want.PartitionKey, want.ExplicitHashKey, len(want.Data))
			}
		}
		if ours := encode(t, batch); !bytes.Equal(ours, records[i].Data) {
			t.Errorf("batch %d: the encodings differ; got %d bytes from us, %d from aws-kinesis-agg", i, len(ours), len(records[i].Data))
		}
	}
}

func TestMixedExplicitHashKeys(t *testing.T) {
	emulatorstest.Require(t)
	batch := []emulators.Record{
		{PartitionKey: "a", Data: []byte("1")},
		{PartitionKey: "b", ExplicitHashKey: "340282366920938463463374607431768211455", Data: []byte("2")},
		{PartitionKey: "a", Data: []byte("3")},
		{PartitionKey: "c", ExplicitHashKey: "7", Data: []byte("4")},
	}
	users, err := emulators.Deaggregate(t.Context(), []emulators.Record{{PartitionKey: "a", SequenceNumber: "1", Data: encode(t, batch)}})
	if err != nil {
		t.Fatal(err)
	}
	if len(users) != len(batch) {
		t.Fatalf("unexpected number of user records; got %d; want %d", len(users), len(batch))
	}
	for i, want := range batch {
		got := users[i]
		if got.PartitionKey != want.PartitionKey || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("record %d: unexpected user record; got %q, %q; want %q, %q", i, got.PartitionKey, got.Data, want.PartitionKey, want.Data)
		}
		// For the others see UserRecord.ExplicitHashKey.
		if want.ExplicitHashKey != "" && got.ExplicitHashKey != want.ExplicitHashKey {
			t.Errorf("record %d: unexpected explicit hash key; got %s; want %s", i, got.ExplicitHashKey, want.ExplicitHashKey)
		}
	}
}

func TestBadChecksumIsRefusedByBoth(t *testing.T) {
	emulatorstest.Require(t)
	batch := []emulators.Record{{PartitionKey: "a", Data: []byte("1")}, {PartitionKey: "b", Data: []byte("2")}}
	good := encode(t, batch)
	bad := bytes.Clone(good)
	bad[len(bad)-1] ^= 1
	users, err := emulators.Deaggregate(t.Context(), []emulators.Record{
		{PartitionKey: "outer", SequenceNumber: "11", Data: good},
		{PartitionKey: "outer", SequenceNumber: "12", Data: bad},
	})
	if err == nil || !strings.Contains(err.Error(), "record 12: Invalid record checksum") {
		t.Errorf("unexpected error; got %v; want one about the checksum of record 12", err)
	}
	if len(users) != 2 {
		t.Errorf("unexpected number of user records of the good aggregate; got %d; want 2", len(users))
	}
	ours, aggregated := aggregation.Deaggregate("outer", "", bad)
	if aggregated || len(ours) != 1 || !bytes.Equal(ours[0].Data, bad) {
		t.Errorf("unexpected result; got %d user records, aggregated %t; want the record as it is", len(ours), aggregated)
	}
}

func TestPlainRecordPassesThroughBoth(t *testing.T) {
	emulatorstest.Require(t)
	for _, data := range []string{"", "plain text", "\xf3\x89\x9a", "{}\n"} {
		users, err := emulators.Deaggregate(t.Context(), []emulators.Record{{PartitionKey: "caf\u00e9", SequenceNumber: "1", Data: []byte(data)}})
		if err != nil {
			t.Fatal(err)
		}
		if len(users) != 1 || users[0].PartitionKey != "caf\u00e9" || users[0].SubSequenceNumber != nil || string(users[0].Data) != data {
			t.Errorf("unexpected result for %q; got %+v", data, users)
		}
		ours, aggregated := aggregation.Deaggregate("caf\u00e9", "", []byte(data))
		if aggregated || len(ours) != 1 || ours[0].PartitionKey != "caf\u00e9" || string(ours[0].Data) != data {
			t.Errorf("unexpected result of ours for %q; got %+v, aggregated %t", data, ours, aggregated)
		}
	}
}
