// SPDX-License-Identifier: Apache-2.0

package emulators_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/emulators"
	"github.com/outkpl/outkpl/internal/emulators/emulatorstest"
	"github.com/outkpl/outkpl/internal/emulators/kcltest"
)

const kclStream = "kcl"

// storedBatch is what one Kinesis record of the tests carries.
type storedBatch struct {
	blob       []byte
	key        string // of the Kinesis record
	aggregated bool
	misplaced  int // user records out of the range of the shard
}

// shardRange is a range of hash keys, both inclusive.
type shardRange struct{ start, end aggregation.HashKey }

func (r shardRange) has(k aggregation.HashKey) bool { return !k.Less(r.start) && !r.end.Less(k) }

// random returns a position in the range, now and then one of its ends.
func (r shardRange) random(rnd *rand.Rand) aggregation.HashKey {
	switch rnd.IntN(8) {
	case 0:
		return r.start
	case 1:
		return r.end
	}
	for {
		// The ranges of the tests are whole in the upper half, or nearly so.
		k := aggregation.HashKey{Hi: r.start.Hi, Lo: rnd.Uint64()}
		if d := r.end.Hi - r.start.Hi; d == 1<<64-1 {
			k.Hi = rnd.Uint64()
		} else {
			k.Hi += rnd.Uint64N(d + 1)
		}
		if r.has(k) {
			return k
		}
	}
}

// outside returns a position out of the range, now and then right beside it.
func (r shardRange) outside(rnd *rand.Rand, all []shardRange) aggregation.HashKey {
	if rnd.IntN(3) == 0 && r.end.Less(aggregation.MaxHashKey) {
		next := r.end
		if next.Lo++; next.Lo == 0 {
			next.Hi++
		}
		return next
	}
	for {
		if other := all[rnd.IntN(len(all))]; other != r {
			return other.random(rnd)
		}
	}
}

// randomUser makes a user record with its place in the range, or out of it. Half of
// them have an explicit hash key.
func randomUser(rnd *rand.Rand, r shardRange, all []shardRange, inside bool) emulators.Record {
	key := func() string {
		k := keys[rnd.IntN(len(keys))]
		switch rnd.IntN(3) {
		case 0:
			return k
		case 1:
			if longer := fmt.Sprint(k, "-", rnd.IntN(1000)); utf8.RuneCountInString(longer) <= 256 {
				return longer
			}
			return k
		}
		return fmt.Sprint("key-", rnd.IntN(1000))
	}
	u := emulators.Record{PartitionKey: key(), Data: randomData(rnd)}
	if rnd.IntN(2) == 0 {
		// The partition key means nothing then.
		if inside {
			u.ExplicitHashKey = r.random(rnd).String()
		} else {
			u.ExplicitHashKey = r.outside(rnd, all).String()
		}
		return u
	}
	for r.has(aggregation.HashPartitionKey(u.PartitionKey)) != inside {
		u.PartitionKey = key()
	}
	return u
}

// storeRandomly puts random Kinesis records into a stream of n shards. It returns
// them by their sequence numbers.
func storeRandomly(t *testing.T, n, batches int) (*kinesistest.Server, map[string]storedBatch) {
	t.Helper()
	fake := kinesistest.New(kinesistest.WithStream(kclStream, n))
	var ranges []shardRange
	for _, s := range fake.Shards(kclStream) {
		ranges = append(ranges, rangeOf(t, s))
	}
	rnd := rand.New(rand.NewPCG(differentialSeed, uint64(n)))
	stored := map[string]storedBatch{}
	for range batches {
		r := ranges[rnd.IntN(n)]
		s := storedBatch{key: "outer", aggregated: rnd.IntN(8) > 0}
		batch := make([]emulators.Record, 1+rnd.IntN(30))
		for i := range batch {
			batch[i] = randomUser(rnd, r, ranges, true)
		}
		// First, in the middle, last, all: wherever it is, it must cost all the others.
		if n > 1 && rnd.IntN(3) == 0 {
			s.misplaced = 1 + rnd.IntN(min(3, len(batch)))
			for _, i := range rnd.Perm(len(batch))[:s.misplaced] {
				batch[i] = randomUser(rnd, r, ranges, false)
			}
		}
		if s.aggregated {
			s.blob = encode(t, batch)
		} else {
			// Wherever its key belongs.
			s.key, s.blob = batch[0].PartitionKey, batch[0].Data
		}
		out, err := fake.Client().PutRecord(t.Context(), &kinesis.PutRecordInput{
			StreamName: aws.String(kclStream), PartitionKey: &s.key, ExplicitHashKey: aws.String(r.random(rnd).String()), Data: s.blob,
		})
		if err != nil {
			t.Fatal(err)
		}
		stored[*out.SequenceNumber] = s
	}
	return fake, stored
}

func rangeOf(t *testing.T, s kinesistest.Shard) (r shardRange) {
	t.Helper()
	var err, err2 error
	r.start, err = aggregation.ParseHashKey(s.StartingHashKey)
	r.end, err2 = aggregation.ParseHashKey(s.EndingHashKey)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	return r
}

// expectKCL says what the KCL makes of a stream: the user records of an aggregate
// if all of them are in the range of the shard, none of them otherwise; and plain
// records wherever they are.
func expectKCL(fake *kinesistest.Server, stored map[string]storedBatch) (want, dropped []emulators.KCLUserRecord) {
	for _, r := range fake.Records(kclStream) {
		s := stored[r.SequenceNumber]
		users, aggregated := aggregation.Deaggregate(r.PartitionKey, "", r.Data)
		for i, u := range users {
			k := emulators.KCLUserRecord{
				ShardID: r.ShardID, SequenceNumber: r.SequenceNumber, SubSequenceNumber: int64(i), Aggregated: aggregated,
				PartitionKey: u.PartitionKey, ExplicitHashKey: u.ExplicitHashKey, Data: u.Data,
			}
			if aggregated && s.misplaced > 0 {
				dropped = append(dropped, k)
			} else {
				want = append(want, k)
			}
		}
	}
	return want, dropped
}

// compareKCL fails at the first difference.
func compareKCL(t *testing.T, what string, got, want []emulators.KCLUserRecord) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if g.ShardID != w.ShardID || g.SequenceNumber != w.SequenceNumber || g.SubSequenceNumber != w.SubSequenceNumber || g.Aggregated != w.Aggregated ||
			g.PartitionKey != w.PartitionKey || g.ExplicitHashKey != w.ExplicitHashKey || !bytes.Equal(g.Data, w.Data) {
			t.Fatalf("%s: unexpected record %d; got %s, %s/%d, aggregated %t, keys %q, %q, %d bytes; want %s, %s/%d, aggregated %t, keys %q, %q, %d bytes", what, i,
				g.ShardID, g.SequenceNumber, g.SubSequenceNumber, g.Aggregated, g.PartitionKey, g.ExplicitHashKey, len(g.Data),
				w.ShardID, w.SequenceNumber, w.SubSequenceNumber, w.Aggregated, w.PartitionKey, w.ExplicitHashKey, len(w.Data))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%s: unexpected number of records; got %d; want %d", what, len(got), len(want))
	}
}

// The KCL reads what we encode as we do, and drops an aggregate as a whole if one
// of its user records is out of the range of the shard, whichever it is.
func TestKCLReadsOurAggregatesWholeOrNotAtAll(t *testing.T) {
	for _, n := range []int{1, 16, 64} {
		t.Run(fmt.Sprint(n, " shards"), func(t *testing.T) {
			fake, stored := storeRandomly(t, n, 1000)
			want, dropped := expectKCL(fake, stored)
			if n > 1 && len(dropped) < 1000 {
				t.Fatalf("unexpected number of records in aggregates with one out of range; got %d; want 1000 at least", len(dropped))
			}
			compareKCL(t, "the KCL", kcltest.Consume(t, fake, kclStream), want)
		})
	}
}

// Without a range the KCL drops nothing.
func TestKCLWithoutRangesReadsEverything(t *testing.T) {
	emulatorstest.RequireJVM(t)
	fake, stored := storeRandomly(t, 16, 300)
	want, _ := expectKCL(fake, nil)
	shards := kcltest.Shards(fake, kclStream)
	for i := range shards {
		shards[i].StartingHashKey, shards[i].EndingHashKey = "", ""
	}
	misplaced := 0
	for _, s := range stored {
		misplaced += s.misplaced
	}
	if misplaced == 0 {
		t.Fatal("no record is out of range")
	}
	got, err := emulators.DeaggregateKCL(t.Context(), shards)
	if err != nil {
		t.Fatal(err)
	}
	compareKCL(t, "the KCL", got, want)
}

// The reader of kinesistest has the KCL's rule.
func TestKinesistestConsumesAsTheKCLDoes(t *testing.T) {
	fake, stored := storeRandomly(t, 16, 1000)
	_, wantDropped := expectKCL(fake, stored)
	c := fake.Consume(kclStream)
	convert := func(in []kinesistest.UserRecord) (out []emulators.KCLUserRecord) {
		for _, u := range in {
			k := emulators.KCLUserRecord{
				ShardID: u.ShardID, SequenceNumber: u.SequenceNumber, SubSequenceNumber: int64(u.SubSequenceNumber), Aggregated: u.Aggregated,
				PartitionKey: u.PartitionKey, Data: u.Data,
			}
			if u.Aggregated { // the fake remembers that of a plain record, too
				k.ExplicitHashKey = u.ExplicitHashKey
			}
			out = append(out, k)
		}
		return out
	}
	compareKCL(t, "Records", convert(c.Records), kcltest.Consume(t, fake, kclStream))
	compareKCL(t, "Dropped", convert(c.Dropped), wantDropped)
}

// TestPlainRecordIsNeverDroppedByKCL stores records far from where their keys
// belong, also such as are nearly aggregates.
func TestPlainRecordIsNeverDroppedByKCL(t *testing.T) {
	good := encode(t, []emulators.Record{{PartitionKey: "a", Data: []byte("1")}, {PartitionKey: "b", Data: []byte("2")}})
	bad := bytes.Clone(good)
	bad[len(bad)-1] ^= 1
	fake := kinesistest.New(kinesistest.WithStream(kclStream, 2))
	payloads := []string{"", "x", "plain text", string(good[:4]), string(good[:12]), string(good[:len(good)-1]), string(bad), string(frame(nil)), string(frame([]byte{7}))}
	for _, data := range payloads {
		for _, at := range []string{"0", aggregation.MaxHashKey.String()} {
			if _, err := fake.Client().PutRecord(t.Context(), &kinesis.PutRecordInput{
				StreamName: aws.String(kclStream), PartitionKey: aws.String("caf\u00e9"), ExplicitHashKey: &at, Data: []byte(data),
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []string
	for _, u := range kcltest.Consume(t, fake, kclStream) {
		if u.Aggregated || u.PartitionKey != "caf\u00e9" || u.ExplicitHashKey != "" {
			t.Errorf("unexpected record; got %+v; want a plain one", u)
		}
		got = append(got, string(u.Data))
	}
	if want := slices.Concat(payloads, payloads); !slices.Equal(got, want) {
		t.Errorf("unexpected data; got %q; want %q", got, want)
	}
}
