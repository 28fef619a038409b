// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/ledger"
)

// A batch settles between two flushes, and its chunk's memory is needed for
// another chunk: what can never be accepted is reported then, and once.
func TestRefusalsAreReportedWhenMemoryIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, p, log := newTest(t, func(int, *fakeBatch) error { return nil })
		in.deliverer = in.newDeliverer(ledger.Limits{Bytes: footprint(t, chunkOf(1, 2)) + shrunken})
		c1, c2 := chunkOf(1, 2), chunkOf(3)
		wantCode(t, in.Flush("tag", c1), Retry)
		p.batches[0].settle(0, core.ReasonTooLarge)
		p.batches[0].settle(1, core.ReasonNone)
		wantCode(t, in.Flush("tag", c2), Retry) // needs the room
		p.batches[1].settleAll(core.ReasonNone)
		wantCode(t, in.Flush("tag", c1), Error)
		wantCode(t, in.Flush("tag", c2), OK)
		wantBatches(t, p, payloads(1, 2), payloads(3))
		if s := in.Stats(); s.Refused != 1 || s.Evicted != 0 || strings.Count(log.String(), "reason=too_large") != 1 {
			t.Errorf("unexpected report; got %d refused, %d evicted; log:\n%s", s.Refused, s.Evicted, log)
		}
	})
}

// The dead letter file is not written while memory is given back. What belongs there must
// come again, and neither count as delivered nor as refused before it is kept.
func TestDeadLettersComeAgainWhenMemoryWasGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink := &fakeSink{}
		in, p, _ := newWithSink(t, sink, func(n int, b *fakeBatch) error {
			if n == 3 {
				b.settleAll(core.ReasonTooLarge)
			}
			return nil
		})
		in.deliverer = in.newDeliverer(ledger.Limits{Bytes: footprint(t, chunkOf(1, 2)) + shrunken})
		c1, c2 := chunkOf(1, 2), chunkOf(3)
		wantCode(t, in.Flush("tag", c1), Retry)
		p.batches[0].settle(0, core.ReasonTooLarge)
		p.batches[0].settle(1, core.ReasonNone)
		wantCode(t, in.Flush("tag", c2), Retry) // needs the room
		if s := in.Stats(); s.Refused != 0 || s.Evicted != 0 || len(sink.deadLetters) != 0 {
			t.Errorf("unexpected report; got %d refused, %d evicted, %d dead letters; want none yet", s.Refused, s.Evicted, len(sink.deadLetters))
		}
		p.batches[1].settleAll(core.ReasonNone)
		wantCode(t, in.Flush("tag", c1), OK)
		wantCode(t, in.Flush("tag", c2), OK)
		wantBatches(t, p, payloads(1, 2), payloads(3), payloads(1))
		if got := sink.data(); !slices.Equal(got, payloads(1)) || in.Stats().Refused != 1 {
			t.Errorf("unexpected dead letters %q, %d refused; want that of the first record", got, in.Stats().Refused)
		}
	})
}
