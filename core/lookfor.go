// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"time"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core/internal/readback"
)

// Unanswered is a Kinesis record that was sent, with what is needed to find out later, in another
// process, whether it is stored. It has nothing of the contents.
type Unanswered struct {
	// Stream is the name of the stream, ShardID the shard that the record was sent to.
	Stream, ShardID string
	// PartitionKey is its outer one, which no other record has.
	PartitionKey string
	// After is a sequence number that the shard had confirmed shortly before, or empty. Since is
	// a time of the service before that.
	After string
	Since time.Time
	// Hash is the outer hash key. Those of the user records are from First to Last.
	Hash, First, Last aggregation.HashKey
	// Records is the number of user records for which the caller asks, for the metrics.
	Records int
}

// ownPlaces is for how many calls of a Kinesis record a trace has a place for each. To read from
// the first one finds those of all, but takes longer.
const ownPlaces = 2

// Verifies reports whether Unanswered may report true for any Kinesis record: WithVerifyUncertain is on.
func (c *TracedCall) Verifies() bool { return c.pl.cfg.verify }

// Unanswered returns what is needed to look for Kinesis record i as this call may store it. What an
// earlier call may have stored of it with the same partition key was told then; but from the third
// call on it is told again, since not all calls of an outage are kept. It reports false if that
// cannot be done: WithVerifyUncertain is off, the record has no key of its own, or no time of the
// service is known.
func (c *TracedCall) Unanswered(i int) (Unanswered, bool) {
	kr := c.req.records[i]
	if !c.pl.cfg.verify || !kr.wrapped || kr.key == "" || kr.shardID() == "" || kr.sentAt == 0 {
		return Unanswered{}, false
	}
	at, place := kr.lastSent()
	if s := kr.sent; s != nil && s.again != nil && s.again.calls > ownPlaces {
		at, place = kr.sentAt, s
	}
	d := Unanswered{
		Stream: c.Stream, ShardID: kr.shard.id, PartitionKey: kr.key, After: place.number(), Since: c.pl.serviceTimeAt(at),
		Hash: kr.outer, First: kr.outer, Last: kr.outer, Records: len(kr.items),
	}
	for _, it := range kr.items {
		h := kr.hashOf(it)
		if h.Less(d.First) {
			d.First = h
		}
		if d.Last.Less(h) {
			d.Last = h
		}
	}
	return d, !d.Since.IsZero()
}

// LookOutcome is what was found out about an Unanswered record.
type LookOutcome uint8

const (
	// LookOpen: it could not be found out in time, or at all.
	LookOpen LookOutcome = iota
	// LookStored: it is stored where all of its user records belong.
	LookStored
	// LookMissing: consumers do not get it. It is not stored, or in a shard out of whose
	// range some of its user records are.
	LookMissing
)

// Found is where the record of an Unanswered is.
type Found struct {
	Outcome                 LookOutcome
	ShardID, SequenceNumber string // if it is stored
}

// LookFor looks for Kinesis records that an earlier process has sent to a stream, named as
// for PutBatch, without hearing of it, and returns what became of each. A record is missing
// if it was not read in a read up to the tip of its shard that began 1 s after the call of
// LookFor or later. This takes as long as WithVerifyLimits allows at most; it ends earlier
// with ctx and with Close. Without WithVerifyUncertain all stay open.
func (p *Producer) LookFor(ctx context.Context, stream string, list []Unanswered) []Found {
	s := &lookups{list: list, found: make([]Found, len(list)), open: make(map[*readback.Entry]struct{}, len(list)), left: len(list), done: make(chan struct{})}
	if !p.cfg.verify || len(list) == 0 {
		return s.found
	}
	pl, err := p.acquirePipeline(stream)
	if err != nil {
		return s.found
	}
	defer p.releasePipeline(pl)
	ctx, cancel := context.WithTimeout(ctx, p.cfg.verifyTime+verifySettle)
	defer cancel()
	pl.locked("look for", func() { pl.beginLookups(s) })
	select {
	case <-s.done:
	case <-ctx.Done():
	case <-pl.ctx.Done():
	case <-p.closing:
	}
	pl.locked("end of lookups", func() { pl.endLookups(s) })
	pl.checkPlaces(ctx, s)
	return s.found
}

// lookups are the records of one call.
type lookups struct {
	list  []Unanswered
	found []Found // guarded by the pipeline's lock while any are open
	open  map[*readback.Entry]struct{}
	left  int           // those that are open, and those that have not begun
	done  chan struct{} // closed when none is left
}

// lookup is the owner of a readback.Entry.
type lookup struct {
	of *lookups
	i  int
}

func (pl *pipeline) beginLookups(s *lookups) {
	w := &pl.verification
	var settled []readback.Settled
	for i := range s.list {
		d := &s.list[i]
		pl.countVerified(&pl.stats.VerifyOpened, MetricVerifyOpened, d.Records)
		e := &readback.Entry{
			Key: d.PartitionKey, Shard: d.ShardID, Hash: d.Hash, After: d.After, Since: d.Since, Near: d.Since.Add(verifySlack), NearAfter: d.After, Earlier: true,
			Ended: pl.now, Until: pl.now + int64(pl.cfg.verifyTime), Bytes: verifyOverhead,
			Owner: &lookup{s, i},
		}
		s.open[e] = struct{}{}
		switch {
		case pl.ended, pl.broken != nil, pl.meta.auto, pl.now < w.deniedEnd,
			d.Stream != pl.stream.name, d.ShardID == "", len(d.PartitionKey) != verifyKeyBytes, d.Since.IsZero(),
			w.reader.Bytes()+e.Bytes > pl.cfg.verifyMemory:
			pl.giveUpVerify(e)
		default:
			settled = append(settled, w.reader.Add(e, pl.now)...)
		}
	}
	pl.settleVerified(settled)
}

// endLookups gives up what is open.
func (pl *pipeline) endLookups(s *lookups) {
	for e := range s.open {
		pl.verification.reader.Remove(e)
		pl.giveUpVerify(e)
	}
}

// settleLookup notes what was found out. Whether consumers get what is stored is seen to later.
func (pl *pipeline) settleLookup(l *lookup, res readback.Settled) {
	s := l.of
	if _, ok := s.open[res.Entry]; !ok {
		return
	}
	n, f := s.list[l.i].Records, &s.found[l.i]
	switch res.Outcome {
	case readback.Stored:
		pl.countVerified(&pl.stats.VerifyStored, MetricVerifyStored, n)
		*f = Found{ShardID: res.InShard, SequenceNumber: res.Number}
	case readback.Missing:
		pl.countVerified(&pl.stats.VerifyMissing, MetricVerifyMissing, n)
		f.Outcome = LookMissing
	default:
		pl.countVerified(&pl.stats.VerifyGivenUp, MetricVerifyGivenUp, n)
	}
	delete(s.open, res.Entry)
	if s.left--; s.left == 0 {
		close(s.done)
	}
}

// placePoll is how often it is looked whether the range of a shard is known by now.
const placePoll = 100 * time.Millisecond

// checkPlaces finds out whether what is stored is where consumers get it. A shard that is
// closed by now is in a list of all shards.
func (pl *pipeline) checkPlaces(ctx context.Context, s *lookups) {
	for {
		unknown := false
		pl.locked("check places", func() { unknown = pl.checkKnownPlaces(s) })
		if !unknown {
			return
		}
		select {
		case <-time.After(placePoll):
			continue
		case <-ctx.Done():
		case <-pl.ctx.Done():
		case <-pl.p.closing:
		}
		return
	}
}

// checkKnownPlaces is checkPlaces for shards whose ranges are known. It asks for the others.
func (pl *pipeline) checkKnownPlaces(s *lookups) (unknown bool) {
	for i := range s.found {
		f, d := &s.found[i], &s.list[i]
		if f.Outcome != LookOpen || f.SequenceNumber == "" {
			continue
		}
		r, known := pl.rangeOf(attemptNode{shardID: f.ShardID, sequenceNumber: f.SequenceNumber})
		if !known {
			unknown, pl.verification.places[f.ShardID] = true, f.SequenceNumber
			continue
		}
		delete(pl.verification.places, f.ShardID)
		if f.Outcome = LookMissing; r.rangeContains(d.First) && r.rangeContains(d.Last) {
			f.Outcome = LookStored
			continue
		}
		pl.stats.WrongShard += uint64(d.Records)
		pl.metrics.observe(MetricWrongShard, d.ShardID, "", 1, d.Records)
	}
	if unknown && !pl.ended {
		pl.listing.withClosed = true
		pl.refreshSoon()
	}
	return unknown
}
