// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/outkpl/outkpl/internal/plural"
)

// Producer delivers user records to Kinesis streams. It is safe for concurrent
// use. Close must be called when it is no longer needed.
type Producer struct {
	cfg    config
	client Client
	// saboteur is called before each piece of work under a pipeline's lock. For tests,
	// which set it before the first record: it panics.
	saboteur func(pl *pipeline, work string)
	start    time.Time
	buffer   *buffer

	observations  sync.Pool // of *[]Observation
	settledItems  sync.Pool // of *[]*item
	confirmedRuns spareRuns
	outcomes      sync.Pool // of *[]Outcome
	records       sync.Pool // of *spareRecords
	emptyLists    sync.Pool // of *spareRecords without records

	ctx        context.Context // ends calls and loops
	cancel     context.CancelFunc
	closing    chan struct{}  // closed when no more records are taken
	submitters sync.WaitGroup // callers that are submitting
	work       sync.WaitGroup // every goroutine

	mu        sync.Mutex // guards pipelines, retired and closed
	pipelines map[string]*pipeline
	retired   Stats // of pipelines that are no more
	closed    bool
	finished  chan struct{} // closed when Close is through
	closeErr  error         // set before finished is closed
}

// New makes a producer. It does not use the network; that begins with the first
// record for a stream. The error lists every option that is out of range.
func New(client Client, opts ...Option) (*Producer, error) {
	p := &Producer{
		cfg: defaultConfig(), client: client, start: time.Now(),
		closing: make(chan struct{}), finished: make(chan struct{}),
		pipelines: map[string]*pipeline{},
	}
	for _, o := range opts {
		o.apply(&p.cfg)
	}
	if client == nil {
		return nil, errors.New("cannot make producer: client is nil")
	}
	if _, ok := client.(ReadClient); p.cfg.verify && !ok {
		return nil, errors.New("cannot make producer: option VerifyUncertain: the client has no GetRecords and GetShardIterator")
	}
	if err := p.cfg.validate(); err != nil {
		return nil, fmt.Errorf("cannot make producer: %w", err)
	}
	if ttl := p.cfg.recordTTL; ttl > 0 {
		// A record that waits for longer than that would expire without a try.
		p.cfg.retryBackoffMax = max(p.cfg.retryBackoffMin, min(p.cfg.retryBackoffMax, ttl/2))
	}
	p.cfg.pace = p.cfg.paceLimits()
	p.cfg.pace.Clock = p.start.UnixNano()
	p.buffer = newBuffer(p.cfg.bufferBytes, p.cfg.bufferRecords)
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p, nil
}

// acquirePipeline returns the pipeline of a stream and makes it on first use. The
// caller must call releasePipeline when it has submitted.
func (p *Producer) acquirePipeline(stream string) (*pipeline, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, ErrClosed
	}
	if stream = p.streamOrDefault(stream); stream == "" {
		return nil, errors.New("no stream is named, and there is no default stream; name one, or see WithDefaultStream")
	}
	pl := p.pipelines[stream]
	if pl == nil {
		id, err := newStreamID(stream)
		if err != nil {
			return nil, err
		}
		if len(p.pipelines) >= p.cfg.maxStreams && !p.retireOldest() {
			return nil, fmt.Errorf("cannot open stream %s: %w: %d are in use", id.name, ErrTooManyStreams, p.cfg.maxStreams)
		}
		pl = newPipeline(p, stream, id)
		p.pipelines[stream] = pl
		p.work.Add(1)
		go pl.runLoop()
	}
	p.submitters.Add(1)
	pl.users.Add(1)
	return pl, nil
}

// streamOrDefault returns the stream that a call means.
func (p *Producer) streamOrDefault(stream string) string {
	if stream == "" {
		return p.cfg.defaultStream
	}
	return stream
}

func (p *Producer) releasePipeline(pl *pipeline) {
	pl.users.Add(-1)
	p.submitters.Done()
}

// retireOldest ends the pipeline that has been idle longest, if any is idle. Called
// with p.mu held.
func (p *Producer) retireOldest() bool {
	var oldest *pipeline
	since := int64(never)
	for _, pl := range p.pipelines {
		if at, idle := pl.idleSince(); idle && at < since {
			oldest, since = pl, at
		}
	}
	return oldest != nil && p.retirePipeline(oldest, 0)
}

// retirePipeline ends a pipeline that has been idle for some time, unless a caller has
// begun to use it. Called with p.mu held, without which no caller begins.
func (p *Producer) retirePipeline(pl *pipeline, idle time.Duration) bool {
	at, ok := pl.idleSince()
	if !ok || time.Since(p.start)-time.Duration(at) < idle || p.closed {
		return false
	}
	delete(p.pipelines, pl.key)
	one := pl.currentStats()
	one.AutoStreams = 0 // a state, not a counter
	p.retired.accumulate(&one)
	pl.cancel()
	return true
}

// retireIdle is retirePipeline without p.mu held.
func (p *Producer) retireIdle(pl *pipeline, idle time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.retirePipeline(pl, idle)
}

// PutBatch submits records to a stream, given by name or ARN, and returns
// the batch in which their outcomes appear. It waits as long as the buffer has
// no room. If ctx ends meanwhile, it returns the batch together with the
// context's error: what was accepted goes on, the rest is settled with
// ReasonNotAccepted. Invalid records settle at once as failed and do not delay
// the others. After Close it returns ErrClosed and no batch; if ctx has ended
// before the call, the error of ctx and no batch.
//
// The records, their keys and data must not change until the batch is settled.
func (p *Producer) PutBatch(ctx context.Context, stream string, records []Record) (*Batch, error) {
	return p.putBatch(ctx, stream, func(pl *pipeline) *Batch { return pl.newBatch(records) })
}

// Put submits one record; see PutBatch.
func (p *Producer) Put(ctx context.Context, stream string, r Record) (*Batch, error) {
	return p.putBatch(ctx, stream, func(pl *pipeline) *Batch { return pl.newSingleBatch(r) })
}

func (p *Producer) putBatch(ctx context.Context, stream string, newBatch func(*pipeline) *Batch) (*Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("cannot put records: %w", err)
	}
	pl, err := p.acquirePipeline(stream)
	if err != nil {
		return nil, err
	}
	defer p.releasePipeline(pl)
	b := newBatch(pl)
	b.tag = ctx.Value(batchTagKey{})
	if len(b.items) == 0 {
		b.finishBatch()
		return b, nil
	}
	return b, pl.submit(ctx, b)
}

// TryPutBatch is PutBatch for callers that cannot wait: it takes all records
// or, if they do not fit into the buffer at this moment, none and returns
// ErrBufferFull. More than one record that can never fit is refused likewise.
func (p *Producer) TryPutBatch(stream string, records []Record) (*Batch, error) {
	return p.tryPutBatch(stream, func(pl *pipeline) *Batch { return pl.newBatch(records) })
}

// TryPut submits one record without waiting: if it does not fit into the buffer at
// this moment, it is not taken, and the error is ErrBufferFull.
func (p *Producer) TryPut(stream string, r Record) (*Batch, error) {
	return p.tryPutBatch(stream, func(pl *pipeline) *Batch { return pl.newSingleBatch(r) })
}

func (p *Producer) tryPutBatch(stream string, newBatch func(*pipeline) *Batch) (*Batch, error) {
	pl, err := p.acquirePipeline(stream)
	if err != nil {
		return nil, err
	}
	defer p.releasePipeline(pl)
	b := newBatch(pl)
	if len(b.items) == 0 {
		b.finishBatch()
		return b, nil
	}
	if !p.buffer.reserveAll(b.items) {
		return nil, ErrBufferFull
	}
	pl.submitReserved(b)
	return b, nil
}

// PutSync submits one record and waits for its outcome. The error is the
// context's, ErrClosed, or the *RecordError of the result. The record does not wait for
// others: it leaves at once, with what is open for its shard. While another one of
// PutSync is under way to this shard, it waits for the end of that, and shares an
// aggregate with all that come meanwhile.
func (p *Producer) PutSync(ctx context.Context, stream string, r Record) (Result, error) {
	b, err := p.putBatch(ctx, stream, func(pl *pipeline) *Batch {
		b := pl.newSingleBatch(r)
		b.prompt = true
		return b
	})
	if err == nil {
		err = b.WaitSettled(ctx)
	}
	if b == nil {
		return Result{}, err
	}
	res := b.Result(0)
	if err == nil && res.Err != nil {
		err = res.Err
	}
	return res, err
}

// Flush sends on what waits to be filled up, and returns nil when every record
// submitted before the call is settled, or the context's error. Records that are
// submitted later are aggregated as usual.
func (p *Producer) Flush(ctx context.Context) error { return flushAll(ctx, p.allPipelines()) }

// FlushStream is Flush for one stream, named as for PutBatch. There is nothing to
// do for a stream that is not in use.
func (p *Producer) FlushStream(ctx context.Context, stream string) error {
	p.mu.Lock()
	pl := p.pipelines[p.streamOrDefault(stream)]
	p.mu.Unlock()
	if pl == nil {
		return nil
	}
	return flushAll(ctx, []*pipeline{pl})
}

func flushAll(ctx context.Context, list []*pipeline) error {
	return drainAll(ctx, list, "flush", (*pipeline).beginFlush, "end of flush", (*pipeline).endFlush)
}

// drainAll begins a piece of work with each pipeline, which closes the channel it is given
// when the batches that are open by then are settled, waits for these, and ends the work.
func drainAll(ctx context.Context, list []*pipeline, beginName string, begin func(*pipeline, chan struct{}), endName string, end func(*pipeline, chan struct{})) error {
	drained := make([]chan struct{}, len(list))
	for i, pl := range list {
		drained[i] = make(chan struct{})
		pl.locked(beginName, func() { begin(pl, drained[i]) })
	}
	defer func() {
		for i, pl := range list {
			pl.locked(endName, func() { end(pl, drained[i]) })
		}
	}()
	for i, done := range drained {
		if list[i].isBroken() {
			continue // its records fail, and the channel may stay open
		}
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Close takes no more records, delivers what it has, and ends every goroutine.
// If ctx ends first, the records left fail with ReasonClosed and the error says
// how many there were; some of them may be stored all the same. Further calls
// wait for the first and return its error.
func (p *Producer) Close(ctx context.Context) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		select {
		case <-p.finished:
			return p.closeErr
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	p.closed = true
	close(p.closing)
	p.mu.Unlock()
	p.submitters.Wait() // short: a caller that waits for room gives up

	list := p.allPipelines()
	for _, pl := range list {
		pl.locked("close", func() { pl.closing = true })
	}
	for _, pl := range list {
		done := make(chan struct{})
		pl.locked("drain", func() { pl.batches.awaitDrain(done) })
		if pl.isBroken() {
			continue // what is left fails below
		}
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	p.cancel()
	p.work.Wait()
	left := 0
	for _, pl := range list {
		left += pl.failUndelivered()
	}
	if left > 0 {
		p.closeErr = fmt.Errorf("cannot deliver %s before the producer was closed: %w", plural.Count(left, "record"), context.Cause(ctx))
	}
	close(p.finished)
	return p.closeErr
}

func (p *Producer) allPipelines() []*pipeline {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.allPipelinesLocked()
}

// allPipelinesLocked is allPipelines with p.mu held.
func (p *Producer) allPipelinesLocked() []*pipeline {
	list := make([]*pipeline, 0, len(p.pipelines))
	for _, pl := range p.pipelines {
		list = append(list, pl)
	}
	return list
}

// Stats returns the counters of the producer, summed over its streams.
func (p *Producer) Stats() Stats {
	p.mu.Lock()
	s := p.retired
	list := p.allPipelinesLocked()
	p.mu.Unlock()
	for _, pl := range list {
		one := pl.currentStats()
		s.accumulate(&one)
	}
	bytes, _ := p.buffer.usedRoom()
	s.BufferedBytes = uint64(bytes)
	return s
}

// clock is the time of the pipelines' clock.
func (p *Producer) clock() int64 { return int64(time.Since(p.start)) }
