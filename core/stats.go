// SPDX-License-Identifier: Apache-2.0

package core

// Stats counts what a Producer has done since it was made. At every moment
// Accepted = Confirmed + the sum of Failed + Pending.
type Stats struct {
	// Accepted counts user records submitted, invalid ones included.
	Accepted uint64
	// Confirmed counts user records that Kinesis has confirmed.
	Confirmed uint64
	// Failed counts user records that settled with an error, by Reason.
	Failed [reasonCount]uint64
	// Pending is the number of user records whose outcome is open.
	Pending uint64

	// ConfirmedBytes is the data (without keys) of the confirmed user records.
	ConfirmedBytes uint64
	// KinesisRecords counts Kinesis records stored, KinesisBytes their data
	// plus partition keys, PutPayloadUnits what they are billed as.
	KinesisRecords, KinesisBytes, PutPayloadUnits uint64
	// PutPayloadUnitsSaved is what the user records would have been billed as one
	// by one, less PutPayloadUnits. It falls where an aggregate costs more, which
	// happens with records that fill a unit to the last bytes, and of a stream
	// it is 0 at least.
	PutPayloadUnitsSaved uint64
	// Requests counts PutRecords calls, RequestErrors those that failed whole.
	Requests, RequestErrors uint64
	// Throttled counts Kinesis records refused because of a shard's limit.
	Throttled uint64
	// InternalFailures counts Kinesis records refused for any other reason.
	InternalFailures uint64
	// WrongShard counts user records of aggregates that were resent, because the
	// range of the shard that took them does not have all of their records.
	WrongShard uint64
	// AutoInferred counts how often AUTO record distribution was concluded from
	// answers, because DescribeStreamSummary had not said so.
	AutoInferred uint64
	// AutoStreams is the number of streams that are taken for AUTO at this moment.
	AutoStreams uint64
	// Uncertain counts user records of attempts that failed and may have stored them
	// all the same: the upper bound on duplicates, if what fails is submitted again.
	Uncertain uint64
	// VerifyOpened counts user records that were looked for because their answer was lost
	// or useless; see WithVerifyUncertain. VerifyStored, VerifyMissing and VerifyGivenUp
	// count what was found out: given up are those of which it stays open, which are in
	// Uncertain, too. VerifyReads counts the calls that were made.
	VerifyOpened, VerifyStored, VerifyMissing, VerifyGivenUp, VerifyReads uint64
	// Retries counts user records sent in a further attempt.
	Retries uint64
	// MapRefreshes counts shard maps fetched.
	MapRefreshes uint64
	// BufferedBytes is what counts against WithBufferBytes at this moment.
	BufferedBytes uint64
}

// FailedTotal is the sum of Failed.
func (s *Stats) FailedTotal() uint64 {
	var n uint64
	for _, f := range s.Failed {
		n += f
	}
	return n
}

// accumulate sums the counters of one stream into s.
func (s *Stats) accumulate(o *Stats) {
	s.Accepted += o.Accepted
	s.Confirmed += o.Confirmed
	for i := range s.Failed {
		s.Failed[i] += o.Failed[i]
	}
	s.Pending += o.Pending
	s.ConfirmedBytes += o.ConfirmedBytes
	s.KinesisRecords += o.KinesisRecords
	s.KinesisBytes += o.KinesisBytes
	s.PutPayloadUnits += o.PutPayloadUnits
	s.PutPayloadUnitsSaved += o.PutPayloadUnitsSaved
	s.Requests += o.Requests
	s.RequestErrors += o.RequestErrors
	s.Throttled += o.Throttled
	s.InternalFailures += o.InternalFailures
	s.WrongShard += o.WrongShard
	s.AutoInferred += o.AutoInferred
	s.AutoStreams += o.AutoStreams
	s.Uncertain += o.Uncertain
	s.VerifyOpened += o.VerifyOpened
	s.VerifyStored += o.VerifyStored
	s.VerifyMissing += o.VerifyMissing
	s.VerifyGivenUp += o.VerifyGivenUp
	s.VerifyReads += o.VerifyReads
	s.Retries += o.Retries
	s.MapRefreshes += o.MapRefreshes
}

func (pl *pipeline) currentStats() (s Stats) {
	pl.readLocked("stats", func() {
		s = pl.stats
		if pl.meta.auto {
			s.AutoStreams = 1
		}
	})
	s.Pending = s.Accepted - s.Confirmed - s.FailedTotal()
	if int64(s.PutPayloadUnitsSaved) < 0 {
		s.PutPayloadUnitsSaved = 0 // see Stats
	}
	return s
}
