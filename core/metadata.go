// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/internal/pace"
)

// streamMetadata are the properties of a stream that change how it must be written, and
// the calls of DescribeStreamSummary that ask for them.
type streamMetadata struct {
	known          bool // the first call has an outcome
	maxRecordBytes int  // data plus partition key
	auto           bool // Kinesis places records itself: hash keys mean nothing
	created        time.Time
	missing        *RecordError // the stream does not exist

	describing     bool
	describeDue    int64
	described      int64 // when the last call ended
	describeLimits int   // refusals in a row because of the account's call limit
	undescribed    bool  // no call has had an outcome in time
	warned         bool  // the log says that there is none
}

// describeSoon asks for the metadata of the stream again before their time.
func (pl *pipeline) describeSoon() {
	if pl.placement.denied || pl.cfg.distribution != DistributionDetect {
		return
	}
	at := max(pl.now, pl.meta.described+int64(describeSpacing)) + rand.Int64N(int64(time.Second))
	pl.meta.describeDue = min(pl.meta.describeDue, at)
}

// recheckRecordLimit asks for the metadata again if a record of a refused call is larger than
// each stream takes: the limit may have been lowered since they were asked for.
func (pl *pipeline) recheckRecordLimit(refused []*kinesisRecord) {
	for _, kr := range refused {
		if kr.size > defaultMaxRecordBytes {
			pl.describeSoon()
			return
		}
	}
}

// lowerRecordLimit takes in a limit that Kinesis named when it refused a record: until the metadata
// come, a receiver would go on making records that are refused. The metadata have the last word,
// since the refusal may be older than a raised limit.
func (pl *pipeline) lowerRecordLimit(limit int) {
	if limit < pl.meta.maxRecordBytes {
		pl.meta.maxRecordBytes = limit
		pl.describeSoon()
	}
}

// mayBeAboveLimit tells whether a record that is refused since then may be above a limit that was
// lowered, and the metadata are about to say so.
func (pl *pipeline) mayBeAboveLimit(kr *kinesisRecord, v classification, since int64) bool {
	return v.reason == ReasonInvalid && kr.size > defaultMaxRecordBytes && pl.meta.described < since &&
		!pl.placement.denied && pl.cfg.distribution == DistributionDetect
}

// aboveLimit is the failure of a record of n bytes that the stream does not take.
func (pl *pipeline) aboveLimit(n int) *RecordError {
	return &RecordError{
		Stream: pl.stream.name, Reason: ReasonTooLarge,
		Detail: fmt.Sprintf("data plus partition key have %d bytes; the stream takes at most %d", n, pl.meta.maxRecordBytes),
	}
}

// describe asks Kinesis for the metadata of the stream. Without the permission
// the defaults stay and one warning says so.
func (pl *pipeline) describe(asked int64) {
	defer pl.p.work.Done()
	ctx, cancel := context.WithTimeout(pl.ctx, pl.cfg.requestTimeout)
	defer cancel()
	out, err := pl.callDescribe(ctx)
	pl.locked("describe", func() { pl.describeEnded(out, err, asked) })
}

func (pl *pipeline) callDescribe(ctx context.Context) (out *kinesis.DescribeStreamSummaryOutput, err error) {
	defer recoverTo(&err, "DescribeStreamSummary")
	out, err = pl.p.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{
		StreamName: &pl.stream.name, StreamARN: pl.stream.arn,
	})
	if err == nil {
		pl.noteServiceTime(out.ResultMetadata)
	}
	return out, err
}

func (pl *pipeline) describeEnded(out *kinesis.DescribeStreamSummaryOutput, err error, asked int64) {
	if pl.ctx.Err() != nil || pl.ended {
		return
	}
	pl.meta.describing, pl.meta.described = false, pl.now
	wait := pl.cfg.describeEvery
	pl.placement.described, pl.placement.denied = false, false
	switch {
	case err != nil:
		v := classifyCall(err)
		again, until := int64(time.Second), pl.awaiting.since+int64(startupGrace)
		if pl.meta.describeLimits++; !callLimit(v.code) {
			pl.meta.describeLimits = 0
		} else {
			// The account's calls are used up, most likely by many producers
			// that start together. To insist would keep it so, and the answer
			// may take minutes.
			again = pace.Backoff(time.Second, time.Minute, pl.meta.describeLimits, rand.Float64())
			until = pl.awaiting.since + int64(describeLimitGrace) - again
		}
		if v.action == actRetry && !pl.meta.known && pl.now < until {
			// An AUTO stream should not get an aggregate by mistake, so records
			// wait for the answer as long as it may come soon.
			pl.meta.describeDue = pl.now + again
			return
		}
		pl.placement.denied = v.reason == ReasonAccessDenied
		if v.reason != ReasonStreamNotFound && !pl.meta.warned {
			pl.meta.warned = true
			pl.log(slog.LevelWarn, "cannot describe stream; the known record limit stays in use (1 MiB at first), and AUTO record distribution is concluded from answers",
				pl.cfg.failureArgs(v, actionDescribe)...)
		}
		if v.action == actRetry {
			wait = min(wait, time.Minute)
		}
		if pl.meta.describeLimits > 0 {
			wait = time.Duration(again)
		}
	case out != nil && out.StreamDescriptionSummary != nil:
		pl.placement.described = true
		pl.meta.describeLimits = 0
		pl.learnMetadata(out.StreamDescriptionSummary, asked)
	}
	if pl.meta.describeDue > pl.now { // otherwise the stream has become another one meanwhile
		pl.meta.known = true
	}
	pl.meta.undescribed = false
	pl.meta.describeDue = min(pl.meta.describeDue, pl.now+int64(float64(wait)*(0.8+0.4*rand.Float64())))
	pl.releaseAwaiting()
}

// learnMetadata applies what DescribeStreamSummary says. Called with the lock held.
func (pl *pipeline) learnMetadata(d *types.StreamDescriptionSummary, asked int64) {
	pl.meta.warned = false
	if at := d.StreamCreationTimestamp; at != nil {
		if !pl.meta.created.IsZero() && !at.Equal(pl.meta.created) {
			pl.log(slog.LevelWarn, "stream was deleted and recreated; its shards are listed again")
			pl.dropMap()
		}
		pl.meta.created = *at
	}
	if d.MaxRecordSizeInKiB != nil && *d.MaxRecordSizeInKiB > 0 {
		pl.meta.maxRecordBytes = min(int(*d.MaxRecordSizeInKiB)<<10, absoluteMaxRecordBytes)
	}
	pl.learnDistribution(d.RecordDistributionStrategy == types.RecordDistributionStrategyAuto, asked)
}
