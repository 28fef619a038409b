// SPDX-License-Identifier: Apache-2.0

package core

import (
	"log/slog"
	"math/big"
	"time"
)

// origin is the creation of a shard, as its sequence numbers show it: a stream that
// is deleted and created again has shards with the same ids, and an answer has to be
// compared with the range of the right one.
//
// A sequence number has 186 bits. From the top these are the version (2), then 36 bits with
// the second in which its shard was created, and in the lowest 36 bits the number of the
// shard. AWS documents none of it, and it was not compared with the service itself.
// SequenceNumberValidator in amazon-kinesis-client 3.5.1 reads the version and the shard
// from these places; kinesalite 3.3.3 and kinesis-local 0.6.2 make the numbers so, and
// kinesalite refuses an iterator by the second, "because it did not come from this stream"
// (looked at on 2026-11-28). Since it is no promise, nothing is concluded from a number
// that does not fit but that the list of shards may be of another stream: the records of
// such a shard are not aggregated until list and answers agree, and so are right in any
// case.
type origin struct {
	second      int64  // of the creation; only the difference of two has a meaning
	first, last string // sequence numbers, as decimals of the same length
	// The first digits of these, as numbers: those of an answer differ from both as a rule.
	firstDigits, lastDigits leadingDigits

	// Guarded by the pipeline's lock.
	since        int64 // when the shard was taken into the map
	agreed       bool  // an answer fitted
	mismatchedAt int64 // when the last one did not
}

const (
	sequenceNumberBits   = 186
	sequenceNumberDigits = 56
	originShift          = 148 // the bits below say nothing of the shard's creation
	// originSlack is how many seconds two shards with one id are apart at least. AWS
	// takes longer to delete a stream and to create it again. Kinesis-local reads
	// the clock twice when it makes a shard, and so may be off by one.
	originSlack = 2
)

// originOf returns the origin of a shard with this StartingSequenceNumber, nil if
// the number is of another kind.
func originOf(start string) *origin {
	n, ok := new(big.Int).SetString(start, 10)
	if !ok || len(start) != sequenceNumberDigits || n.BitLen() != sequenceNumberBits {
		return nil
	}
	second := n.Rsh(n, originShift).Int64()
	first := new(big.Int).Sub(n, big.NewInt(originSlack))
	first.Lsh(first, originShift)
	last := n.Add(n, big.NewInt(originSlack+1))
	last.Lsh(last, originShift).Sub(last, big.NewInt(1))
	o := &origin{second: second, first: first.String(), last: last.String()}
	o.firstDigits, o.lastDigits = leadingDigitsOf(o.first), leadingDigitsOf(o.last)
	return o
}

// leadingDigits are the first 16 digits of a sequence number, in the order of their text.
type leadingDigits [2]uint64

func leadingDigitsOf(sequenceNumber string) leadingDigits {
	s := sequenceNumber[:16]
	return leadingDigits{digitsAt(s[:8]), digitsAt(s[8:])}
}

// digitsAt is binary.BigEndian.Uint64 of a text.
func digitsAt(s string) uint64 {
	_ = s[7]
	return uint64(s[7]) | uint64(s[6])<<8 | uint64(s[5])<<16 | uint64(s[4])<<24 | uint64(s[3])<<32 | uint64(s[2])<<40 | uint64(s[1])<<48 | uint64(s[0])<<56
}

func (d *leadingDigits) less(other *leadingDigits) bool {
	return d[0] < other[0] || d[0] == other[0] && d[1] < other[1]
}

// couldHaveGiven reports whether the sequence number may come from the shard: always, if its
// origin or the kind of the number is unknown.
func (o *origin) couldHaveGiven(sequenceNumber string) bool {
	if o == nil || len(sequenceNumber) != sequenceNumberDigits {
		return true
	}
	d := leadingDigitsOf(sequenceNumber)
	return o.firstDigits.less(&d) && d.less(&o.lastDigits) || o.first <= sequenceNumber && sequenceNumber <= o.last
}

// createdAfter reports whether the sequence number comes from a shard that was created
// before this one.
func (o *origin) createdAfter(sequenceNumber string) bool {
	return o != nil && len(sequenceNumber) == sequenceNumberDigits && sequenceNumber < o.first
}

// noteOriginMatch notes that an answer fitted.
func (o *origin) noteOriginMatch(sequenceNumber string) {
	if o != nil && len(sequenceNumber) == sequenceNumberDigits {
		o.agreed = true
	}
}

// earlierOrigin returns the earlier of two origins, of which nil is none.
func (o *origin) earlierOrigin(other *origin) *origin {
	if o == nil || other != nil && other.second < o.second {
		return other
	}
	return o
}

// differsFrom reports whether two origins are known to be different.
func (o *origin) differsFrom(other *origin) bool {
	return o != nil && other != nil && (o.second-other.second > originSlack || other.second-o.second > originSlack)
}

// answeringShard returns the shard that an answer names, nil if it is not in the map. As a
// rule it is the predicted one.
func (pl *pipeline) answeringShard(kr *kinesisRecord, a *attemptNode) *shard {
	if sh := kr.shard; sh != nil && sh.current && sh.id != "" && sh.id == a.shardID {
		return sh
	}
	return pl.shards.byID[a.shardID]
}

// isForeignAnswer reports whether an answer's sequence number was not given by the shard that
// has this id in the map. Then the map is of another stream of the same name, most
// likely.
func (pl *pipeline) isForeignAnswer(kr *kinesisRecord, a *attemptNode) bool {
	sh := pl.answeringShard(kr, a)
	if sh == nil || sh.origin == nil || len(a.sequenceNumber) != sequenceNumberDigits {
		return false
	}
	if sh.origin.couldHaveGiven(a.sequenceNumber) {
		sh.origin.noteOriginMatch(a.sequenceNumber)
		if sh.originMismatch && pl.clockAt(a.Start) > sh.origin.mismatchedAt {
			sh.originMismatch = false // otherwise the answer may be an old one of the deleted stream
		}
		return false
	}
	if sh.origin.createdAfter(a.sequenceNumber) && pl.clockAt(a.Start) <= sh.origin.since {
		return true // a late answer of a stream that is deleted: the map is newer
	}
	if pl.shards.foreignSince == 0 {
		pl.shards.foreignSince = max(pl.now, 1)
	}
	pl.noteOriginMismatch(sh)
	if kr.shard != nil && kr.shard.current {
		pl.noteOriginMismatch(kr.shard)
	}
	pl.refreshForeign()
	return true
}

// noteOriginMismatch keeps records of a shard from being aggregated.
func (pl *pipeline) noteOriginMismatch(sh *shard) {
	if sh.origin != nil {
		sh.originMismatch, sh.origin.mismatchedAt = true, pl.now
	}
}

// refreshForeign asks for a new map because of foreign answers: soon at first, and more
// and more rarely if the list stays as it is.
func (pl *pipeline) refreshForeign() {
	wait := min(max((pl.now-pl.shards.foreignSince)/4, int64(refreshSpacing)), int64(time.Minute))
	if pl.now-pl.shards.foreignSince >= int64(unresolvedGrace) && !pl.shards.foreignLogged {
		pl.shards.foreignLogged = true
		pl.log(slog.LevelWarn, "list of shards does not fit the answers; records of the shards concerned are not aggregated until it does")
	}
	if !pl.listing.active && pl.listing.backoff == 0 {
		pl.listing.due = min(pl.listing.due, max(pl.now, pl.listing.began+wait))
	}
}

// originConfirmed reports whether the map is known to be that of the stream that answers.
func (pl *pipeline) originConfirmed() bool {
	for _, sh := range pl.shards.byID {
		if !sh.originMismatch && sh.origin != nil && sh.origin.agreed {
			return true
		}
	}
	return false
}
