// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/outkpl/outkpl/combined"
	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/internal/plural"
	"github.com/outkpl/outkpl/internal/remedy"
)

const (
	// roundRecords and roundBytes bound what is under way at one time, and so what
	// is sent again if the process is killed.
	roundRecords = 2000
	roundBytes   = 8 << 20
	// drainTime is how long an interrupted run waits for what is under way.
	drainTime = 30 * time.Second
)

// pending is a dead letter of the current round.
type pending struct {
	dead   deadletter.Entry
	id     id
	events [][]byte // of the dead letter, with --split; else nil
}

// payloads are what is put of the dead letter.
func (p *pending) payloads() [][]byte {
	if p.events == nil {
		return [][]byte{p.dead.Data}
	}
	return p.events
}

// replayer puts the dead letters of all files.
type replayer struct {
	o        *options
	stderr   io.Writer
	producer *core.Producer
	failed   deadletter.Sink // nil without --failed
	progress *progress       // of the current file
	counts   counts

	splitter combined.Decoder

	round map[string][]pending // by stream
	count int
	bytes int
}

// replay puts dead letters and notes what is done.
func replay(ctx context.Context, o *options, stdin io.Reader, stdout, stderr io.Writer) (complete bool, err error) {
	aws := o.aws.Client()
	aws.Product = "kpl-replay"
	client, err := awsclient.New(ctx, aws)
	if err != nil {
		return false, err
	}
	producer, err := core.New(client,
		core.WithAggregation(o.producer.Aggregation),
		core.WithRateLimit(o.producer.RateLimit),
		core.WithOptionNames(remedy.Command),
		core.WithLogger(slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))))
	if err != nil {
		return false, err
	}
	r := &replayer{o: o, stderr: stderr, producer: producer, round: map[string][]pending{}}
	// What is interrupted gets some time to settle, and is settled after it.
	defer func() { err = errors.Join(err, r.stop()) }()
	if o.failed != "" {
		f, err := deadletter.OpenFile(deadletter.FileConfig{Path: o.failed})
		if err != nil {
			return false, err
		}
		r.failed = f
	}
	for _, name := range o.files {
		if err = r.file(ctx, name, stdin); err != nil {
			break
		}
	}
	return err == nil && r.counts.complete(), errors.Join(err, r.report(stdout))
}

// stop ends the producer; nothing is under way any more, unless an error has come
// in between.
func (r *replayer) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	err := r.producer.Close(ctx)
	if r.failed != nil {
		err = errors.Join(err, r.failed.Close(ctx))
	}
	return err
}

func (r *replayer) file(ctx context.Context, name string, stdin io.Reader) (err error) {
	r.progress = &progress{}
	if name != stdinName {
		unlock, err := lockInput(name)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, unlock()) }()
	}
	in, err := openInput(name, stdin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if name != stdinName {
		if r.progress, err = openProgress(name); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, r.progress.close()) }()
	}
	unsure := r.counts.unsure
	err = eachSelected(ctx, in, name, r.o, &r.counts, r.stderr, func(l deadletter.Entry, raw []byte) error {
		return r.add(ctx, l, idOf(raw))
	})
	if ctx.Err() == nil {
		// What was gathered goes, even if the file cannot be read to its end.
		err = errors.Join(err, r.put(ctx))
	}
	if n := r.counts.unsure - unsure; n > 0 {
		fmt.Fprintf(r.stderr, "kpl-replay: %s: %s %s under way when an earlier run ended; %s resent and may be there twice\n", name,
			plural.Count(n, "dead letter"), plural.Verb(n, "was", "were"), plural.Verb(n, "it was", "they were"))
	}
	return err
}

// add takes a dead letter into the round, and puts the round when it is full.
func (r *replayer) add(ctx context.Context, l deadletter.Entry, i id) error {
	if r.progress.take(i) {
		r.counts.doneBefore++
		return nil
	}
	stream := r.o.target(&l)
	if stream == "" {
		r.counts.noStream++
		return nil
	}
	p := pending{dead: l, id: i}
	if r.o.split && l.Events > 0 {
		var err error
		if p.events, err = r.split(&l); err != nil {
			r.counts.unsplit++
			fmt.Fprintf(r.stderr, "kpl-replay: a dead letter is left: %v\n", err)
			return nil
		}
	}
	if r.progress.takeOpen(i) {
		r.counts.unsure++
	}
	r.round[stream] = append(r.round[stream], p)
	for _, data := range p.payloads() {
		r.count++
		r.bytes += len(data)
	}
	if r.count < roundRecords && r.bytes < roundBytes {
		return nil
	}
	return r.put(ctx)
}

// split gets the events out of the record of a dead letter. The number of events says whether it was
// understood, which no first byte does for a block of snappy.
func (r *replayer) split(l *deadletter.Entry) ([][]byte, error) {
	got := 0
	// Hardly any text is a whole block of snappy, but a block may hold plain lines.
	for _, compression := range []string{combined.Snappy, combined.Auto, combined.None} {
		for _, form := range []string{combined.Auto, combined.Lines, combined.JSONArray} {
			r.splitter.Compression, r.splitter.Form = compression, form
			record, err := r.splitter.Decode(l.Data)
			if err == nil && len(record.Events) == l.Events {
				return record.Events, nil
			}
			got = max(got, len(record.Events))
		}
	}
	return nil, fmt.Errorf("it says that its record holds %s, but %d %s found; put it as it is, without --split", plural.Count(l.Events, "event"), got, plural.Verb(got, "is", "are"))
}

// batch is what goes to one stream in a round.
type batch struct {
	*core.Batch
	dead []pending
}

// put puts the round and waits until it has settled.
func (r *replayer) put(ctx context.Context) error {
	var ids []id
	for _, dead := range r.round {
		ids = append(ids, idsOf(dead)...)
	}
	round := r.round
	r.round, r.count, r.bytes = map[string][]pending{}, 0, 0
	if err := r.progress.note(verbPut, ids...); err != nil {
		return err
	}
	var errs []error
	var batches []batch
	for stream, dead := range round {
		records := make([]core.Record, 0, len(dead))
		for i := range dead {
			l := &dead[i].dead
			for _, data := range dead[i].payloads() {
				records = append(records, core.Record{PartitionKey: l.PartitionKey, ExplicitHashKey: l.ExplicitHashKey, Data: data})
			}
		}
		b, err := r.producer.PutBatch(ctx, stream, records)
		if b == nil {
			errs = append(errs, fmt.Errorf("cannot put dead letters into %s: %w", stream, err), r.progress.note(verbNot, idsOf(dead)...))
			continue
		}
		batches = append(batches, batch{b, dead})
	}
	for _, b := range batches {
		if b.WaitSettled(ctx) == nil {
			continue
		}
		// Interrupted: the producer is closed, which settles everything.
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		_ = r.producer.Close(drain) // what is left shows in the results
		cancel()
		<-b.Done()
	}
	for _, b := range batches {
		errs = append(errs, r.settle(ctx, b))
	}
	return errors.Join(errs...)
}

func idsOf(dead []pending) []id {
	ids := make([]id, len(dead))
	for i, p := range dead {
		ids[i] = p.id
	}
	return ids
}

// settle notes the outcomes of a batch that has settled. The error is what keeps
// the run from going on.
func (r *replayer) settle(ctx context.Context, b batch) error {
	var done, not, again []id
	partly := false // some events of again are stored
	var refused []deadletter.Entry
	var fatal error
	i := 0
	for k := range b.dead {
		p := &b.dead[k]
		before, failed, stored := len(refused), false, false
		for _, data := range p.payloads() {
			result := b.Result(i)
			i++
			switch {
			case result.Err == nil:
				stored = true
			case result.Err.Reason.DeadLetter():
				r.counts.refuse(result.Err)
				refused = append(refused, refusedAgain(p, data, &result))
			default:
				fatal, failed = result.Err, true
				stored = stored || maybeStored(&result)
			}
		}
		switch {
		case failed:
			refused = refused[:before] // all of it comes again
			if !stored {
				not = append(not, p.id)
			}
		case len(refused) > before:
			again = append(again, p.id)
			partly = partly || stored
		default:
			done = append(done, p.id)
		}
	}
	r.counts.put += len(done)
	errs := []error{fatal, r.progress.note(verbDone, done...)}
	if len(refused) > 0 && r.failed != nil {
		// Not with ctx: a run that is interrupted should not lose what it knows.
		keep, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		err := r.failed.Write(keep, refused)
		errs = append(errs, err)
		if err == nil {
			r.counts.moved += len(again)
			errs = append(errs, r.progress.note(verbDone, again...))
			again = nil
		}
	}
	r.counts.refused += len(again)
	if partly {
		again = nil // then the next run says that something may be there twice
	}
	return errors.Join(append(errs, r.progress.note(verbNot, append(not, again...)...))...)
}

// refusedAgain is the dead letter of what was refused again: the whole record, or one of
// its events.
func refusedAgain(p *pending, data []byte, result *core.Result) deadletter.Entry {
	l := p.dead
	l.Time, l.Stream = time.Now(), result.Err.Stream
	l.Reason, l.Code, l.Detail = result.Err.Reason.String(), result.Err.Code, result.Err.Detail
	l.Attempts = result.Attempts
	if p.events != nil {
		l.Data, l.Events = data, 0
	}
	return l
}

// maybeStored tells whether a record that failed may be in Kinesis all the same.
func maybeStored(r *core.Result) bool {
	// With ReasonClosed, the attempt under way is not among the attempts.
	if r.Err.Reason == core.ReasonCountMismatch || r.Err.Reason == core.ReasonClosed {
		return true
	}
	for _, a := range r.Attempts {
		if a.Uncertain {
			return true
		}
	}
	return false
}

func (r *replayer) report(w io.Writer) error {
	c := &r.counts
	_, err := fmt.Fprintf(w, "put %s\n", plural.Count(c.put, "dead letter"))
	if err == nil {
		err = tellLeftOut(w, c)
	}
	for _, line := range []struct {
		n            int
		one, several string
	}{
		{c.doneBefore, "was done before", "were done before"},
		{c.moved, "was refused again and is in the file of --failed", "were refused again and are in the file of --failed"},
		{c.refused, "was refused again and is left", "were refused again and are left"},
		{c.noStream, "has no stream; use --to", "have no stream; use --to"},
		{c.unsplit, "cannot be split and is left", "cannot be split and are left"},
	} {
		if line.n > 0 && err == nil {
			_, err = fmt.Fprintf(w, "%s %s\n", plural.Count(line.n, "dead letter"), plural.Verb(line.n, line.one, line.several))
		}
	}
	for _, cause := range slices.Sorted(maps.Keys(c.causes)) {
		if err == nil {
			_, err = fmt.Fprintf(w, "  %s: %s\n", plural.Count(c.causes[cause], "dead letter"), cause)
		}
	}
	return errors.Join(err, tellBroken(w, c))
}
