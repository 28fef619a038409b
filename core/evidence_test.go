// SPDX-License-Identifier: Apache-2.0

package core

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// answeredSingly has shards answer for n records alone, one after the other: that which the key
// leads to, or one that cannot have it. The requests have left some time ago.
func answeredSingly(pl *pipeline, n int, right bool, ago time.Duration) {
	ring := pl.shardMap.Load().ring
	at := Attempt{Start: pl.p.start.Add(time.Duration(pl.now) - ago)}
	for i := range n {
		leads, takes := ring[i%4].shard, ring[i%4].shard
		if !right {
			takes = ring[(i+1)%4].shard
		}
		kr := &kinesisRecord{outer: leads.start}
		if !pl.meta.auto {
			kr.shard = leads
		}
		pl.placementMismatch(kr, &attemptNode{Attempt: &at, shardID: takes.id, sequenceNumber: "1"})
	}
}

// described takes over what DescribeStreamSummary says, asked at this moment.
func described(pl *pipeline, d types.RecordDistributionStrategy, asked int64) {
	pl.placement.described = true
	pl.learnMetadata(&types.StreamDescriptionSummary{RecordDistributionStrategy: d}, asked)
}

const (
	saysAuto  = types.RecordDistributionStrategyAuto
	saysByKey = types.RecordDistributionStrategyUserPartitionKey
)

// evidence is a step of a history of answers, and what is believed after it.
type evidence struct {
	what string
	do   func(pl *pipeline)
	auto bool
}

func wait(d time.Duration) func(*pipeline) { return func(*pipeline) { time.Sleep(d) } }

func TestBeliefInKeysFollowsTheEvidence(t *testing.T) {
	wrong := evidence{"an answer of a shard that cannot have the record", func(pl *pipeline) { answeredSingly(pl, 1, false, 0) }, true}
	late := evidence{"a late answer of a shard that cannot have the record", func(pl *pipeline) { answeredSingly(pl, 1, false, time.Second) }, true}
	right := func(n int, auto bool) evidence {
		return evidence{"answers of the right shards", func(pl *pipeline) { answeredSingly(pl, n, true, 0) }, auto}
	}
	newMap := func(first, n int, auto bool) evidence {
		return evidence{"a new map", func(pl *pipeline) { fetched(pl, equalShards(first, n, ""), nil) }, auto}
	}
	describe := func(d types.RecordDistributionStrategy, ago time.Duration, auto bool) evidence {
		return evidence{"DescribeStreamSummary says " + string(d), func(pl *pipeline) { described(pl, d, pl.now-int64(ago)) }, auto}
	}
	pass := func(d time.Duration, auto bool) evidence { return evidence{"time passes", wait(d), auto} }
	undescribed := evidence{"DescribeStreamSummary is not allowed", func(pl *pipeline) { pl.placement.described, pl.placement.denied = false, true }, true}
	for _, c := range []struct {
		name  string
		steps []evidence
	}{
		{"a map that agrees with the contradiction confirms it", []evidence{wrong, newMap(0, 4, true)}},
		{"a map whose fetch began before says nothing", []evidence{{"an answer during a fetch", func(pl *pipeline) {
			pl.listing.count++
			pl.listing.active = true
			answeredSingly(pl, 1, false, 0)
			pl.refreshEnded(equalShards(0, 1, ""), nil, nil, pl.now)
		}, true}, newMap(0, 1, false)}},
		{"a map that explains the answer takes it back", []evidence{wrong, newMap(0, 1, false)}},
		{"a map without the shard takes it back", []evidence{wrong, newMap(4, 4, false)}},
		{"an answer from before the contradiction says nothing", []evidence{pass(time.Minute, false), wrong, pass(time.Second, true), describe(saysByKey, 2*time.Second, true)}},
		{"a later answer decides", []evidence{wrong, pass(time.Second, true), describe(saysByKey, 0, false)}},
		{"DescribeStreamSummary needs no evidence", []evidence{describe(saysAuto, 0, true), newMap(0, 1, true)}},
		{"records that were sent later contradict DescribeStreamSummary, which is not trusted then", []evidence{
			pass(time.Second, false), describe(saysAuto, 0, true), describe(saysByKey, 0, false), pass(time.Second, false), wrong, newMap(0, 4, true),
			pass(time.Second, true), describe(saysByKey, 0, true), describe(saysAuto, 0, true), describe(saysByKey, 0, false),
		}},
		{"records that were sent earlier do not", []evidence{
			pass(time.Second, false), describe(saysAuto, 0, true), describe(saysByKey, 0, false), pass(time.Second, false), late, newMap(0, 4, true),
			pass(time.Second, true), describe(saysByKey, 0, false),
		}},
		{"it stays in contradiction until answers agree", []evidence{
			pass(time.Second, false), describe(saysAuto, 0, true), describe(saysByKey, 0, false), pass(time.Second, false), wrong, newMap(0, 4, true), describe(saysByKey, 0, true),
			right(100, true), pass(time.Minute, true), right(1, false),
		}},
		{"it is asked, if it may be, and not the answers", []evidence{
			describe(saysAuto, 0, true), right(200, true), pass(time.Hour, true), right(200, true), describe(saysByKey, 0, false),
		}},
		{"99 answers are not enough", []evidence{wrong, newMap(0, 4, true), undescribed, right(98, true), pass(time.Minute, true), right(1, true), right(1, false)}},
		{"a minute has to pass", []evidence{wrong, newMap(0, 4, true), undescribed, right(100, true), pass(time.Minute-1, true), right(1, true), pass(1, true), right(1, false)}},
		{"a contradiction begins it again", []evidence{
			wrong, newMap(0, 4, true), undescribed, right(100, true), pass(time.Minute, true), wrong,
			right(100, true), pass(time.Minute, true), right(1, false),
		}},
		{"it takes twice as long the next time", []evidence{
			wrong, newMap(0, 4, true), undescribed, right(100, true), pass(time.Minute, true), right(1, false),
			wrong, newMap(0, 4, true), right(100, true), pass(2*time.Minute-1, true), right(1, true), pass(1, true), right(1, false),
		}},
		{"and four times, if DescribeStreamSummary has put answers right that were wrong", []evidence{
			wrong, newMap(0, 4, true), undescribed, right(100, true), pass(time.Minute, true), right(1, false),
			describe(saysAuto, 0, true), describe(saysAuto, 0, true), undescribed, right(100, true), pass(4*time.Minute-1, true), right(1, true), pass(1, true), right(1, false),
		}},
		{"as long as at first, once DescribeStreamSummary has said so", []evidence{
			wrong, newMap(0, 4, true), undescribed, right(100, true), pass(time.Minute, true), right(1, false),
			describe(saysAuto, 0, true), describe(saysByKey, 0, false), wrong, newMap(0, 4, true), undescribed, right(100, true), pass(time.Minute, true), right(1, false),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pl := halted(t)
				for i, s := range c.steps {
					// Time passes without the lock.
					if s.what == "time passes" {
						s.do(pl)
					} else {
						locked(pl, func() { s.do(pl) })
					}
					if pl.meta.auto != s.auto {
						t.Fatalf("unexpected belief after step %d (%s); got AUTO %v; want %v", i, s.what, pl.meta.auto, s.auto)
					}
				}
			})
		})
	}
}

// The shard that was predicted has left the map, and another one has its id. That one
// cannot hold the record: either the stream is AUTO, or it was recreated.
func TestPredictionOfAShardThatLeftTheMapIsNoAgreement(t *testing.T) {
	pl := halted(t)
	locked(pl, func() {
		old := pl.shards.byID["shardId-000000000001"]
		fetched(pl, equalShards(0, 1, ""), nil)
		fetched(pl, equalShards(0, 3, ""), nil)
		kr := &kinesisRecord{shard: old, outer: old.start}
		a := &attemptNode{Attempt: &Attempt{Start: pl.p.start}, shardID: old.id}
		if !pl.placementMismatch(kr, a) || !pl.meta.auto {
			t.Error("unexpected agreement with a shard that has only the id of the one that was predicted")
		}
	})
}

// Answers of one shard alone agree by chance.
func TestAnswersOfOneShardDoNotBringKeysBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pl := halted(t)
		locked(pl, func() {
			answeredSingly(pl, 1, false, 0)
			pl.placement.denied = true
			for range 10 {
				pl.placementMatched(pl.shards.byID["shardId-000000000000"])
			}
		})
		time.Sleep(time.Hour)
		locked(pl, func() {
			sh := [2]*shard{pl.shards.byID["shardId-000000000000"], pl.shards.byID["shardId-000000000001"]}
			for range 200 {
				pl.placementMatched(sh[0])
			}
			for i := range 10 {
				if !pl.meta.auto {
					t.Fatalf("unexpected belief in keys after %d changes of the shard; want 10", i)
				}
				pl.placementMatched(sh[(i+1)%2])
			}
			if pl.meta.auto {
				t.Error("unexpected disbelief after 10 changes of the shard")
			}
		})
	})
}

// Evidence has both looked up, the shards and the strategy: only they distinguish AUTO from
// a recreated stream.
func TestContradictionAsksForMapAndStrategy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pl := halted(t)
		time.Sleep(time.Minute)
		locked(pl, func() {
			pl.listing.due, pl.meta.describeDue = never, never
			answeredSingly(pl, 1, false, 0)
			if pl.listing.due > pl.now || pl.meta.describeDue > pl.now+int64(time.Second) {
				t.Errorf("unexpected moments; got map in %v, strategy in %v; want at once, within a second", time.Duration(pl.listing.due-pl.now), time.Duration(pl.meta.describeDue-pl.now))
			}
			if pl.mayOmitKeys() {
				t.Error("unexpected records without key; nobody is certain that the stream is AUTO")
			}
			described(pl, saysAuto, pl.now)
			if !pl.mayOmitKeys() {
				t.Error("unexpected records with key; the stream is AUTO")
			}
		})
	})
}

// What DescribeStreamSummary says may be older than the contradiction, so it is asked
// again.
func TestStrategyIsAskedForAgainIfTheAnswerMayBeOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pl := halted(t)
		time.Sleep(time.Minute)
		locked(pl, func() {
			answeredSingly(pl, 1, false, 0)
			pl.meta.describeDue = never
			described(pl, saysByKey, pl.now-1)
			if !pl.meta.auto || pl.meta.describeDue == never {
				t.Errorf("unexpected state; got AUTO %v, asks in %v; want true, soon", pl.meta.auto, time.Duration(pl.meta.describeDue-pl.now))
			}
		})
	})
}

// On an AUTO stream a shard that is not in the map has come since it was fetched. Answers
// to requests that left before that say nothing new.
func TestAnswerOfAnUnknownShardAsksForAMapOfAnAutoStream(t *testing.T) {
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			pl := halted(t)
			time.Sleep(time.Minute)
			locked(pl, func() {
				described(pl, saysAuto, pl.now)
				pl.shardMap.Load().fetched = pl.now
				pl.listing.due = never
				left := pl.now
				if late {
					left++
				}
				at := Attempt{Start: pl.p.start.Add(time.Duration(left))}
				pl.placementMismatch(&kinesisRecord{}, &attemptNode{Attempt: &at, shardID: "shardId-000000000009"})
				if got := pl.listing.due != never; got != late {
					t.Errorf("request left after the fetch %v: unexpected fetch %v", late, got)
				}
			})
		})
	}
}

// A stream has the time of its creation for life.
func TestTimeOfCreationShowsARecreatedStream(t *testing.T) {
	pl := halted(t)
	made := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for i, c := range []struct {
		made *time.Time
		drop bool
	}{
		{nil, false},
		{&made, false},
		{&made, false},
		{nil, false},
		{ptr(made.In(time.FixedZone("", 3600))), false},
		{ptr(made.Add(time.Second)), true},
		{ptr(made.Add(time.Second)), false},
		{&made, true},
	} {
		locked(pl, func() {
			pl.learnMetadata(&types.StreamDescriptionSummary{StreamCreationTimestamp: c.made}, pl.now)
			if got := pl.shardMap.Load() == nil; got != c.drop {
				t.Errorf("step %d: unexpected loss of the map %v; want %v", i, got, c.drop)
			}
			fetched(pl, equalShards(0, 4, ""), nil)
		})
	}
}

func ptr[T any](v T) *T { return &v }
