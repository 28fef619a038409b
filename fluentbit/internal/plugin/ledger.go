// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"time"

	"github.com/outkpl/outkpl/internal/ledger"
)

const (
	// maxLedgerEntries bounds the chunks remembered. A chunk whose payloads are not
	// needed takes some hundred bytes.
	maxLedgerEntries = 16384
	// maxLedgerAge is how long a chunk is remembered. The host waits at most
	// scheduler.cap (default 2000 s) and a second between two attempts, and never
	// says that it has given up.
	maxLedgerAge = 2 * time.Hour
)

// newLedger makes the memory of chunks that the host was told to retry. The host
// hands over the same bytes under the same tag at each attempt, but gives them no
// name, and their address changes.
func newLedger(cfg *Config) *ledger.Ledger[*delivery] {
	return ledger.New[*delivery](ledger.Limits{
		Entries: maxLedgerEntries,
		Bytes:   2 * int64(cfg.BufferBytes),
		Age:     maxLedgerAge,
	})
}

// worthKeeping tells whether a later flush of the same chunk is better off with d.
func (d *delivery) worthKeeping() bool {
	return len(d.open) > 0 || d.decoded && (!d.all || d.noted)
}

// Bytes is what d holds in memory, for the ledger.
func (d *delivery) Bytes() int {
	n := 4*cap(d.missing) + d.plan.Bytes()
	for i := range d.open {
		n += 4 * cap(d.open[i].numbers)
	}
	if d.builder != nil {
		n += d.builder.Memory()
	}
	return n
}

// Shrink reduces d to numbers if its batches have settled meanwhile, for the
// ledger. Records for the dead letter file count as missing, because there is no
// time to write to it here. They will be refused again.
func (d *delivery) Shrink() {
	open := d.open[:0]
	for i := range d.open {
		s := &d.open[i]
		if !isDone(s.batch) {
			open = append(open, *s)
			continue
		}
		r := s.evaluate(d.in, false)
		_ = d.in.dispose(context.Background(), "", s, r.finals, d) // no letters among them, so no waiting
		d.missing = append(d.missing, r.missing...)
	}
	clear(d.open[len(open):])
	d.open = open
	d.tidy()
	d.in.release(d)
}
