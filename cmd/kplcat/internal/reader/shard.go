// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go/middleware"
)

const (
	// minCallInterval keeps to the five GetRecords calls a second that a shard
	// grants (https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html,
	// checked 2026-11-24).
	minCallInterval = 200 * time.Millisecond
	// maxPages bounds the memory: a page is 10 MiB at most.
	maxPages = 16
	// listPage is the page size of ListShards.
	listPage = 1000
	// arrivalSlack is how much later than the end a record must have arrived to
	// end a shard. Arrival times are approximate and need not increase from
	// record to record.
	arrivalSlack = time.Second
	// childAttempts is how often ListShards is asked for the children of a
	// shard that has ended.
	childAttempts = 5
)

// cursor is the place in a shard.
type cursor struct {
	iterator *string
	last     string    // sequence number of the last record read, if any
	since    time.Time // for an iterator at the tip: nothing that arrived before is wanted
	earliest time.Time // of the arrivals to return, if the server did not choose; zero: any
}

// read reads a shard to its end.
func (r *run) read(ctx context.Context, sh *shard) end {
	e := end{id: sh.ID}
	e.drained, e.children, e.err = r.readAll(ctx, sh)
	if errors.Is(e.err, errGone) {
		r.warn("shard %s is no longer in the stream; what was not read of it is left out", sh.ID)
		return end{id: sh.ID, drained: true}
	}
	return e
}

func (r *run) readAll(ctx context.Context, sh *shard) (drained bool, children []*shard, err error) {
	var cur cursor
	if err := r.open(ctx, sh, &cur); err != nil {
		return false, nil, err
	}
	for {
		began := time.Now()
		out, err := r.page(ctx, sh, &cur)
		if err != nil {
			return false, nil, err
		}
		stop, err := r.deliver(ctx, sh, &cur, out)
		if err != nil || stop {
			return false, nil, err
		}
		if aws.ToString(out.NextShardIterator) == "" {
			children, err := r.children(ctx, sh, out.ChildShards)
			return true, children, err
		}
		cur.iterator = out.NextShardIterator
		if err := wait(ctx, time.Until(began.Add(r.pause(sh, out)))); err != nil {
			return false, nil, err
		}
	}
}

// pause is the time from one call to the next.
func (r *run) pause(sh *shard, out *kinesis.GetRecordsOutput) time.Duration {
	if !sh.closed && len(out.Records) == 0 && aws.ToInt64(out.MillisBehindLatest) == 0 {
		return r.cfg.Poll
	}
	d := minCallInterval
	if r.cfg.BytesPerSecond > 0 {
		n := 0
		for i := range out.Records {
			n += len(out.Records[i].Data)
		}
		d = max(d, time.Duration(n)*time.Second/time.Duration(r.cfg.BytesPerSecond))
	}
	return d
}

// deliver hands a page over, without what arrived after the end, and gives its
// slot back. It reports whether the end was reached.
func (r *run) deliver(ctx context.Context, sh *shard, cur *cursor, out *kinesis.GetRecordsOutput) (stop bool, err error) {
	defer func() { <-r.slots }()
	now := serverTime(out.ResultMetadata)
	recs := out.Records
	behind := time.Duration(aws.ToInt64(out.MillisBehindLatest)) * time.Millisecond
	if len(recs) > 0 {
		cur.last = aws.ToString(recs[len(recs)-1].SequenceNumber)
	} else if behind == 0 {
		cur.since = now
	}
	if !r.until.IsZero() {
		if len(recs) == 0 {
			// A shard that was closed from the start has an end, and only that
			// leads to its children: servers may claim to be at the tip before it.
			tip := behind == 0 && !sh.closed
			stop = tip && (r.cfg.UntilNow || !now.Before(r.until)) || behind > 0 && now.Add(-behind).After(r.until.Add(arrivalSlack))
		} else {
			stop = aws.ToTime(recs[len(recs)-1].ApproximateArrivalTimestamp).After(r.until.Add(arrivalSlack))
			recs = slices.DeleteFunc(recs, func(rec types.Record) bool {
				return aws.ToTime(rec.ApproximateArrivalTimestamp).After(r.until)
			})
		}
	}
	if !cur.earliest.IsZero() {
		recs = slices.DeleteFunc(recs, func(rec types.Record) bool {
			return aws.ToTime(rec.ApproximateArrivalTimestamp).Before(cur.earliest)
		})
	}
	if len(recs) == 0 {
		return stop, nil
	}
	select {
	case r.pages <- Batch{Shard: sh.Shard, Records: recs}:
		return stop, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// open gets the first iterator of a shard.
func (r *run) open(ctx context.Context, sh *shard, cur *cursor) error {
	in := &kinesis.GetShardIteratorInput{}
	switch sh.from.At {
	case Latest:
		in.ShardIteratorType = types.ShardIteratorTypeLatest
	case TrimHorizon:
		in.ShardIteratorType = types.ShardIteratorTypeTrimHorizon
	case Timestamp:
		in.ShardIteratorType, in.Timestamp = types.ShardIteratorTypeAtTimestamp, &sh.from.Time
	}
	return r.iterator(ctx, sh, cur, in)
}

// reopen replaces an iterator that has expired.
func (r *run) reopen(ctx context.Context, sh *shard, cur *cursor) error {
	in := &kinesis.GetShardIteratorInput{}
	switch {
	case cur.last != "":
		in.ShardIteratorType, in.StartingSequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, &cur.last
	case sh.from.At == Latest:
		// The tip has moved on; what came meanwhile is wanted.
		since := cur.since
		in.ShardIteratorType, in.Timestamp = types.ShardIteratorTypeAtTimestamp, &since
	default:
		return r.open(ctx, sh, cur)
	}
	return r.iterator(ctx, sh, cur, in)
}

func (r *run) iterator(ctx context.Context, sh *shard, cur *cursor, in *kinesis.GetShardIteratorInput) error {
	in.ShardId = &sh.ID
	in.StreamName, in.StreamARN = r.streamName(), r.streamARN()
	if r.cfg.ScanTimes && in.Timestamp != nil {
		cur.earliest = *in.Timestamp
		in.ShardIteratorType, in.Timestamp = types.ShardIteratorTypeTrimHorizon, nil
	}
	out, err := call(ctx, r, "cannot get an iterator of shard "+sh.ID, func(ctx context.Context) (*kinesis.GetShardIteratorOutput, error) {
		ctx, cancel := context.WithTimeout(ctx, smallCallTimeout)
		defer cancel()
		return r.cfg.API.GetShardIterator(ctx, in)
	})
	if err != nil {
		var gone *types.ResourceNotFoundException
		if errors.As(err, &gone) {
			if found, listErr := r.listed(ctx, sh.ID); listErr == nil && !found {
				return errGone
			}
		}
		return err
	}
	cur.iterator = out.ShardIterator
	if sh.from.At == Latest && cur.since.IsZero() {
		cur.since = serverTime(out.ResultMetadata)
	}
	return nil
}

// errGone says that a shard left the stream after it was listed.
var errGone = errors.New("the shard is no longer in the stream")

func (r *run) listed(ctx context.Context, id string) (bool, error) {
	list, _, err := r.list(ctx)
	return slices.ContainsFunc(list, func(s types.Shard) bool { return aws.ToString(s.ShardId) == id }), err
}

// page gets the next page, which holds a slot until it is delivered.
func (r *run) page(ctx context.Context, sh *shard, cur *cursor) (*kinesis.GetRecordsOutput, error) {
	for expired := 0; ; expired++ {
		out, err := call(ctx, r, "cannot get records of shard "+sh.ID, func(ctx context.Context) (*kinesis.GetRecordsOutput, error) {
			select {
			case r.slots <- struct{}{}:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			ctx, cancel := context.WithTimeout(ctx, callTimeout) // waiting for a slot is not part of it
			defer cancel()
			out, err := r.cfg.API.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: cur.iterator, StreamARN: r.streamARN()})
			if err != nil {
				<-r.slots
			}
			return out, err
		})
		var old *types.ExpiredIteratorException
		if !errors.As(err, &old) || expired == maxExpired {
			return out, err
		}
		if err := r.reopen(ctx, sh, cur); err != nil {
			return nil, err
		}
		if err := wait(ctx, minCallInterval); err != nil {
			return nil, err
		}
	}
}

// maxExpired bounds how often in a row a fresh iterator may be refused as expired.
const maxExpired = 5

// children returns the shards that follow a shard that has ended. They are read
// from their start, whatever was asked for: that start is later.
func (r *run) children(ctx context.Context, sh *shard, listed []types.ChildShard) ([]*shard, error) {
	from := From{At: TrimHorizon}
	if r.cfg.From.At == Timestamp {
		from = r.cfg.From
	}
	if len(r.cfg.Shards) > 0 {
		return nil, nil // the shards to read are known
	}
	var out []*shard
	for _, c := range listed {
		child := &shard{Shard: Shard{ID: aws.ToString(c.ShardId)}, parents: c.ParentShards, from: from}
		child.setRange(c.HashKeyRange)
		out = append(out, child)
	}
	for n := 0; len(out) == 0 && n < childAttempts; n++ {
		if n > 0 {
			if err := wait(ctx, r.cfg.Poll); err != nil {
				return nil, err
			}
		}
		list, _, err := r.list(ctx)
		if err != nil {
			return nil, err
		}
		for _, s := range list {
			if c := newShard(s, from); slices.Contains(c.parents, sh.ID) {
				out = append(out, c)
			}
		}
	}
	if len(out) == 0 {
		r.warn("shard %s has ended and no shard follows it", sh.ID)
	}
	return out, nil
}

// list returns all shards of the stream and a time of the service's clock at
// which they were listed, or up to a second later.
func (r *run) list(ctx context.Context) (all []types.Shard, at time.Time, err error) {
	in := &kinesis.ListShardsInput{StreamName: r.streamName(), StreamARN: r.streamARN(), MaxResults: aws.Int32(listPage)}
	for {
		out, err := call(ctx, r, "cannot list the shards of stream "+r.name(), func(ctx context.Context) (*kinesis.ListShardsOutput, error) {
			ctx, cancel := context.WithTimeout(ctx, smallCallTimeout)
			defer cancel()
			return r.cfg.API.ListShards(ctx, in)
		})
		if err != nil {
			return nil, at, err
		}
		if at.IsZero() {
			at = time.Now()
			if t, ok := awsmiddleware.GetServerTime(out.ResultMetadata); ok {
				at = t.Add(time.Second) // it has no fractions
			}
		}
		all = append(all, out.Shards...)
		if aws.ToString(out.NextToken) == "" {
			return all, at, nil
		}
		in = &kinesis.ListShardsInput{NextToken: out.NextToken, MaxResults: aws.Int32(listPage)}
	}
}

func (r *run) streamName() *string { return nonEmpty(r.cfg.Stream) }
func (r *run) streamARN() *string  { return nonEmpty(r.cfg.ARN) }

func nonEmpty(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// serverTime is the time an answer was made by the service's clock, in whole seconds,
// or the local time if the answer does not say. What is compared with arrival
// times must be of the clock that makes them.
func serverTime(md middleware.Metadata) time.Time {
	if t, ok := awsmiddleware.GetServerTime(md); ok {
		return t
	}
	return time.Now()
}

// wait waits for d.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
