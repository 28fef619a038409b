// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// The tests in this file classify answers of Kinesis with a halted pipeline, so that each
// step comes when the test says.

// taken closes what is open and takes the next request.
func taken(pl *pipeline) *request {
	pl.closeSome(never)
	return pl.formRequest()
}

// suspendChecks ends the checks of invariants.go.
func suspendChecks(pl *pipeline) {
	if pl.checks != nil {
		pl.checks.suspended = true
	}
}

// numberOf returns the first sequence number of a shard made in this second.
func numberOf(second int64) string {
	n := big.NewInt(2<<36 + second)
	n.Lsh(n, originShift)
	return n.String()
}

// answered has the shard that by names take each record of a request. The request
// has left, and its answer has come, at these moments.
func answered(pl *pipeline, req *request, number string, left, came int64, by func(kr *kinesisRecord) string) {
	out := &kinesis.PutRecordsOutput{}
	for _, kr := range req.records {
		id := by(kr)
		out.Records = append(out.Records, types.PutRecordsResultEntry{ShardId: &id, SequenceNumber: &number})
	}
	at := func(moment int64) time.Time { return pl.p.start.Add(time.Duration(moment)) }
	pl.respond(req, out, nil, at(left), at(came))
}

// predicted names the shard to which a record was sent, next one that cannot hold it.
func predicted(kr *kinesisRecord) string { return kr.shard.id }

func next(kr *kinesisRecord) string {
	var n int
	_, _ = fmt.Sscanf(kr.shard.id, "shardId-%d", &n)
	return fmt.Sprintf("shardId-%012d", (n+1)%4)
}

// fetched is the end of a fetch of the shard map that began at this moment.
func fetched(pl *pipeline, list, closed []types.Shard) {
	pl.listing.count++
	pl.listing.active = true
	pl.refreshEnded(list, closed, nil, pl.now)
}

// reconciled are the counters that tell how answers were reconciled.
type reconciled struct{ confirmed, wrong, uncertain, parked int }

func reconciledBy(pl *pipeline) reconciled {
	v := reconciled{confirmed: int(pl.stats.Confirmed), wrong: int(pl.stats.WrongShard), uncertain: int(pl.stats.Uncertain)}
	for _, u := range pl.unresolved {
		v.parked += len(u.kr.items)
	}
	return v
}

func wantReconciled(t *testing.T, pl *pipeline, when string, want reconciled) {
	t.Helper()
	if got := reconciledBy(pl); got != want {
		t.Errorf("%s: unexpected outcomes; got %+v; want %+v", when, got, want)
	}
}

// The id in the answer is the predicted one, but another shard has it now. Its range
// counts, or consumers of the new stream would drop what is confirmed here.
func TestAnswerOfAShardThatLeftTheMapIsCheckedAgainstItsRange(t *testing.T) {
	for _, c := range []struct {
		name   string
		shards int
		want   reconciled
	}{
		{"the same ranges", 4, reconciled{confirmed: 40}},
		{"other ranges, one shard less", 3, reconciled{confirmed: 12, wrong: 18, parked: 10}},
	} {
		t.Run(c.name, func(t *testing.T) {
			pl := halted(t)
			hand(t, pl, 40)
			locked(pl, func() {
				req := taken(pl)
				left := pl.now
				pl.dropMap()
				fetched(pl, equalShards(0, c.shards, ""), nil)
				answered(pl, req, "1", left, pl.now, predicted)
				wantReconciled(t, pl, "answer of the old ids", c.want)
			})
		})
	}
}

// An answer that contradicts the map in use says nothing about its own aggregate before
// a map is there that was fetched later. That the fetch fails does not make the old one
// fresh.
func TestPlacementMismatchIsConfirmedByALaterMapOnly(t *testing.T) {
	pl := halted(t, WithDistribution(DistributionByKey))
	hand(t, pl, 40)
	locked(pl, func() {
		answered(pl, taken(pl), "1", pl.now, pl.now, next)
		wantReconciled(t, pl, "at first", reconciled{parked: 40})
		pl.refreshFailed(errors.New("down"))
		wantReconciled(t, pl, "without a new map", reconciled{parked: 40})
		pl.resolveParked()
		if pl.listing.withClosed {
			t.Error("closed shards are to be listed before the open ones were")
		}
		fetched(pl, equalShards(0, 4, ""), nil)
		wantReconciled(t, pl, "with a new map", reconciled{wrong: 40})
	})
}

// Resending can double records, so the map gets its time. But it has to come to an end.
func TestUnresolvedAggregateIsResentWhenItsGraceIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pl := halted(t)
		b := hand(t, pl, 40)
		locked(pl, func() {
			answered(pl, taken(pl), "1", pl.now, pl.now, func(*kinesisRecord) string { return "shardId-000000000009" })
		})
		time.Sleep(10*time.Second - 1)
		locked(pl, func() {
			if pl.nextEvent() > pl.now+1 {
				t.Error("unexpected sleep of the loop beyond the grace")
			}
			pl.resolveParked()
			wantReconciled(t, pl, "before the end", reconciled{parked: 40})
		})
		time.Sleep(time.Nanosecond)
		locked(pl, func() {
			pl.resolveParked()
			wantReconciled(t, pl, "at the end", reconciled{wrong: 40, uncertain: 40})
		})
		if a := b.Result(7).Attempts; len(a) != 1 || a[0].Code != codeWrongShard || !a[0].Uncertain {
			t.Errorf("unexpected attempts %+v; want one in a wrong shard, uncertain", a)
		}
	})
}

// If answers name wrong shards again and again, the map does not say where
// records go. Then they are not aggregated, for an aggregate might never arrive. Attempts that ended
// otherwise do not count.
func TestRecordsThatEndInWrongShardsThreeTimesAreNotAggregated(t *testing.T) {
	pl := halted(t, WithDistribution(DistributionByKey))
	b := hand(t, pl, 40)
	locked(pl, func() {
		for i := range b.items {
			b.items[i].tries = 7
		}
		for attempt := 1; attempt <= 3; attempt++ {
			answered(pl, taken(pl), "1", pl.now, pl.now, next)
			fetched(pl, equalShards(0, 4, ""), nil)
			wantReconciled(t, pl, fmt.Sprint("attempt ", attempt), reconciled{wrong: 40 * attempt})
			alone := 0
			for i := range b.items {
				if b.items[i].has(itemAlone) {
					alone++
				}
			}
			if want := attempt / 3 * 40; alone != want {
				t.Errorf("unexpected number of records alone after attempt %d; got %d; want %d", attempt, alone, want)
			}
		}
		answered(pl, taken(pl), "1", pl.now, pl.now, next)
		wantReconciled(t, pl, "at last", reconciled{confirmed: 40, wrong: 120})
	})
}

// A request may be under way while its shard is closed. The range of the shard is
// remembered for as long as that may take, and no longer.
func TestRangeOfAClosedShardIsKeptForAWhile(t *testing.T) {
	for _, c := range []struct {
		name  string
		after time.Duration
		want  reconciled
	}{
		{"at once", 0, reconciled{confirmed: 40}},
		{"within 90 seconds", 90 * time.Second, reconciled{confirmed: 40}},
		{"later", 90*time.Second + 1, reconciled{parked: 40}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pl := halted(t)
				hand(t, pl, 40)
				var req *request
				var left int64
				locked(pl, func() {
					req, left = taken(pl), pl.now
					suspendChecks(pl) // the request is in no place that they know
					fetched(pl, equalShards(4, 2, ""), nil)
				})
				time.Sleep(c.after)
				locked(pl, func() {
					fetched(pl, equalShards(4, 2, ""), nil)
					answered(pl, req, "1", left, pl.now, predicted)
					wantReconciled(t, pl, "answer of closed shards", c.want)
				})
			})
		})
	}
}

// A fetch that was under way when the stream turned out to be another one may be of
// the old one. It is thrown away, and the next one begins at once.
func TestListFetchedBeforeTheStreamChangedIsThrownAway(t *testing.T) {
	pl := halted(t)
	locked(pl, func() {
		pl.listing.count++
		pl.listing.active, pl.listing.due = true, never
		pl.dropMap()
		pl.refreshEnded(equalShards(0, 4, ""), nil, nil, pl.now)
		if pl.shardMap.Load() != nil || pl.listing.due != pl.now {
			t.Errorf("unexpected state; got map %v, next fetch at %d; want none, %d", pl.shardMap.Load(), pl.listing.due, pl.now)
		}
		fetched(pl, equalShards(0, 3, ""), nil)
		if m := pl.shardMap.Load(); m == nil || len(m.ring) != 3 || pl.listing.due != never {
			t.Errorf("unexpected state after the next fetch; got map %v, next fetch at %d; want 3 shards and never", m, pl.listing.due)
		}
	})
}

// What asks for a new map while a fetch is under way may know more than that fetch will
// show, so another one follows.
func TestMapIsFetchedAgainIfItWasAskedForDuringTheFetch(t *testing.T) {
	for _, asked := range []bool{false, true} {
		pl := halted(t)
		locked(pl, func() {
			pl.listing.active, pl.listing.due, pl.listing.began = true, never, pl.now
			if asked {
				pl.refreshSoon()
			}
			fetched(pl, equalShards(0, 4, ""), nil)
			want := int64(never)
			if asked {
				want = pl.now + int64(refreshSpacing)
			}
			if pl.listing.due != want || pl.listing.again {
				t.Errorf("asked %v: unexpected next fetch; got %d (again: %v); want %d", asked, pl.listing.due, pl.listing.again, want)
			}
		})
	}
}

// A stream that is gone may come back as another one: with other ranges under the same
// ids, and another strategy.
func TestStreamThatComesBackIsDescribedBeforeItGetsRecords(t *testing.T) {
	pl := halted(t)
	hand(t, pl, 40)
	locked(pl, func() {
		pl.meta.describeDue = never
		pl.refreshFailed(&types.ResourceNotFoundException{})
		if pl.shardMap.Load() != nil || len(pl.shards.byID) != 0 || pl.meta.missing == nil || pl.stats.Failed[ReasonStreamNotFound] != 40 {
			t.Errorf("unexpected state without the stream; got map %v, missing %v, %d failed; want none, an error, 40", pl.shardMap.Load(), pl.meta.missing, pl.stats.Failed[ReasonStreamNotFound])
		}
		fetched(pl, equalShards(0, 4, ""), nil)
		if pl.meta.missing != nil || pl.meta.known || pl.meta.describeDue != pl.now {
			t.Errorf("unexpected state with the stream; got missing %v, metadata known %v, due at %d; want none, false, %d", pl.meta.missing, pl.meta.known, pl.meta.describeDue, pl.now)
		}
	})
}

// A map that was good until a while ago serves on if it cannot be had again, but not for
// a reason that may pass.
func TestIdleStreamsWaitForANewMapOnlyIfItMayCome(t *testing.T) {
	for _, c := range []struct {
		err     error
		waiting int
	}{
		{&types.AccessDeniedException{}, 0}, {&types.LimitExceededException{}, 40},
	} {
		pl := halted(t)
		locked(pl, func() { pl.shards.stale = true })
		hand(t, pl, 40)
		locked(pl, func() {
			pl.refreshFailed(c.err)
			if len(pl.awaiting.items) != c.waiting || pl.shards.stale != (c.waiting > 0) {
				t.Errorf("%T: unexpected state; got %d records that wait, stale %v; want %d", c.err, len(pl.awaiting.items), pl.shards.stale, c.waiting)
			}
		})
	}
}

// Answers that no map explains must not make a storm of calls.
func TestFetchesOfTheMapKeepADistance(t *testing.T) {
	pl := halted(t)
	locked(pl, func() {
		for _, c := range []struct {
			name             string
			since            time.Duration // the last fetch began
			refreshing, fail bool
			due, want        int64
		}{
			{"a moment ago", time.Millisecond, false, false, never, pl.now + int64(199*time.Millisecond)},
			{"long ago", time.Second, false, false, never, pl.now},
			{"due earlier", time.Millisecond, false, false, pl.now - 5, pl.now - 5},
			{"under way", time.Second, true, false, never, never},
			{"backed off", time.Second, false, true, never, never},
		} {
			pl.listing.began, pl.listing.active, pl.listing.due, pl.listing.backoff = pl.now-int64(c.since), c.refreshing, c.due, 0
			if c.fail {
				pl.listing.backoff = int64(time.Second)
			}
			pl.refreshSoon()
			if pl.listing.due != c.want || pl.listing.again != c.refreshing {
				t.Errorf("%s: unexpected next fetch; got %d, again %v; want %d, %v", c.name, pl.listing.due, pl.listing.again, c.want, c.refreshing)
			}
			pl.listing.again = false
		}
	})
}

// A request that left before the map was fetched says nothing new by its failure.
func TestOnlyRequestsAsNewAsTheMapCanDropIt(t *testing.T) {
	for _, old := range []bool{false, true} {
		pl := halted(t)
		hand(t, pl, 40)
		locked(pl, func() {
			req := taken(pl)
			req.gen = pl.listing.count
			if old {
				fetched(pl, equalShards(0, 4, ""), nil)
			}
			pl.requestFailed(req, classifyEntry("ResourceNotFoundException", ""), Attempt{Start: pl.p.start, End: pl.p.start})
			req.releaseRequest()
			if dropped := pl.shardMap.Load() == nil; dropped == old {
				t.Errorf("request older than the map %v: unexpected loss of the map %v", old, dropped)
			}
			if want := pl.now + int64(startupGrace); !old && pl.awaitsUntil() != want {
				t.Errorf("unexpected time for the new map; records wait until %d; want %d", pl.awaitsUntil(), want)
			}
		})
	}
}

func TestShardThatIsListedTwiceIsOneShard(t *testing.T) {
	pl := halted(t)
	locked(pl, func() {
		list := equalShards(0, 4, "")
		fetched(pl, append(list, list[2], list[0]), nil)
		m := pl.shardMap.Load()
		for i, a := range m.ring {
			if pl.shards.byID[a.shard.id] != a.shard {
				t.Errorf("unexpected shard %s in the map; it is not the one that is known", a.shard.id)
			}
			if i > 0 && m.ring[i-1].shard.id == a.shard.id {
				t.Errorf("unexpected shard %s; it is in the map twice", a.shard.id)
			}
		}
	})
}

// A caller that is between the look-up of a pipeline and the submission would write
// into a pipeline that has ended.
func TestCallerThatIsSubmittingKeepsItsPipeline(t *testing.T) {
	pl := halted(t)
	p := pl.p
	retire := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.retireOldest()
	}
	pl.users.Add(1)
	if retire() || p.pipelines["s"] != pl {
		t.Error("unexpected end of a pipeline that a caller has")
	}
	pl.users.Add(-1)
	if !retire() || p.pipelines["s"] != nil {
		t.Error("unexpected pipeline; it is idle and should have ended")
	}
}

// Source of the bound: PutRecords in the API reference; see maxRequestRecords.
func TestRequestHoldsAtMost500Records(t *testing.T) {
	pl := halted(t, WithAggregation(false), WithShardLimit(100_000, 1<<30))
	hand(t, pl, 500)
	locked(pl, func() {
		if c := &pl.collector; len(c.ready) != 0 || c.inFlight != 1 {
			t.Errorf("unexpected state after 500 records; got %d ready, %d requests in flight; want 0, 1", len(c.ready), c.inFlight)
		}
	})
	hand(t, pl, 600) // its place is taken, so they gather
	locked(pl, func() {
		req := pl.formRequest()
		if n := len(req.records); n != 500 {
			t.Errorf("unexpected number of records in a request; got %d; want 500 of 600", n)
		}
		pl.collector.requests = append(pl.collector.requests, req)
	})
}

// An answer from another shard than predicted asks for a map, unless a newer one than the
// request is there, or the shard has left it already.
func TestOnlyNewAnswersAskForAMap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pl := halted(t)
		time.Sleep(time.Minute)
		locked(pl, func() {
			fetched(pl, equalShards(0, 4, ""), nil)
			sh := pl.anyShard(func(*shard) bool { return true })
			for _, c := range []struct {
				name  string
				after int64 // the beginning of the fetch the request left
				gone  bool
				want  bool
			}{
				{"after the fetch began", 1, false, true},
				{"at that moment", 0, false, false},
				{"before", -1, false, false},
				{"after, from a shard that has left", 1, true, false},
			} {
				pl.listing.due, sh.current = never, !c.gone
				pl.refreshIfOlder(sh, pl.shardMap.Load().fetched+c.after)
				if got := pl.listing.due != never; got != c.want {
					t.Errorf("%s: unexpected fetch %v; want %v", c.name, got, c.want)
				}
			}
			sh.current = true
		})
	})
}

// Endpoints that know no filter list closed shards, too. Their ranges overlap those
// of the open ones.
func TestListOfShardsIsDividedIntoOpenAndClosedOnes(t *testing.T) {
	pl := halted(t)
	open, closed := equalShards(4, 2, numberOf(1)), equalShards(0, 1, numberOf(1))
	closed[0].SequenceNumberRange.EndingSequenceNumber = aws.String(numberOf(2))
	pl.p.client = shardLister{pl.p.client, append(slices.Clone(closed), open...)}
	for _, all := range []bool{false, true} {
		gotOpen, gotClosed, err := pl.callListShards(all)
		if err != nil || len(gotOpen) != 2 || len(gotClosed) != 1 || *gotClosed[0].ShardId != *closed[0].ShardId {
			t.Errorf("all %v: unexpected lists; got %d open, %d closed, %v; want 2, 1", all, len(gotOpen), len(gotClosed), err)
		}
	}
	pl.p.client = shardLister{pl.p.client, closed}
	if _, _, err := pl.callListShards(true); err == nil {
		t.Error("unexpected success with a stream that has no open shard")
	}
}

// shardLister is a client that lists these shards.
type shardLister struct {
	Client
	list []types.Shard
}

// ListShards implements Client.
func (c shardLister) ListShards(context.Context, *kinesis.ListShardsInput, ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	return &kinesis.ListShardsOutput{Shards: c.list}, nil
}

// What is known of a stream says nothing about another one under its name.
func TestRecreatedStreamIsDescribedAgain(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(pl *pipeline)
	}{
		{"its shards are gone", func(pl *pipeline) { pl.dropMap() }},
		{"its shards have other ranges", func(pl *pipeline) { fetched(pl, equalShards(0, 3, ""), nil) }},
		{"its shards were created at another time", func(pl *pipeline) { fetched(pl, equalShards(0, 4, numberOf(2000)), nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			pl := halted(t)
			locked(pl, func() {
				fetched(pl, equalShards(0, 4, numberOf(1000)), nil)
				fetched(pl, equalShards(4, 4, numberOf(1000)), nil)
				fetched(pl, equalShards(0, 4, numberOf(1000)), nil)
				pl.shards.closed["shardId-000000000007"] = hashRange{until: never}
				pl.shards.foreignSince, pl.shards.foreignLogged = pl.now+1, true
				pl.meta.created, pl.meta.describeDue = time.Now(), never
				c.do(pl)
				if pl.shards.foreignSince != 0 || pl.shards.foreignLogged {
					t.Errorf("answers are still said not to fit, since %d, logged %v; want nothing known", pl.shards.foreignSince, pl.shards.foreignLogged)
				}
				if len(pl.shards.closed) != 0 {
					t.Errorf("unexpected ranges of closed shards; got %d; want none: they are of the deleted stream", len(pl.shards.closed))
				}
				if pl.shardMap.Load() != nil && (pl.meta.describeDue != pl.now || !pl.meta.created.IsZero()) {
					t.Errorf("unexpected description; due at %d, stream created %v; want it due at %d", pl.meta.describeDue, pl.meta.created, pl.now)
				}
			})
		})
	}
}

// An aggregate in a shard that no list names is known to be lost only if all shards were
// listed, by the stream that answers.
func TestShardThatNoListNamesIsGoneOnlyIfAllWereListed(t *testing.T) {
	other := equalShards(6, 1, numberOf(3000))
	for _, c := range []struct {
		name           string
		listed, agreed bool // closed shards were asked for; the open ones have answered
		closed         []types.Shard
		want           reconciled
	}{
		{"open ones listed", false, true, nil, reconciled{parked: 40}},
		{"open ones listed, and a closed one nobody asked for", false, true, other, reconciled{parked: 40}},
		{"all listed, perhaps of another stream", true, false, other, reconciled{parked: 40}},
		{"all listed", true, true, other, reconciled{wrong: 40}},
		{"all listed, none is closed", true, true, nil, reconciled{wrong: 40}},
	} {
		t.Run(c.name, func(t *testing.T) {
			pl := halted(t)
			locked(pl, func() {
				fetched(pl, equalShards(4, 4, numberOf(2000)), nil)
				fetched(pl, equalShards(0, 4, numberOf(2000)), nil)
			})
			hand(t, pl, 40)
			locked(pl, func() {
				answered(pl, taken(pl), numberOf(1000), pl.now, pl.now, func(*kinesisRecord) string { return "shardId-000000000009" })
				wantReconciled(t, pl, "at first", reconciled{parked: 40})
				for _, sh := range pl.shards.byID {
					sh.origin.agreed = c.agreed
				}
				pl.listing.hadClosed = c.listed
				fetched(pl, equalShards(0, 4, numberOf(2000)), c.closed)
				wantReconciled(t, pl, "with a newer list", c.want)
			})
		})
	}
}
