// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/internal/event"
	"github.com/outkpl/outkpl/internal/journal"
	"github.com/outkpl/outkpl/internal/remedy"
)

// Code is the answer to a flush.
type Code int

// The answers, with the host's values.
const (
	// Error makes the host count the chunk as dropped and, if it is set up so,
	// keep its bytes in the dead letter folder.
	Error Code = 0
	// OK makes the host forget the chunk.
	OK Code = 1
	// Retry makes the host resend the same bytes, later.
	Retry Code = 2
)

// maxIdleBuilders bounds the memory for shaped events that is kept for reuse. A
// Builder keeps at most 24 MiB, so it is 96 MiB at the very most; with the usual
// chunks of 2 MB it is a tenth of that.
const maxIdleBuilders = 4

// maxHealths bounds the streams of which it is remembered how they are.
const maxHealths = 2 * event.MaxStreams

// Deps are the things that an Instance gets from outside.
type Deps struct {
	// Logger takes the instance's lines. Default: nowhere.
	Logger *slog.Logger
	// NewProducer is for tests. Default: a core.Producer that writes to AWS.
	NewProducer func(cfg *Config, logger *slog.Logger) (Producer, error)
	// DeadLetters keeps what can never be delivered; the Instance closes it. Default: a
	// file if the configuration names one, else nothing.
	DeadLetters deadletter.Sink
	// Stopping tells whether the host is about to end, if that can be known. It is called
	// often. Default: nobody knows.
	Stopping func() bool
	// Registry shows the metrics. Default: there are none.
	Registry Registry
	// Name is that of the output, the same after a restart. Default: output.
	Name string
	// Reloads keeps what is remembered of chunks over a hot reload. Default: nothing does.
	Reloads *Reloads
}

// Stats counts what an Instance has done. All are totals since New.
type Stats struct {
	// Chunks counts flushes by their answer.
	OK, Retry, Error uint64
	// Events counts the events that became records, once for each chunk, and Records the
	// records made from them. A piece of an event that was split counts as an event.
	Events, Records uint64
	// Broken counts pieces of chunks that are no events, BrokenBytes their bytes;
	// LostBytes is the part of them behind which nothing could be read any more.
	Broken, BrokenBytes, LostBytes uint64
	// KeyMissing, KeyCut, LogKeyMissing and Dropped count warnings about events.
	KeyMissing, KeyCut, LogKeyMissing, Dropped uint64
	// StreamMissing and StreamRefused count events whose stream is not the one that
	// the template says; Unroutable is the part of them that has none.
	StreamMissing, StreamRefused, Unroutable uint64
	// Empty counts events dropped by empty_events.
	Empty uint64
	// Truncated and Split count events that were changed to fit.
	Truncated, Split uint64
	// Refused counts events that can never be accepted: too large or invalid, or in one
	// record with such an event. Expired counts those given up by record_ttl.
	Refused, Expired uint64
	// DeadLetters counts what was written to the dead letter file.
	DeadLetters uint64
	// Resumed counts chunks that came again and were continued, not repeated.
	Resumed uint64
	// Evicted counts chunks whose progress was given up for lack of room.
	Evicted uint64
}

type counters struct {
	ok, retry, failed                          atomic.Uint64
	events, records                            atomic.Uint64
	broken, brokenBytes, lostBytes             atomic.Uint64
	keyMissing, keyCut, logKeyMissing, dropped atomic.Uint64
	streamMissing, streamRefused, unroutable   atomic.Uint64
	truncated, split, empty                    atomic.Uint64
	refused, expired, deadLetters              atomic.Uint64
	resumed, evicted                           atomic.Uint64
}

// Instance is one output section of the host's configuration. Flush is safe for
// concurrent use; Close is called once, after the last Flush has returned.
type Instance struct {
	cfg      Config
	log      *slog.Logger
	producer Producer
	meter    *meter              // nil: no metrics
	health   *health             // of what concerns no stream, or the only one
	limitOf  func(string) int    // recordLimit
	ownOf    func(string) bool   // ownRecords
	builders chan *event.Builder // idle ones
	n        counters

	deliverer   *delivery.Deliverer
	fingerprint delivery.Fingerprint
	deadLetters deadletter.Sink  // nil: what can never be delivered is not kept
	journal     *journal.Journal // nil: there is none
	name        string
	reloads     *Reloads // nil: nothing is kept

	hostStopping func() bool // nil: not known

	work      sync.WaitGroup     // the goroutine of the startup check
	stopCheck context.CancelFunc // nil if there is none

	mu      sync.Mutex // guards healths
	healths map[string]*health
}

// New starts an instance. It does not use the network, so it cannot fail because
// of it, unless the option startup_check says so.
func New(cfg Config, deps Deps) (*Instance, error) {
	if cfg.shaper == nil {
		return nil, errors.New("cannot start: the configuration was not made by ParseConfig")
	}
	in := &Instance{
		cfg:      cfg,
		log:      deps.Logger,
		builders: make(chan *event.Builder, maxIdleBuilders),
		healths:  map[string]*health{},

		name:    cmp.Or(deps.Name, "output"),
		reloads: deps.Reloads,

		hostStopping: deps.Stopping,
	}
	if in.log == nil {
		in.log = slog.New(slog.DiscardHandler)
	}
	if deps.NewProducer == nil {
		deps.NewProducer = newProducer
	}
	var err error
	if in.deadLetters = deps.DeadLetters; in.deadLetters == nil && cfg.DeadLetterFile != "" {
		if in.deadLetters, err = openDeadLetters(&in.cfg, in.log); err != nil {
			return nil, fmt.Errorf("cannot start: %w", err)
		}
	}
	in.fingerprint = cfg.fingerprint(in.deadLetters != nil)
	in.journal = cfg.Journal.Open(in.name, map[delivery.Fingerprint]bool{in.fingerprint: true}, remedy.Plugin, in.log)
	in.cfg.journal = in.journal
	in.meter = newMeter(in, deps.Registry)
	if in.producer, err = deps.NewProducer(&in.cfg, in.log); err != nil {
		in.closeJournal()
		if in.deadLetters != nil {
			_ = in.deadLetters.Close(context.Background()) // nothing is in it
		}
		return nil, fmt.Errorf("cannot start: %w", err)
	}
	in.limitOf, in.ownOf = in.recordLimit, in.ownRecords
	in.deliverer = in.newDeliverer(ledgerLimits(&in.cfg))
	in.health = newHealth(in.log, cfg.Stream)
	in.meter.start()
	if err := in.startCheck(); err != nil {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // nothing is under way
		_ = in.Close(ctx)
		return nil, fmt.Errorf("cannot start: %w", err)
	}
	for _, n := range cfg.notices {
		in.log.Warn(n.text, "option", n.option)
	}
	var region, endpoint string
	if p, ok := in.producer.(interface {
		Where(context.Context) (region, endpoint string)
	}); ok {
		region, endpoint = p.Where(context.Background())
	}
	in.log.LogAttrs(context.Background(), slog.LevelInfo, "started", cfg.LogAttrs(region, endpoint)...)
	return in, nil
}

// Flush delivers one chunk and returns when it is done or FlushTimeout has
// passed. It keeps no reference to chunk. It does not panic.
func (in *Instance) Flush(tag string, chunk []byte) (code Code) {
	defer func() {
		if p := recover(); p != nil {
			in.log.Error("flush failed by a mistake in the plugin, the chunk will be retried; please report this",
				"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			code = Retry
		}
		switch code {
		case OK:
			in.n.ok.Add(1)
		case Retry:
			in.n.retry.Add(1)
		default:
			in.n.failed.Add(1)
		}
	}()
	if len(chunk) == 0 {
		return OK
	}
	ctx, cancel := context.WithTimeout(context.Background(), in.cfg.FlushTimeout)
	defer cancel()

	return in.deliver(ctx, tag, chunk)
}

// Close delivers what is under way until ctx ends. The error says how much is
// left.
func (in *Instance) Close(ctx context.Context) error {
	if in.stopCheck != nil {
		in.stopCheck()
		in.work.Wait()
	}
	if in.stopping() && in.allDown() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lastWait)
		defer cancel()
	}
	err := in.producer.Close(ctx)
	in.meter.close()
	in.closeJournal() // nothing settles any more
	if in.deadLetters != nil {
		// With a time of its own: nothing is written any more, and if the file stayed
		// locked because ctx has ended, the next instance could not start after a reload.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadLetterGrace)
		defer cancel()
		if e := in.deadLetters.Close(ctx); e != nil {
			in.log.Error("cannot close the dead letter file", "error", e)
		}
	}
	in.health.close()
	in.mu.Lock()
	rest := slices.Collect(maps.Values(in.healths))
	in.mu.Unlock()
	for _, h := range rest {
		h.close()
	}
	in.reportLeft()
	if err != nil {
		in.log.Error("stopped before everything was delivered", "error", err, "kept", in.keptWhere())
		return fmt.Errorf("cannot deliver everything before the end: %w", err)
	}
	return nil
}

// reportLeft logs how much the host keeps that Kinesis has not confirmed.
func (in *Instance) reportLeft() {
	if n := in.deliverer.Ledger().Entries; n > 0 {
		in.log.Warn("chunks are left that Kinesis has not confirmed as a whole", "chunks", n, "kept", in.keptWhere())
	}
}

// keptWhere says where chunks stay that were answered with Retry. Which storage the input has
// is not told to an output.
func (in *Instance) keptWhere() string {
	s := "by Fluent Bit: with storage.type filesystem they are in storage.path and come again at the next start, with storage.type memory they are lost with the process"
	if in.journal != nil {
		s += "; what of them is in Kinesis is in the journal in " + in.cfg.Journal.Dir
	}
	return s
}

// closeJournal gives the journal free for the next instance.
func (in *Instance) closeJournal() {
	if in.journal == nil {
		return
	}
	if err := in.journal.Close(); err != nil {
		in.log.Error("cannot close the journal", "error", err)
	}
}

// Stats returns the counters.
func (in *Instance) Stats() Stats {
	n := &in.n
	return Stats{
		OK: n.ok.Load(), Retry: n.retry.Load(), Error: n.failed.Load(), Events: n.events.Load(), Records: n.records.Load(),
		Broken: n.broken.Load(), BrokenBytes: n.brokenBytes.Load(), LostBytes: n.lostBytes.Load(),
		KeyMissing: n.keyMissing.Load(), KeyCut: n.keyCut.Load(), LogKeyMissing: n.logKeyMissing.Load(),
		Dropped: n.dropped.Load(), StreamMissing: n.streamMissing.Load(), StreamRefused: n.streamRefused.Load(),
		Unroutable: n.unroutable.Load(), Truncated: n.truncated.Load(), Split: n.split.Load(), Empty: n.empty.Load(),
		Refused: n.refused.Load(), Expired: n.expired.Load(), DeadLetters: n.deadLetters.Load(),
		Resumed: n.resumed.Load(), Evicted: n.evicted.Load(),
	}
}

// healthOf returns the health of a stream. What is in good health is evicted when
// there are many: streams come and go.
func (in *Instance) healthOf(stream string) *health {
	if stream == in.health.stream {
		return in.health
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	h := in.healths[stream]
	if h == nil && len(in.healths) >= maxHealths {
		maps.DeleteFunc(in.healths, func(_ string, h *health) bool { return h.forgettable() })
	}
	if h == nil && len(in.healths) >= maxHealths {
		clear(in.healths) // at the cost of lines that come again too early
	}
	if h == nil {
		h = newHealth(in.log, stream)
		in.healths[stream] = h
	}
	return h
}

func (in *Instance) builder() *event.Builder {
	select {
	case b := <-in.builders:
		return b
	default:
		return &event.Builder{}
	}
}
