// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// Streams of one name, by the second in which they were made.
const (
	olderStream = 1_000_000
	thisStream  = 2_000_000
	newerStream = 3_000_000
)

// ofStream is a halted pipeline whose map is that of thisStream. With proven, an
// answer has agreed with it.
func ofStream(t *testing.T, proven bool, opts ...Option) *pipeline {
	t.Helper()
	pl := halted(t, opts...)
	locked(pl, func() {
		pl.shards = map[string]*shard{}
		fetched(pl, equalShards(0, 4, numberOf(thisStream)), nil)
		pl.originsHold = proven
	})
	return pl
}

func unknownShard(*kinesisRecord) string { return "shardId-000000000009" }

// step is what happens to a pipeline, and the verdicts after it.
type step struct {
	what string
	do   func(pl *pipeline)
	want verdicts
}

func TestAnswersAreJudgedByTheStreamThatGaveThem(t *testing.T) {
	list := func(first, n int, second int64) step {
		return step{what: "list", do: func(pl *pipeline) { fetched(pl, equalShards(first, n, numberOf(second)), nil) }}
	}
	all := func(open []types.Shard, closed ...types.Shard) step {
		return step{what: "list of all shards", do: func(pl *pipeline) {
			if !pl.listClosed {
				t.Error("unexpected state; the closed shards are not asked for")
			}
			pl.listClosed, pl.closedListed = false, true
			fetched(pl, open, closed)
		}}
	}
	take := func(second int64, by func(*kinesisRecord) string) step {
		return step{what: "answer", do: func(pl *pipeline) { answered(pl, taken(pl), numberOf(second), pl.now, pl.now, by) }}
	}
	after := func(d time.Duration) step {
		return step{what: "time", do: func(pl *pipeline) { time.Sleep(d) }}
	}
	then := func(s step, want verdicts) step { s.want = want; return s }
	parked, confirmed, wrong := verdicts{parked: 40}, verdicts{confirmed: 40}, verdicts{wrong: 40}
	uncertain := verdicts{wrong: 40, uncertain: 40}
	bare := equalShards(4, 2, "") // without sequence numbers
	for _, c := range []struct {
		name   string
		proven bool
		steps  []step
		// What the pipeline has concluded in the end.
		ignored, gone bool
	}{
		{"this stream confirms", false, []step{then(take(thisStream, predicted), confirmed)}, false, false},
		// An answer that is the first one, and foreign: the list may be that of a deleted stream.
		{"the first answer waits for another list, which explains it", false,
			[]step{then(take(newerStream, predicted), parked), then(list(0, 4, newerStream), confirmed)}, false, false},
		{"the first answer is judged by the ranges of its own stream", false,
			[]step{then(take(newerStream, predicted), parked), then(list(0, 3, newerStream), verdicts{confirmed: 12, wrong: 18, parked: 10})}, false, false},
		{"sequence numbers that the next list contradicts, too, tell nothing", false,
			[]step{then(take(newerStream, predicted), parked), then(list(0, 4, thisStream), confirmed)}, true, false},
		{"answers of shards that an earlier list lacked are no proof against sequence numbers", false,
			[]step{then(take(olderStream, unknownShard), parked), then(list(9, 4, thisStream), parked)}, false, false},
		// Answers of a stream that was made later.
		{"records of a recreated stream wait for its list", true,
			[]step{then(take(newerStream, predicted), parked), then(list(0, 4, newerStream), confirmed)}, false, false},
		{"a list of the deleted stream is not used", true,
			[]step{then(take(newerStream, predicted), parked), then(list(0, 4, thisStream), parked)}, false, true},
		{"a list of the deleted stream is not used for ten seconds", true,
			[]step{then(take(newerStream, predicted), parked), then(after(10*time.Second), parked), then(list(0, 4, thisStream), parked)}, false, true},
		{"a list that insists for longer is used", true,
			[]step{then(take(newerStream, predicted), parked), then(after(10*time.Second+1), parked), then(list(0, 4, thisStream), uncertain)}, false, false},
		{"a list of a stream that is newer still is used", true,
			[]step{then(take(newerStream, predicted), parked), then(list(0, 4, newerStream+1000), wrong)}, false, false},
		// Answers of a stream that was deleted.
		{"a late answer of the deleted stream is resent at once", true,
			[]step{then(take(olderStream, next), wrong)}, false, false},
		// Shards that no list of open ones has.
		{"a closed shard is looked up, and confirms", true,
			[]step{then(take(thisStream+1000, unknownShard), parked), then(list(0, 4, thisStream), parked),
				then(all(equalShards(0, 4, numberOf(thisStream)), equalShards(9, 1, numberOf(thisStream+1000))...), confirmed)}, false, false},
		{"what is older than all shards, closed ones too, is of a deleted stream", true,
			[]step{then(take(olderStream, unknownShard), parked), then(list(0, 4, thisStream), parked),
				then(all(equalShards(0, 4, numberOf(thisStream))), wrong)}, false, false},
		{"what is as old as a closed shard is not", true,
			[]step{then(take(olderStream, unknownShard), parked), then(list(0, 4, thisStream), parked),
				then(all(equalShards(0, 4, numberOf(thisStream)), equalShards(5, 1, numberOf(olderStream))...), parked)}, false, false},
		{"nor what is as old as an open shard", true,
			[]step{then(take(olderStream, unknownShard), parked), then(list(0, 4, thisStream), parked),
				then(all(append(equalShards(0, 1, numberOf(olderStream)), equalShards(4, 2, numberOf(thisStream))...)), parked)}, false, false},
		{"nothing is known of the age of shards without sequence numbers, open ones", true,
			[]step{then(take(olderStream, unknownShard), parked), then(list(0, 4, thisStream), parked),
				then(all(append(equalShards(0, 4, numberOf(thisStream)), bare...)), parked)}, false, false},
		{"or closed ones", true,
			[]step{then(take(olderStream, unknownShard), parked), then(list(0, 4, thisStream), parked),
				then(all(equalShards(0, 4, numberOf(thisStream)), bare...), parked)}, false, false},
		{"nor without an answer that agreed", false,
			[]step{then(take(olderStream, unknownShard), parked), then(list(0, 4, thisStream), parked),
				then(all(equalShards(0, 4, numberOf(thisStream))), parked)}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pl := ofStream(t, c.proven)
				hand(t, pl, 40)
				for _, s := range c.steps {
					if s.what == "time" {
						s.do(pl)
					} else {
						locked(pl, func() { s.do(pl) })
					}
					wantVerdicts(t, pl, s.what, s.want)
				}
				if pl.originsIgnored != c.ignored || (pl.shardMap.Load() == nil) != c.gone || pl.facts.auto {
					t.Errorf("unexpected conclusions; got origins ignored %v, no map %v, AUTO %v; want %v, %v, false",
						pl.originsIgnored, pl.shardMap.Load() == nil, pl.facts.auto, c.ignored, c.gone)
				}
			})
		})
	}
}

// The sequence number of a deleted stream says nothing of the strategy, whatever shard it
// names; and the time at which the new stream was made is not yet known.
func TestRecreatedStreamIsDescribedAnew(t *testing.T) {
	pl := ofStream(t, true)
	hand(t, pl, 40)
	locked(pl, func() {
		pl.facts.made, pl.describeDue = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC), never
		answered(pl, taken(pl), numberOf(newerStream), pl.now, pl.now, next)
		if pl.facts.known || !pl.facts.made.IsZero() || pl.describeDue != pl.now || pl.facts.auto || pl.placement.inferred {
			t.Errorf("unexpected facts %+v, due at %d; want none, due at %d", pl.facts, pl.describeDue, pl.now)
		}
	})
}

// A shard of which the newest list has it that it cannot have given an answer, and has
// done so all the same, would make each aggregate wait.
func TestShardWhoseNumbersDoNotTellMakesRecordsWaitOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pl := ofStream(t, true)
		hand(t, pl, 40)
		locked(pl, func() { answered(pl, taken(pl), numberOf(newerStream), pl.now, pl.now, predicted) })
		time.Sleep(10*time.Second + 1)
		locked(pl, func() {
			fetched(pl, equalShards(0, 4, numberOf(thisStream)), nil)
			pl.facts.known = true
			pl.releaseHeld()
		})
		locked(pl, func() {
			answered(pl, taken(pl), numberOf(newerStream), pl.now, pl.now, predicted)
			wantVerdicts(t, pl, "second answer", verdicts{confirmed: 40, wrong: 40, uncertain: 40})
		})
	})
}

// Once sequence numbers are known to tell nothing, no answer waits because of them.
func TestNumbersThatTellNothingMakeNoAnswerWait(t *testing.T) {
	pl := ofStream(t, false)
	hand(t, pl, 40)
	locked(pl, func() {
		pl.originsIgnored, pl.refreshDue = true, never
		answered(pl, taken(pl), numberOf(newerStream), pl.now, pl.now, predicted)
		wantVerdicts(t, pl, "answer", verdicts{confirmed: 40})
		if pl.refreshDue != never {
			t.Error("unexpected fetch of the map")
		}
	})
}

// Some endpoints list closed shards though they are not asked for, and perhaps not all of
// them. That a shard is not among these says nothing.
func TestClosedShardsThatWereNotAskedForProveNothing(t *testing.T) {
	pl := ofStream(t, true)
	hand(t, pl, 40)
	locked(pl, func() {
		answered(pl, taken(pl), numberOf(olderStream), pl.now, pl.now, unknownShard)
		fetched(pl, equalShards(0, 4, numberOf(thisStream)), equalShards(7, 1, numberOf(thisStream)))
		wantVerdicts(t, pl, "list", verdicts{parked: 40})
	})
}

// Ranges of closed shards are those of their stream.
func TestRangesOfClosedShardsEndWithTheirStream(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(pl *pipeline)
	}{
		{"it is gone", func(pl *pipeline) { pl.dropMap() }},
		{"it has other ranges under the same ids", func(pl *pipeline) { fetched(pl, equalShards(4, 3, numberOf(thisStream)), nil) }},
		{"it is younger", func(pl *pipeline) { fetched(pl, equalShards(4, 2, numberOf(newerStream)), nil) }},
	} {
		pl := ofStream(t, true)
		locked(pl, func() {
			fetched(pl, equalShards(4, 2, numberOf(thisStream)), nil)
			if n := len(pl.closed); n != 4 {
				t.Fatalf("unexpected number of closed shards; got %d; want 4", n)
			}
			c.end(pl)
			if n := len(pl.closed); n != 0 {
				t.Errorf("%s: unexpected number of closed shards; got %d; want 0", c.name, n)
			}
		})
	}
}

// Numbers of another length prove nothing.
func TestOnlyNumbersOfTheKindOfAWSProveOrigins(t *testing.T) {
	for number, want := range map[string]bool{"1": false, "": false, numberOf(thisStream): true, numberOf(newerStream): false} {
		pl := ofStream(t, false)
		locked(pl, func() {
			pl.foreign(attemptNode{shardID: "shardId-000000000001", sequenceNumber: number})
			if pl.originsHold != want {
				t.Errorf("number %q: unexpected trust %v; want %v", number, pl.originsHold, want)
			}
		})
	}
}

func TestListTellsWhetherItIsOfTheDeletedStream(t *testing.T) {
	pl := ofStream(t, true)
	locked(pl, func() {
		pl.proof = attemptNode{shardID: "shardId-000000000002", sequenceNumber: numberOf(thisStream)}
		pl.proofUntil = never
		silent := equalShards(0, 4, "")
		mixed := equalShards(0, 4, numberOf(olderStream))
		mixed[2] = equalShards(0, 4, numberOf(thisStream))[2]
		for _, c := range []struct {
			name string
			list []types.Shard
			want bool
		}{
			{"of this stream", equalShards(0, 4, numberOf(thisStream)), false},
			{"of the deleted one", equalShards(0, 4, numberOf(olderStream)), true},
			{"of a newer one", equalShards(0, 4, numberOf(newerStream)), false},
			{"without the shard", equalShards(0, 2, numberOf(olderStream)), false},
			{"without numbers", silent, false},
			{"the shard's number counts", mixed, false},
		} {
			if got := pl.outdated(c.list); got != c.want {
				t.Errorf("%s: unexpected outdated %v; want %v", c.name, got, c.want)
			}
		}
	})
}

// Strict ordering must not have two lanes for a key, nor none.
func TestPartitionHasNoGapsAndOverlaps(t *testing.T) {
	hashes := func(ends ...string) (list []types.Shard) {
		for i := 0; i < len(ends); i += 2 {
			list = append(list, types.Shard{HashKeyRange: &types.HashKeyRange{StartingHashKey: aws.String(ends[i]), EndingHashKey: aws.String(ends[i+1])}})
		}
		return list
	}
	const most = "340282366920938463463374607431768211455"
	backwards := equalShards(0, 5, "")
	slices.Reverse(backwards)
	for _, c := range []struct {
		name string
		list []types.Shard
		want bool
	}{
		{"one", hashes("0", most), true},
		{"five", equalShards(0, 5, ""), true},
		{"in another order", backwards, true},
		{"none", nil, false},
		{"gap at the start", hashes("1", most), false},
		{"gap at the end", hashes("0", "340282366920938463463374607431768211454"), false},
		{"gap", hashes("0", "9", "11", most), false},
		{"overlap", hashes("0", "9", "9", most), false},
		{"the whole twice", hashes("0", most, "0", most), false},
		{"a range that ends before it begins", hashes("0", "9", "10", "5", "6", most), false},
		{"no range", append(hashes("0", most), types.Shard{}), false},
		{"no number", hashes("0", "x"), false},
	} {
		if got := partition(c.list); got != c.want {
			t.Errorf("%s: unexpected partition %v; want %v", c.name, got, c.want)
		}
	}
}
