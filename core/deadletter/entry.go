// SPDX-License-Identifier: Apache-2.0

package deadletter

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/plural"
)

const (
	// ReasonBroken is the Reason of a dead letter whose data is no record but input as
	// it came, of which no record could be made. It is not the string of any
	// core.Reason, and kpl-replay does not put such dead letters into a stream unless
	// asked for by this name.
	ReasonBroken = "broken"

	// maxAttempts bounds the attempts of a dead letter. A record may have been retried for
	// hours before it turned out to be the culprit. core keeps no more.
	maxAttempts = 32

	// pieceEntries and pieceBytes bound what Keep hands to a sink at once, so
	// that lines of a whole batch are not in memory at one time.
	pieceEntries = 500
	pieceBytes   = 4 << 20
)

// ErrClosed is returned by Write after Close.
var ErrClosed = errors.New("dead letter sink is closed")

// Entry is a record that could not be delivered, and why.
type Entry struct {
	// Time is when the dead letter was made.
	Time time.Time
	// Stream is where the record should have gone.
	Stream string
	// PartitionKey and ExplicitHashKey are those of the record.
	PartitionKey, ExplicitHashKey string
	// Reason is the string of a core.Reason, or ReasonBroken. Code and Detail are
	// as in core.RecordError.
	Reason, Code, Detail string
	// Attempts are the last attempts, oldest first.
	Attempts []core.Attempt
	// Data is the record's data.
	Data []byte
	// Events is how many events the record holds if events are combined, also if it is
	// one; else 0. Package combined takes Data apart then.
	Events int
	// Source says where the record came from: a tag or a route.
	Source string
}

// Sink keeps dead letters. It is safe for concurrent use, and keeps no reference to
// dead letters or their data after Write has returned.
type Sink interface {
	// Write returns nil once every dead letter is durable. If some dead letters are and some
	// are not, the error is a *WriteError. Otherwise none may be relied on.
	Write(ctx context.Context, entries []Entry) error
	// Close waits for what is under way. It may be called again.
	Close(ctx context.Context) error
}

// WriteError is the error of a Write that kept only part of its dead letters.
type WriteError struct {
	// Failed are the indexes of the dead letters that were not kept, rising.
	Failed []int
	// Hopeless are those of Failed that no further attempt can keep, rising: a dead letter
	// that is too large for the place it should go to.
	Hopeless []int
	// Err says why.
	Err error
}

// Error implements error.
func (e *WriteError) Error() string {
	return fmt.Sprintf("cannot write %s: %v", plural.Count(len(e.Failed), "dead letter"), e.Err)
}

// Unwrap returns the cause.
func (e *WriteError) Unwrap() error { return e.Err }

// Outcomes is what is needed of a batch; *core.Batch has it.
type Outcomes interface {
	// Failures yields the failed records.
	Failures(yield func(i int, err *core.RecordError) bool)
	// Result returns what is known of one record.
	Result(i int) core.Result
}

// FromRecord makes the dead letter of r, which is record i of b and failed with err. The
// dead letter refers to the record's data.
func FromRecord(b Outcomes, i int, r *core.Record, err *core.RecordError, source string) Entry {
	attempts := b.Result(i).Attempts
	return Entry{
		Time:            time.Now(),
		Stream:          err.Stream,
		PartitionKey:    r.PartitionKey,
		ExplicitHashKey: r.ExplicitHashKey,
		Reason:          err.Reason.String(),
		Code:            err.Code,
		Detail:          err.Detail,
		Attempts:        attempts[max(0, len(attempts)-maxAttempts):],
		Data:            r.Data,
		Source:          source,
	}
}

// fromBatch makes a dead letter of each record of a batch that failed for good, or that was
// refused while nothing told whether it is at fault (core.ReasonRefusedAlone), and
// yields it with the record's index. records are those that were submitted as this
// batch. The dead letters refer to the records' data.
func fromBatch(b Outcomes, records []core.Record, source string) iter.Seq2[int, Entry] {
	return func(yield func(int, Entry) bool) {
		b.Failures(func(i int, err *core.RecordError) bool {
			return !err.Reason.DeadLetter() || yield(i, FromRecord(b, i, &records[i], err, source))
		})
	}
}

// Settle writes a dead letter to sink for each record of b that failed for good. kept
// are the indexes of those that are safely kept now, rising; records that may be
// delivered by a further attempt are not among them. After an error, Settle may be
// called again; dead letters may then be there twice. A nil sink keeps nothing.
func Settle(ctx context.Context, b Outcomes, records []core.Record, source string, sink Sink) (kept []int, err error) {
	if sink == nil {
		return nil, nil
	}
	kept, _, err = Keep(ctx, sink, fromBatch(b, records, source))
	return kept, err
}

// Keep writes dead letters to sink, as they come and in pieces, so that not all of them are
// in memory at one time. kept are the numbers that came with those that are durable
// now, hopeless those of dead letters that can never be, in the order they came in. After a
// Write of which nothing can be relied on, no further dead letter is asked for.
func Keep(ctx context.Context, sink Sink, entries iter.Seq2[int, Entry]) (kept, hopeless []int, err error) {
	var (
		indexes []int
		piece   []Entry
		bytes   int
		errs    []error
	)
	write := func() (goOn bool) {
		werr := sink.Write(ctx, piece)
		var part *WriteError
		switch {
		case werr == nil:
			kept = append(kept, indexes...)
		case errors.As(werr, &part):
			kept = append(kept, without(indexes, part.Failed)...)
			for _, i := range part.Hopeless {
				hopeless = append(hopeless, indexes[i])
			}
		}
		if werr != nil {
			errs = append(errs, werr)
		}
		clear(piece) // lets go of data
		indexes, piece, bytes = indexes[:0], piece[:0], 0
		return werr == nil || part != nil
	}
	goOn := true
	for i, l := range entries {
		indexes, piece, bytes = append(indexes, i), append(piece, l), bytes+len(l.Data)
		if len(piece) == pieceEntries || bytes >= pieceBytes {
			if goOn = write(); !goOn {
				break
			}
		}
	}
	if goOn && len(piece) > 0 {
		write()
	}
	return kept, hopeless, errors.Join(errs...)
}

// without returns the items of all except those at the given positions, which rise.
func without(all, positions []int) []int {
	var rest []int
	for i, item := range all {
		if len(positions) > 0 && positions[0] == i {
			positions = positions[1:]
			continue
		}
		rest = append(rest, item)
	}
	return rest
}
