// SPDX-License-Identifier: Apache-2.0

package status

import (
	"math"

	"github.com/outkpl/outkpl/core"
)

func streamOf(s *core.StreamSnapshot) Stream {
	st := &s.Stats
	out := Stream{
		Name: s.Stream, Aggregating: s.Aggregating, Auto: s.Auto, LastError: s.LastError, InUse: round(s.InUse), BacklogSeconds: round(s.Backlog.Seconds()), ShardsNeeded: s.ShardsNeeded, MaxRecordBytes: s.MaxRecordBytes,
		OldestAgeSeconds: s.OldestRecordAge.Seconds(), MapAgeSeconds: -1, InFlight: s.InFlight,
		Accepted: st.Accepted, Confirmed: st.Confirmed, ConfirmedBytes: st.ConfirmedBytes, Pending: st.Pending,
		Failed: map[string]uint64{}, KinesisRecords: st.KinesisRecords, KinesisBytes: st.KinesisBytes,
		PutUnits: st.PutPayloadUnits, PutUnitsSaved: st.PutPayloadUnitsSaved,
		Requests: st.Requests, RequestErrors: st.RequestErrors, Throttled: st.Throttled, Refused: st.InternalFailures,
		WrongShard: st.WrongShard, Uncertain: st.Uncertain, Retries: st.Retries,
		VerifyOpened: st.VerifyOpened, VerifyStored: st.VerifyStored, VerifyMissing: st.VerifyMissing, VerifyGivenUp: st.VerifyGivenUp, VerifyReads: st.VerifyReads,
	}
	if s.MapAge >= 0 {
		out.MapAgeSeconds = s.MapAge.Seconds()
	}
	for i, n := range st.Failed {
		if n > 0 {
			out.Failed[core.Reason(i).String()] = n
		}
	}
	return out
}

func rateOf(a, b *core.Stats, seconds float64) *Rate {
	return &Rate{
		Accepted: rate(a.Accepted, b.Accepted, seconds), Confirmed: rate(a.Confirmed, b.Confirmed, seconds),
		ConfirmedBytes: rate(a.ConfirmedBytes, b.ConfirmedBytes, seconds),
		KinesisRecords: rate(a.KinesisRecords, b.KinesisRecords, seconds),
		KinesisBytes:   rate(a.KinesisBytes, b.KinesisBytes, seconds),
		Requests:       rate(a.Requests, b.Requests, seconds), Throttled: rate(a.Throttled, b.Throttled, seconds),
		PutUnits:      rate(a.PutPayloadUnits, b.PutPayloadUnits, seconds),
		PutUnitsSaved: rate(a.PutPayloadUnitsSaved, b.PutPayloadUnitsSaved, seconds),
	}
}

// shardsOf makes the columns. Without earlier states there are no rates.
func shardsOf(list []core.ShardSnapshot, before map[string]*core.ShardSnapshot, seconds float64) Shards {
	out := Shards{ID: []string{}, Share: []float64{}, InUse: []float64{}, BacklogSeconds: []float64{}, QueuedBytes: []int{}, Paused: []int{}, Stored: []uint64{}, Throttled: []uint64{}}
	for i := range list {
		s := &list[i]
		out.ID = append(out.ID, s.ID)
		out.Share = append(out.Share, round(s.Share))
		out.InUse = append(out.InUse, round(s.InUse))
		out.BacklogSeconds = append(out.BacklogSeconds, round(s.Backlog.Seconds()))
		out.QueuedBytes = append(out.QueuedBytes, s.QueuedBytes)
		paused := 0
		if s.Paused {
			paused = 1
		}
		out.Paused = append(out.Paused, paused)
		out.Stored = append(out.Stored, s.Stored)
		out.Throttled = append(out.Throttled, s.Throttled)
		if before == nil {
			continue
		}
		old := before[s.ID]
		if old == nil { // since a reshard
			old = &core.ShardSnapshot{}
		}
		out.Load = append(out.Load, round(max(rate(old.StoredBytes, s.StoredBytes, seconds)/shardBytes,
			rate(old.Stored, s.Stored, seconds)/shardRecords)))
		out.ThrottledRate = append(out.ThrottledRate, round(rate(old.Throttled, s.Throttled, seconds)))
	}
	return out
}

// round keeps the answer short.
func round(v float64) float64 { return math.Round(v*1000) / 1000 }
