// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"time"

	"github.com/outkpl/outkpl/core/ledger"
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
	if d.batch != nil {
		return true
	}
	return d.decoded && (!d.all || d.lost > 0)
}

// Bytes is what d holds in memory, for the ledger.
func (d *delivery) Bytes() int {
	n := 4 * (cap(d.missing) + cap(d.numbers))
	if d.builder != nil {
		n += d.builder.Size()
	}
	return n
}

// Shrink reduces d to numbers if its batch has settled meanwhile, for the ledger.
func (d *delivery) Shrink() {
	if d.batch != nil && isDone(d.batch) {
		var refused refusals
		d.settle(&refused)
		d.in.refuse(&refused)
	}
	d.in.release(d)
}
