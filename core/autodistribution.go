// SPDX-License-Identifier: Apache-2.0

package core

import (
	"log/slog"
	"time"

	"github.com/outkpl/outkpl/aggregation"
)

// RecordDistribution says who chooses the shard of a record.
type RecordDistribution uint8

const (
	// DistributionDetect finds it out: from DescribeStreamSummary where that is
	// allowed, and from the shards that answers name.
	DistributionDetect RecordDistribution = iota
	// DistributionByKey: the partition key or explicit hash key decides.
	DistributionByKey
	// DistributionAuto: Kinesis decides and ignores keys (record distribution
	// strategy AUTO). Nothing is aggregated.
	DistributionAuto
)

// String returns "detect", "by key" or "auto".
func (d RecordDistribution) String() string {
	switch d {
	case DistributionDetect:
		return "detect"
	case DistributionByKey:
		return "by key"
	case DistributionAuto:
		return "auto"
	}
	return "unknown"
}

// WithDistribution sets by hand who chooses the shard of a record. Default:
// DistributionDetect. To set it by hand is of use where DescribeStreamSummary is
// not allowed: detection then costs a few user records that are written twice
// each time the strategy becomes AUTO (consumers built on the Kinesis Client
// Library drop the first copy), and aggregation comes back late.
//
// DistributionByKey on a stream that is AUTO loses nothing but writes most user
// records several times, so it is a setting for streams that never are.
// DistributionAuto on a stream that goes by keys only costs the aggregation.
// Source: https://docs.aws.amazon.com/streams/latest/dev/service-managed-pk-kpl-aggregation.html
// (checked 2026-11-24).
func WithDistribution(d RecordDistribution) Option {
	return optionFunc(func(c *config) { c.distribution = d })
}

// Auto tells whether a stream, named as for PutBatch, is taken for AUTO at this moment, so
// that each user record is a Kinesis record of its own. Before anything was put into the
// stream only WithDistribution says so.
func (p *Producer) Auto(stream string) (auto bool) {
	p.mu.Lock()
	pl := p.pipelines[p.streamOrDefault(stream)]
	p.mu.Unlock()
	if pl == nil {
		return p.cfg.distribution == DistributionAuto
	}
	pl.readLocked("distribution", func() { auto = pl.meta.auto })
	return auto
}

const (
	// returnMatches answers in a row, with returnSwitches changes of the shard
	// among them, must name the shard that the key leads to before keys are trusted
	// again. An AUTO stream of two shards passes by chance once in 2^100 times if
	// it picks at random, and once in 2^10 if it stays with a shard for long.
	returnMatches  = 100
	returnSwitches = 10
	// returnMin and returnMax bound how long that must last. It doubles with each
	// return, so that a wrong one cannot repeat often.
	returnMin = time.Minute
	returnMax = time.Hour
	// describeSpacing keeps evidence from turning into a storm of calls: the
	// operation is limited to 20 calls a second for a whole account.
	describeSpacing = 10 * time.Second
)

// placement is what the answers say about who chooses the shards.
//
// The range of a shard never changes while its stream exists, and ids are not
// used twice. So an answer from a shard of the map that cannot hold the record's
// hash is never due to a reshard, whatever the order of events. It is due
// to AUTO, or to a stream that was recreated with the same ids, if the sequence
// number does not show it (see origin). A map fetched after the answer
// distinguishes them: the new stream has another range there. Until that map is here, records are
// not aggregated, which is right in both cases; and the answer's own aggregate is compared
// with the new map only.
type placement struct {
	inferred  bool      // meta.auto comes from answers
	mismatch  *mismatch // that a newer map has to confirm
	described bool      // DescribeStreamSummary answers
	denied    bool      // it is not allowed
	// describeOverruled: DescribeStreamSummary says "by key", and answers to requests that
	// started later contradict it. Only answers can end that.
	describeOverruled bool
	trustedAt         int64 // when DescribeStreamSummary last ended an AUTO phase
	evidence          int64 // time of the last contradiction

	// Answers in a row that agree with the map, while the stream is AUTO.
	matches, switches int
	since             int64
	last              *shard
	probation         int64

	announced  bool // the log says that aggregation is off
	disagreed  bool // the log says that the setting made by hand does not fit
	keysNeeded bool // a record without a partition key was refused
}

// mismatch is an answer that the map in use cannot explain.
type mismatch struct {
	hash  aggregation.HashKey
	shard string
	gen   uint64 // of the last map fetch that began before the answer
}

// placementMismatch compares the shard that took a record with the one its hash leads to.
// It reports whether the two contradict each other.
func (pl *pipeline) placementMismatch(kr *kinesisRecord, a *attemptNode) (contradiction bool) {
	sh := kr.shard
	if !pl.meta.auto && (sh == nil || sh.id == a.shardID && sh.current) || pl.cfg.distribution == DistributionAuto {
		return false
	}
	actual := pl.shards.byID[a.shardID]
	if actual == nil {
		if m := pl.shardMap.Load(); m != nil && pl.clockAt(a.Start) > m.fetched {
			pl.refreshSoon()
		}
		return false
	}
	if actual.shardContains(kr.outer) {
		if pl.meta.auto {
			pl.placementMatched(actual)
		}
		return false
	}
	if pl.cfg.distribution == DistributionDetect {
		pl.placementContradicted(kr.outer, a)
	}
	return true
}

// placementContradicted takes an answer as evidence that keys mean nothing.
func (pl *pipeline) placementContradicted(hash aggregation.HashKey, a *attemptNode) {
	p := &pl.placement
	p.matches, p.switches, p.evidence = 0, 0, pl.now
	if pl.meta.auto {
		return
	}
	if p.trustedAt != 0 && pl.clockAt(a.Start) > p.trustedAt {
		p.describeOverruled = true
	}
	p.inferred = true
	p.mismatch = &mismatch{hash: hash, shard: a.shardID, gen: pl.listing.count}
	pl.setAuto(true)
	pl.refreshSoon()
	pl.describeSoon()
}

// reviewPlacement looks at the evidence again with a new map.
func (pl *pipeline) reviewPlacement() {
	p := &pl.placement
	m := pl.shardMap.Load()
	if p.mismatch == nil || m == nil || m.gen <= p.mismatch.gen {
		return
	}
	sh := pl.shards.byID[p.mismatch.shard]
	confirmed := sh != nil && !sh.shardContains(p.mismatch.hash)
	p.mismatch = nil
	switch {
	case !pl.meta.auto || !p.inferred:
	case confirmed:
		pl.stats.AutoInferred++
		pl.announceAuto("the shards in the answers are not those that the keys lead to")
	default:
		p.inferred = false
		pl.setAuto(false)
	}
}

// placementMatched counts an answer that names the right shard while the stream is AUTO.
func (pl *pipeline) placementMatched(actual *shard) {
	p := &pl.placement
	if p.matches == 0 {
		p.since, p.last = pl.now, actual
	}
	p.matches++
	if p.last != actual {
		p.switches++
		p.last = actual
	}
	if p.probation == 0 {
		p.probation = int64(returnMin)
	}
	if p.matches < returnMatches || p.switches < returnSwitches || pl.now-p.since < p.probation {
		return
	}
	if p.described && !p.describeOverruled {
		pl.describeSoon()
		return
	}
	p.probation = min(2*p.probation, int64(returnMax))
	p.inferred, p.mismatch = false, nil
	pl.setAuto(false)
}

// setAuto switches aggregation off or on again. Called with the lock held.
func (pl *pipeline) setAuto(auto bool) {
	p := &pl.placement
	p.matches, p.switches = 0, 0
	if auto == pl.meta.auto {
		return
	}
	pl.meta.auto = auto
	if auto {
		pl.giveUpVerified(func(*kinesisRecord) bool { return true }) // they may be in any shard
		pl.reroute(func(kr *kinesisRecord) bool { return kr.shard != nil })
		return
	}
	if p.announced {
		p.announced = false
		pl.log(slog.LevelInfo, "stream distributes records by partition key again: aggregation as configured")
	}
}

// announceAuto says once for each phase that aggregation is off.
func (pl *pipeline) announceAuto(because string) {
	p := &pl.placement
	if p.announced {
		return
	}
	p.announced = true
	args := []any{"because", because}
	if pl.cfg.ordering == OrderingStrict {
		args = append(args, "ordering", "cannot be kept: Kinesis places the records of a key in any shard")
	}
	pl.log(slog.LevelWarn, "stream distributes records itself (AUTO): aggregation is off, because consumers would drop records out of aggregates", args...)
}

// learnDistribution applies what DescribeStreamSummary says.
func (pl *pipeline) learnDistribution(auto bool, asked int64) {
	p := &pl.placement
	switch {
	case pl.cfg.distribution != DistributionDetect:
		if !p.disagreed && auto != pl.meta.auto {
			p.disagreed = true
			pl.log(slog.LevelWarn, "configured record distribution differs from that of the stream; the configured one is used",
				"set", pl.cfg.distribution.String(), "stream_is_auto", auto)
		}
	case auto:
		if p.announced && !p.inferred {
			// The answers looked otherwise for a while, and were wrong.
			p.probation = min(2*p.probation, int64(returnMax))
		}
		p.inferred, p.mismatch, p.describeOverruled = false, nil, false
		pl.setAuto(true)
		pl.announceAuto("DescribeStreamSummary says so")
	case !pl.meta.auto:
	case asked < p.evidence:
		pl.describeSoon() // the answer may be older than the change
	case !p.describeOverruled:
		p.inferred, p.mismatch = false, nil
		p.trustedAt, p.probation = pl.now, 0
		pl.setAuto(false)
	}
}

// mayOmitKeys reports whether records may go without a partition key. The key is
// optional on AUTO streams only, and only certainty will do.
// Source: PutRecordsRequestEntry in the API reference (checked 2026-11-24).
func (pl *pipeline) mayOmitKeys() bool {
	return pl.meta.auto && !pl.placement.inferred && !pl.placement.keysNeeded
}
