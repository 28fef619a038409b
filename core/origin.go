// SPDX-License-Identifier: Apache-2.0

package core

import (
	"log/slog"
	"math/big"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// origin is the creation of a shard, as its sequence numbers tell it: a stream that
// is deleted and created again has shards with the same ids, and an answer has to be
// compared with the range of the right one.
//
// A sequence number has 186 bits. From the top these are the version (2), then 36
// bits with the second in which its shard was created, and in the lowest 36 bits the
// number of the shard. AWS documents none of it. SequenceNumberValidator in
// amazon-kinesis-client 3.5.1 reads the version and the shard from these places;
// kinesalite and kinesis-local make the numbers so; and the numbers in the AWS CLI's
// reference agree with the creation times beside them (all seen on 2026-11-28).
// That Kinesis tells streams of one name apart by them shows in its refusal of
// iterators: "... is invalid because it did not come from this stream". Since it
// is no promise, a pipeline believes it only after an answer that agrees with the
// list of shards (originsHold), and gives it up where the answers refute it.
type origin struct {
	second      int64  // of the creation; only the difference of two has a meaning
	first, last string // sequence numbers, as decimals of the same length
}

const (
	sequenceNumberBits   = 186
	sequenceNumberDigits = 56
	originShift          = 148 // the bits below tell nothing of the shard's creation
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
	return &origin{second: second, first: first.String(), last: last.String()}
}

// gave reports whether the sequence number may come from the shard: always, if its
// origin or the kind of the number is unknown.
func (o *origin) gave(sequenceNumber string) bool {
	return o == nil || len(sequenceNumber) != sequenceNumberDigits || o.first <= sequenceNumber && sequenceNumber <= o.last
}

// before reports whether the sequence number comes from a shard that was created
// before this one.
func (o *origin) before(sequenceNumber string) bool {
	return o != nil && len(sequenceNumber) == sequenceNumberDigits && sequenceNumber < o.first
}

// earlier returns the earlier of two origins, of which nil is none.
func (o *origin) earlier(other *origin) *origin {
	if o == nil || other != nil && other.second < o.second {
		return other
	}
	return o
}

// differs reports whether two origins are known to be different.
func (o *origin) differs(other *origin) bool {
	return o != nil && other != nil && (o.second-other.second > originSlack || other.second-o.second > originSlack)
}

// foreign reports whether an answer's sequence number was not given by the shard that
// has this id in the map. Then the map is that of another stream of the same name.
func (pl *pipeline) foreign(a attemptNode) bool {
	sh := pl.shards[a.shardID]
	if sh == nil || sh.origin == nil || pl.originsIgnored {
		return false
	}
	if sh.origin.gave(a.sequenceNumber) {
		pl.originsHold = pl.originsHold || len(a.sequenceNumber) == sequenceNumberDigits
		return false
	}
	return true
}

// recreated is told of an answer that is foreign. Records wait for the map of the
// stream that gave it, unless the answer is older than the map.
func (pl *pipeline) recreated(a attemptNode) {
	if !pl.originsHold || pl.shards[a.shardID].origin.before(a.sequenceNumber) {
		pl.refreshSoon()
		return
	}
	pl.log(slog.LevelWarn, "stream was deleted and recreated; its shards are listed again", "shard", a.shardID)
	pl.facts.known, pl.facts.made, pl.describeDue = false, time.Time{}, pl.now
	pl.proof, pl.proofUntil = a, pl.now+int64(unresolvedGrace)
	pl.dropMap()
}

// outdated reports whether a list of shards is that of the deleted stream, which the
// service may show for some time.
func (pl *pipeline) outdated(list []types.Shard) bool {
	if pl.now > pl.proofUntil {
		return false
	}
	for _, s := range list {
		if aws.ToString(s.ShardId) == pl.proof.shardID && s.SequenceNumberRange != nil {
			o := originOf(aws.ToString(s.SequenceNumberRange.StartingSequenceNumber))
			return !o.gave(pl.proof.sequenceNumber) && !o.before(pl.proof.sequenceNumber)
		}
	}
	return false
}
