// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/aggregation"
)

// API is the part of the Kinesis API that reading needs; *kinesis.Client has it.
type API interface {
	ListShards(ctx context.Context, in *kinesis.ListShardsInput, opts ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error)
	GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, opts ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error)
	GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error)
}

// At is a place to start from.
type At uint8

// The places to start from.
const (
	// Latest is the tip of every shard that is open when Run starts.
	Latest At = iota
	// TrimHorizon is the oldest record that the stream still holds.
	TrimHorizon
	// Timestamp is the first record that arrived at From.Time or later.
	Timestamp
)

// From says where to start. The zero value is the tip.
type From struct {
	At   At
	Time time.Time
}

// Config says what to read. API, Stream or ARN, and Handle are required.
type Config struct {
	API API
	// Stream is the stream's name, ARN its ARN. What is set is sent.
	Stream, ARN string
	// Shards are the ids of the only shards to read. Default: all.
	Shards []string
	// From is where to start. Default: Latest.
	From From
	// UntilNow ends each shard at its tip, or at the first record that arrived
	// after the start of Run.
	UntilNow bool
	// Until ends each shard at the first record that arrived later. The zero
	// value means no end, if UntilNow is not set either.
	Until time.Time
	// Poll is the pause before a shard without new records is asked again.
	// Default 1 s, at least 200 ms.
	Poll time.Duration
	// BytesPerSecond slows down reading of a shard, because the service answers what goes
	// beyond 2 MiB/s with errors. Default 0: no limit.
	BytesPerSecond int
	// ScanTimes finds times by reading a shard from its start instead of asking for an iterator
	// at a time, because kinesalite never answers that if no record is later.
	ScanTimes bool
	// Retries is how often in a row a call may fail by chance (network, 5xx)
	// before Run fails; throttled calls do not count. Without an end, there is
	// no bound once the shards were listed. Default 0.
	Retries int
	// Handle gets every page that has records. It is called from one
	// goroutine. An error ends Run and is returned as it is.
	Handle func(Batch) error
	// Idle is called before Run waits, if Handle was called since. Optional.
	Idle func() error
	// Tick is called every Every from the goroutine of Handle. Optional.
	Tick  func() error
	Every time.Duration
	// Warn gets what went wrong and was repeated, and what is left out. It is called
	// from several goroutines at once. Optional.
	Warn func(message string)
}

// Shard is a shard as a Batch names it.
type Shard struct {
	ID string
	// First and Last are the shard's hash keys, if HasRange is set.
	First, Last aggregation.HashKey
	HasRange    bool
}

// Batch is a page of Kinesis records of one shard, in order.
type Batch struct {
	Shard   Shard
	Records []types.Record
}

// errNoShards is returned for a stream that has none yet.
var errNoShards = errors.New("it has no shards; a stream that is being created has none yet")

// Run reads until the end that the Config names is reached in all shards (nil),
// Handle fails, a call fails for good, or ctx ends (its error). All goroutines have
// ended when it returns.
func Run(ctx context.Context, c Config) error {
	if c.Poll == 0 {
		c.Poll = time.Second
	}
	c.Poll = max(c.Poll, minCallInterval)
	ctx, cancel := context.WithCancel(ctx)
	r := &run{
		cfg: c, shards: map[string]*shard{}, pages: make(chan Batch), ended: make(chan end),
		slots: make(chan struct{}, maxPages),
	}
	defer r.wg.Wait()
	defer cancel()
	list, listed, err := r.list(ctx)
	if err != nil {
		return err
	}
	if r.until = c.Until; c.UntilNow {
		r.until = listed
	}
	r.patient = r.until.IsZero()
	if err := r.start(ctx, list); err != nil {
		return err
	}
	return r.loop(ctx)
}

// run is the state of Run. Only its goroutine touches shards and running.
type run struct {
	cfg     Config
	until   time.Time // zero: none
	patient bool      // failures by chance are repeated without bound
	shards  map[string]*shard
	running int
	pages   chan Batch
	ended   chan end
	slots   chan struct{} // one for each page that exists
	wg      sync.WaitGroup
}

type state uint8

const (
	waiting state = iota // for its parents
	reading
	done    // all of it was read, or is not wanted
	stopped // at the time to stop, so that its children are not wanted either
)

type shard struct {
	Shard
	parents []string
	closed  bool // when it was listed
	from    From
	state   state
}

// end is what a shard's goroutine says last.
type end struct {
	id       string
	drained  bool // to the end of a closed shard
	children []*shard
	err      error
}

// start chooses what to read of the shards that exist at the start.
func (r *run) start(ctx context.Context, list []types.Shard) error {
	if len(list) == 0 {
		return fmt.Errorf("cannot read stream %s: %w", r.name(), errNoShards)
	}
	if err := r.checkShards(list); err != nil {
		return err
	}
	for _, s := range list {
		sh := newShard(s, r.cfg.From)
		if r.cfg.From.At == Latest && sh.closed {
			sh.state = done
		}
		r.add(sh)
	}
	r.launch(ctx)
	return nil
}

// checkShards names the shards that were asked for and do not exist.
func (r *run) checkShards(list []types.Shard) error {
	var missing []string
	for _, id := range r.cfg.Shards {
		if !slices.ContainsFunc(list, func(s types.Shard) bool { return aws.ToString(s.ShardId) == id }) {
			missing = append(missing, id)
		}
	}
	if missing == nil {
		return nil
	}
	var have []string
	for _, s := range list[:min(len(list), 10)] {
		have = append(have, aws.ToString(s.ShardId))
	}
	if len(list) > len(have) {
		have = append(have, "...")
	}
	return fmt.Errorf("cannot read stream %s: it has no shard %s; it has %s",
		r.name(), strings.Join(missing, ", "), strings.Join(have, ", "))
}

// add makes a shard known. A child of two parents comes twice.
func (r *run) add(sh *shard) {
	if _, known := r.shards[sh.ID]; known {
		return
	}
	if len(r.cfg.Shards) > 0 && !slices.Contains(r.cfg.Shards, sh.ID) {
		sh.state = done
	}
	r.shards[sh.ID] = sh
}

// launch starts the shards whose parents are done. A parent that is not known has
// left the stream with its last record.
func (r *run) launch(ctx context.Context) {
	for _, sh := range r.shards {
		if sh.state != waiting || slices.ContainsFunc(sh.parents, func(id string) bool {
			p := r.shards[id]
			return p != nil && p.state != done
		}) {
			continue
		}
		sh.state = reading
		r.running++
		r.wg.Go(func() {
			e := r.read(ctx, sh)
			select {
			case r.ended <- e:
			case <-ctx.Done():
			}
		})
	}
}

// loop hands pages over and starts the children of shards that have ended.
func (r *run) loop(ctx context.Context) error {
	var tick <-chan time.Time
	if r.cfg.Tick != nil && r.cfg.Every > 0 {
		t := time.NewTicker(r.cfg.Every)
		defer t.Stop()
		tick = t.C
	}
	for busy := false; r.running > 0; {
		if busy && r.cfg.Idle != nil {
			select {
			case b := <-r.pages:
				if err := r.cfg.Handle(b); err != nil {
					return err
				}
				continue
			default:
				if err := r.cfg.Idle(); err != nil {
					return err
				}
				busy = false
			}
		}
		select {
		case b := <-r.pages:
			busy = true
			if err := r.cfg.Handle(b); err != nil {
				return err
			}
		case e := <-r.ended:
			if e.err != nil {
				return e.err
			}
			r.running--
			if r.shards[e.id].state = stopped; e.drained {
				r.shards[e.id].state = done
			}
			for _, c := range e.children {
				r.add(c)
			}
			r.launch(ctx)
		case <-tick:
			if err := r.cfg.Tick(); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// name is what messages call the stream.
func (r *run) name() string {
	if r.cfg.Stream != "" {
		return r.cfg.Stream
	}
	return r.cfg.ARN
}

func (r *run) warn(format string, args ...any) {
	if r.cfg.Warn != nil {
		r.cfg.Warn(fmt.Sprintf(format, args...))
	}
}

// newShard takes over what ListShards says of a shard.
func newShard(s types.Shard, from From) *shard {
	sh := &shard{Shard: Shard{ID: aws.ToString(s.ShardId)}, from: from, closed: closed(s)}
	sh.setRange(s.HashKeyRange)
	for _, p := range []*string{s.ParentShardId, s.AdjacentParentShardId} {
		if aws.ToString(p) != "" {
			sh.parents = append(sh.parents, *p)
		}
	}
	return sh
}

func (s *Shard) setRange(h *types.HashKeyRange) {
	if h == nil {
		return
	}
	first, err := aggregation.ParseHashKey(aws.ToString(h.StartingHashKey))
	last, err2 := aggregation.ParseHashKey(aws.ToString(h.EndingHashKey))
	if err == nil && err2 == nil {
		s.First, s.Last, s.HasRange = first, last, true
	}
}

func closed(s types.Shard) bool {
	return s.SequenceNumberRange != nil && aws.ToString(s.SequenceNumberRange.EndingSequenceNumber) != ""
}
