// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/internal/pace"
)

// knownShards are the shards of the map in use, and what is known beside it.
type knownShards struct {
	byID   map[string]*shard
	closed map[string]hashRange // until a while ago
	peers  pace.Peers           // of all shards that the stream has had

	stale         bool  // records wait for a new map, though there is one
	unavailable   bool  // the map cannot be had; records are not aggregated
	foreignSince  int64 // since when answers do not fit the list of shards; 0: they do
	foreignLogged bool  // the log says so
}

// listing is the state of the calls of ListShards.
type listing struct {
	active     bool
	again      bool // another one has to follow
	due        int64
	backoff    int64
	began      int64  // when the last one did
	count      uint64 // of those that began
	staleGen   uint64 // maps of those up to this one are of no use
	withClosed bool   // the next one lists closed shards, too
	hadClosed  bool   // the last one did
	lastError  string
	lastDetail string
	unanswered bool // no answer of Kinesis came
}

// refreshIfOlder is called for an answer from another shard than predicted. The map is
// fetched again if it still has the predicted shard and was fetched before
// the request left: an answer to an older request says nothing new.
func (pl *pipeline) refreshIfOlder(predicted *shard, requestStart int64) {
	if m := pl.shardMap.Load(); m != nil && predicted.current && requestStart > m.fetched {
		pl.refreshSoon()
	}
}

// refreshSoon asks for a new map. One fetch runs at a time; a fetch that is
// already under way may have seen the old state, so another follows it.
//
// Fetches keep a short distance, so that answers which no map explains cannot
// make a storm of them.
func (pl *pipeline) refreshSoon() {
	switch {
	case pl.listing.active:
		pl.listing.again = true
	case pl.listing.backoff == 0:
		pl.listing.due = min(pl.listing.due, max(pl.now, pl.listing.began+int64(refreshSpacing)))
	}
	// While failed fetches are backed off, the next one is due soon anyway.
}

// freshenMap makes records wait for a new map when the stream has been idle so long
// that it could have been deleted and recreated unnoticed. An active
// producer notices: Kinesis answers that there is no such stream. Called when a
// batch has been opened.
func (pl *pipeline) freshenMap() {
	m := pl.shardMap.Load()
	if m == nil || pl.shards.stale || pl.batches.open > 1 || pl.now-max(pl.batches.idleSince, m.fetched) < int64(mapIdleLimit) {
		return
	}
	pl.shards.stale, pl.awaiting.since = true, pl.now
	pl.refreshSoon()
}

// refresh fetches the map. It runs in a goroutine that ends with the fetch.
func (pl *pipeline) refresh(started int64, withClosed bool) {
	defer pl.p.work.Done()
	open, closed, err := pl.callListShards(withClosed)
	pl.locked("refresh", func() {
		pl.listing.hadClosed = withClosed
		pl.refreshEnded(open, closed, err, started)
	})
}

// callListShards fetches all pages of the open shards. If closed ones are asked for, those
// within the stream's retention come, too: over the years they may be very many.
func (pl *pipeline) callListShards(withClosed bool) (open, closed []types.Shard, err error) {
	defer recoverTo(&err, "ListShards")
	in := &kinesis.ListShardsInput{
		StreamName: &pl.stream.name, StreamARN: pl.stream.arn,
		MaxResults: aws.Int32(listShardsPage),
	}
	if !withClosed {
		in.ShardFilter = &types.ShardFilter{Type: types.ShardFilterTypeAtLatest}
	}
	var list []types.Shard
	for page := 0; ; page++ {
		if page == maxListShardsPages {
			return nil, nil, fmt.Errorf("the list of shards does not end after %d pages", page)
		}
		ctx, cancel := context.WithTimeout(pl.ctx, pl.cfg.requestTimeout)
		out, err := pl.p.client.ListShards(ctx, in)
		cancel()
		if err != nil {
			return nil, nil, err
		}
		pl.noteServiceTime(out.ResultMetadata)
		list = append(list, out.Shards...)
		if aws.ToString(out.NextToken) == "" {
			break
		}
		// A token must travel without the name of the stream.
		in = &kinesis.ListShardsInput{NextToken: out.NextToken, MaxResults: aws.Int32(listShardsPage)}
	}
	// Emulators ignore the filter.
	for _, s := range list {
		if s.SequenceNumberRange != nil && s.SequenceNumberRange.EndingSequenceNumber != nil {
			closed = append(closed, s)
		} else {
			open = append(open, s)
		}
	}
	if len(open) == 0 {
		return nil, nil, errors.New("the stream has no open shards yet")
	}
	return open, closed, nil
}

func (pl *pipeline) refreshEnded(list, closed []types.Shard, err error, started int64) {
	pl.listing.active = false
	if pl.ctx.Err() != nil || pl.ended {
		return
	}
	if err != nil {
		pl.refreshFailed(err)
		return
	}
	if pl.cfg.ordering == OrderingStrict && !partition(list) {
		// The pages of the list are from both sides of a reshard. A key could have
		// two queues.
		pl.refreshFailed(errors.New("the ranges of the open shards have gaps or overlaps, so that strict ordering cannot use them"))
		return
	}
	if pl.listing.count <= pl.listing.staleGen {
		// It began before the stream was found to be another one.
		pl.listing.again, pl.listing.due = false, pl.now
		return
	}
	pl.stats.MapRefreshes++
	pl.metrics.observe(MetricShardMapRefreshes, "", "", 1, 1)
	pl.listing.backoff, pl.listing.due = 0, never
	if pl.listing.again {
		pl.listing.again = false
		pl.refreshSoon()
	}
	if pl.listing.lastError != "" {
		pl.listing.lastError, pl.listing.lastDetail, pl.listing.unanswered = "", "", false
		pl.log(slog.LevelInfo, "shard map is available", "shards", len(list))
	}
	if pl.meta.missing != nil {
		// The stream exists now; what it is like has to be asked before it
		// gets an aggregate.
		pl.meta.known, pl.meta.describeDue = false, pl.now
	}
	pl.meta.missing, pl.shards.unavailable, pl.shards.stale = nil, false, false
	pl.installMap(list, started)
	pl.learnClosed(closed)
	pl.reviewPlacement()
	pl.releaseAwaiting()
	pl.resolveParked()
}

func (pl *pipeline) refreshFailed(err error) {
	v := classifyCall(err)
	pl.listing.again = false
	pl.listing.backoff = min(max(pl.listing.backoff+pl.listing.backoff/2, int64(refreshBackoffMin)), int64(refreshBackoffMax))
	pl.listing.due = pl.now + int64(float64(pl.listing.backoff)*(0.8+0.4*rand.Float64()))
	pl.listing.lastDetail = v.message
	if pl.listing.lastError != v.code {
		pl.listing.lastError, pl.listing.unanswered = v.code, v.foreign || v.code == codeNoAnswer
		pl.log(slog.LevelWarn, "cannot list shards; trying again", pl.cfg.failureArgs(v, actionList)...)
	}
	pl.meta.missing = nil
	if pl.shardMap.Load() != nil && v.action == actFail && v.reason == ReasonStreamNotFound {
		pl.dropMap()
	}
	if pl.shardMap.Load() != nil {
		if pl.shards.stale && v.action != actRetry {
			pl.shards.stale = false
			pl.releaseAwaiting()
		}
		pl.resolveParked()
		return // the old map stays in use
	}
	switch {
	case v.action == actFail && v.reason == ReasonStreamNotFound:
		// Records could only fail later and slower.
		pl.meta.missing = pl.recordError(v)
	case (v.action == actFail || v.action == actBisect) && !pl.shards.unavailable:
		pl.shards.unavailable = true
		pl.log(slog.LevelWarn, "records are not aggregated without the shard map, which costs more; allow kinesis:ListShards",
			"needs", "kinesis:ListShards")
	}
	pl.releaseAwaiting()
}

// installMap makes a new map the one in use. Records under way to shards that are
// gone are routed again.
func (pl *pipeline) installMap(list []types.Shard, started int64) {
	shards := make([]*shard, 0, len(list))
	recreated := false
	next := make(map[string]*shard, len(list))
	for _, s := range list {
		id := aws.ToString(s.ShardId)
		r, err := parseShard(s)
		if err != nil {
			pl.log(slog.LevelWarn, "cannot read the hash range of a shard; its records are not aggregated",
				"shard", id, "detail", err)
			continue
		}
		if next[id] != nil {
			continue // listed twice
		}
		sh := pl.shards.byID[id]
		// The same id with another range or origin is a stream that was recreated.
		other := sh != nil && (sh.start != r.start || sh.end != r.end || sh.origin.differsFrom(r.origin))
		recreated = recreated || other
		if sh == nil || other {
			sh = &shard{id: id, start: r.start, end: r.end, origin: r.origin, wakePos: -1}
			if sh.origin != nil {
				sh.origin.since = pl.now
			}
			sh.pace.Beside(&pl.shards.peers)
			sh.pace.Init(&pl.cfg.pace, pl.now)
		}
		next[id] = sh
		shards = append(shards, sh)
	}
	for id, r := range pl.shards.closed {
		if pl.now > r.until {
			delete(pl.shards.closed, id)
		}
	}
	for id, sh := range pl.shards.byID {
		if next[id] == sh {
			continue
		}
		pl.retireShard(sh)
		if next[id] == nil {
			pl.shards.closed[id] = hashRange{start: sh.start, end: sh.end, origin: sh.origin, until: pl.now + int64(closedRangeTTL)}
		}
	}
	for _, sh := range shards {
		sh.current = true
		delete(pl.shards.closed, sh.id)
	}
	if recreated {
		clear(pl.shards.closed) // ranges of another stream
		pl.shards.foreignSince, pl.shards.foreignLogged = 0, false
		pl.meta.created, pl.meta.describeDue = time.Time{}, pl.now // it may have other properties
		pl.log(slog.LevelWarn, "stream was deleted and recreated: the same shard ids are other shards")
	}
	pl.shards.byID = next
	m := newShardMap(shards)
	m.fetched, m.gen = started, pl.listing.count
	pl.shardMap.Store(m)
	pl.blockOverlappingShards(m)
	pl.reroute(func(kr *kinesisRecord) bool { return kr.shard != nil && !kr.shard.current })
}

// retireShard takes a shard out of the map in use.
func (pl *pipeline) retireShard(sh *shard) {
	sh.current = false
	delete(pl.verification.confirmed, sh)
	if sh.busy != nil {
		pl.ordering.draining = append(pl.ordering.draining, sh)
	}
}

// learnClosed keeps the ranges of closed shards that took parked aggregates, or those of an
// earlier process. A shard that
// is in no list of all shards, and older than each of them, was one of a stream that
// is deleted: no consumer can read there.
func (pl *pipeline) learnClosed(list []types.Shard) {
	if len(pl.unresolved)+len(pl.verification.places) == 0 {
		return
	}
	closed := make(map[string]hashRange, len(list))
	oldest, dated := (*origin)(nil), true
	for _, s := range list {
		r, err := parseShard(s)
		if err != nil {
			continue
		}
		closed[aws.ToString(s.ShardId)] = r
		oldest, dated = oldest.earlierOrigin(r.origin), dated && r.origin != nil
	}
	for _, sh := range pl.shards.byID {
		oldest, dated = oldest.earlierOrigin(sh.origin), dated && sh.origin != nil
	}
	learn := func(id, sequenceNumber string) {
		r, known := closed[id]
		switch {
		case pl.shards.byID[id] != nil:
			return
		case known:
		case pl.listing.hadClosed && dated && oldest.createdAfter(sequenceNumber) && pl.originConfirmed():
			r = hashRange{empty: true, origin: originOf(sequenceNumber)}
		default:
			return
		}
		r.until = pl.now + int64(closedRangeTTL)
		pl.shards.closed[id] = r
	}
	for _, u := range pl.unresolved {
		learn(u.attempt.shardID, u.attempt.sequenceNumber)
	}
	for id, sequenceNumber := range pl.verification.places {
		learn(id, sequenceNumber)
	}
}

// dropMap drops everything about the shards, because the stream is another
// one: the same ids may have other ranges. Records wait for the new map.
func (pl *pipeline) dropMap() {
	for _, sh := range pl.shards.byID {
		pl.retireShard(sh)
	}
	clear(pl.shards.byID)
	clear(pl.shards.closed)
	pl.shardMap.Store(nil)
	pl.shards.foreignSince, pl.shards.foreignLogged = 0, false
	pl.awaiting.since, pl.listing.staleGen = pl.now, pl.listing.count
	pl.refreshSoon()
	pl.reroute(func(kr *kinesisRecord) bool { return kr.shard != nil })
}
