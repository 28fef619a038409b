// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"errors"
	"iter"

	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/internal/journal"
)

// writeKnownFirst writes the dead letters with the given numbers, which are known before
// anything is put, and returns the numbers of those that are still to be written.
func (l *Deliverer) writeKnownFirst(ctx context.Context, c *Content, entry *journal.Entry, numbers []int32) (again []int32, lost int, err error) {
	if len(numbers) == 0 {
		return nil, 0, nil
	}
	kept, hopeless, err := l.writeDeadLetters(ctx, func(yield func(int, deadletter.Entry) bool) {
		for _, n := range numbers {
			if !yield(int(n), c.DeadLetter(int(n))) {
				return
			}
		}
	})
	var written, gone []int32
	for _, n := range numbers {
		switch {
		case next(&kept, int(n)):
			written = append(written, n)
		case next(&hopeless, int(n)):
			gone = append(gone, n)
		default:
			again = append(again, n)
		}
	}
	if len(again) > 0 { // those that are lost are so once nothing has to be tried again
		again, gone = append(again, gone...), nil
	}
	entry.Settle(journal.KnownKept, 0, written)
	entry.Settle(journal.KnownLost, len(gone), gone)
	c.Receiver.Written(c, written, gone, again, err)
	if len(again) == 0 {
		err = nil
	}
	return again, len(gone), err
}

// writeDeadLetters makes dead letters durable, and returns the numbers of those that are, and of
// those that can never be.
func (l *Deliverer) writeDeadLetters(ctx context.Context, deadLetters iter.Seq2[int, deadletter.Entry]) (kept, hopeless []int, err error) {
	if l.cfg.DeadLetters == nil {
		for range deadLetters {
			return nil, nil, errNoSink
		}
		return nil, nil, nil
	}
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(context.WithoutCancel(ctx), end.Add(l.cfg.DeadLetterGrace))
		defer cancel()
	}
	return deadletter.Keep(ctx, l.cfg.DeadLetters, deadLetters)
}

var errNoSink = errors.New("cannot write dead letters: there is no place for them")
