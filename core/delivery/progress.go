// SPDX-License-Identifier: Apache-2.0

package delivery

import "github.com/outkpl/outkpl/internal/ledger"

// Progress is what a Deliverer remembered of contents when it ended, for the next one of the
// same receiver in the same process.
type Progress struct{ ledger *ledger.Ledger[*Delivery] }

// Len is the number of contents.
func (p *Progress) Len() int { return p.ledger.Len() }

// Retire ends the Deliverer and returns what it remembers, or nil if that is nothing, or
// is in a journal. It is called after the last Deliver has returned and the producer is
// closed, so that nothing settles any more. What is open all the same is forgotten: its
// content is sent again as a whole.
func (l *Deliverer) Retire() *Progress {
	if l.ledger == nil || l.cfg.Journal != nil {
		return nil
	}
	l.ledger.Sift(func(d *Delivery) bool { return len(d.attempts) == 0 && d.worthKeeping() })
	if l.ledger.Len() == 0 {
		return nil
	}
	return &Progress{l.ledger}
}
