// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"slices"

	"github.com/outkpl/outkpl/internal/journal"
)

// entryBytes is what a Delivery costs besides its lists.
const entryBytes = 256

// Delivery is how far the delivery of one content got. It belongs to the caller between
// Take and Deliver, and between deliveries to the ledger. Records and dead letters are
// known by their numbers, so payloads need not be kept.
type Delivery struct {
	began bool // a content was seen
	plan  Plan
	total int // records of the content
	// missing are the numbers of the records to put next, rising; all means every
	// record, without the list, and is not set if there are none.
	all     bool
	missing []int32
	// deadLetters is the number of dead letters known before anything is put, unwritten
	// the rising numbers of those to write next.
	deadLetters int
	unwritten   []int32
	counted     bool // see Content
	lost        bool // a part of the content is nowhere
	parts       int  // see Parts

	// attempts are under way, the oldest first. None of what they deliver is missing or
	// unwritten.
	attempts []*attempt
	few      [1]*attempt // memory for the first of them
	// entry is what the journal knows of it, nil for nothing; grown tells that the content of
	// the next call is more than that.
	entry *journal.Entry
	grown bool
	// content is set while attempts that are not detached read its records.
	content *Content

	kept, dropped, rejectedLate, gone, hopeless int // see Outcome
}

// Content returns the content as it was delivered before if its records are still in
// memory. They need not be made again then.
func (d *Delivery) Content() *Content { return d.content }

// Outcome is that of a Delivery of which nothing is left to do.
func (d *Delivery) Outcome() Outcome { return d.outcome(Outcome{}) }

// Plan is that of the content, nil before it was delivered for the first time.
func (d *Delivery) Plan() Plan { return d.plan }

// Finished tells whether everything is settled for good.
func (d *Delivery) Finished() bool { return d.began && len(d.attempts) == 0 && d.idle() }

// Open is the number of attempts under way.
func (d *Delivery) Open() int { return len(d.attempts) }

// Saved is the number of records that need not be resent, as things stand.
func (d *Delivery) Saved() int {
	if d.all {
		return 0
	}
	return d.total - len(d.missing)
}

// SavedEvents is the number of events in the records of Saved. c is the content, or one
// that begins with it.
func (d *Delivery) SavedEvents(c *Content) int {
	if d.all || c.Events == nil {
		return d.Saved()
	}
	saved, missing := 0, d.missing
	for n := range d.total {
		if len(missing) > 0 && int(missing[0]) == n {
			missing = missing[1:]
			continue
		}
		saved += c.eventsOf(int32(n))
	}
	return saved
}

// Parts is Len of the Parts of the content that was delivered last.
func (d *Delivery) Parts() int { return d.parts }

// idle tells that nothing is to be begun.
func (d *Delivery) idle() bool { return !d.all && len(d.missing) == 0 && len(d.unwritten) == 0 }

// grow makes d the delivery of c, which is the same content or begins with it.
func (d *Delivery) grow(c *Content) {
	switch {
	case d.total == 0:
		d.all = len(c.Records) > 0
	case !d.all && len(c.Records) > d.total:
		d.missing = appendNumbers(d.missing, d.total, len(c.Records))
	}
	d.unwritten = appendNumbers(d.unwritten, d.deadLetters, c.DeadLetters)
	d.began, d.total, d.deadLetters = true, len(c.Records), c.DeadLetters
	d.plan, d.counted, d.lost = c.Plan, d.counted || c.Counted, d.lost || c.Lost
	if c.Parts != nil {
		d.parts = c.Parts.Len()
	}
}

// appendNumbers appends the numbers from one to below another.
func appendNumbers(list []int32, from, to int) []int32 {
	list = slices.Grow(list, to-from)
	for i := from; i < to; i++ {
		list = append(list, int32(i))
	}
	return list
}

// addResult moves what became of an attempt into d.
func (d *Delivery) addResult(r *result) {
	d.missing = append(d.missing, r.missing...)
	d.unwritten = append(d.unwritten, r.unwritten...)
	d.kept += r.kept
	d.dropped += r.dropped
	d.rejectedLate += r.rejectedLate
	d.gone += r.lost
	d.hopeless += r.hopeless
	d.lost = d.lost || r.lost+r.hopeless > 0
}

// tidy sorts the numbers, and makes missing all if it lists every record.
func (d *Delivery) tidy() {
	slices.Sort(d.unwritten)
	if d.all {
		return
	}
	if d.all = len(d.missing) == d.total && d.total > 0; d.all {
		d.missing = nil
		return
	}
	slices.Sort(d.missing)
}

// worthKeeping tells whether the content is better off with d when it comes again. What is
// under way is not missing.
func (d *Delivery) worthKeeping() bool {
	return d.began && (!d.all || d.counted || len(d.unwritten) < d.deadLetters)
}

// Bytes implements ledger.Entry.
func (d *Delivery) Bytes() int {
	n := entryBytes + 4*(cap(d.missing)+cap(d.unwritten))
	if d.plan != nil {
		n += d.plan.Bytes()
	}
	for _, a := range d.attempts {
		n += a.bytes()
	}
	if d.content != nil && d.content.Memory != nil {
		n += d.content.Memory.Size()
	}
	return n
}

// Shrink implements ledger.Entry: it reduces d to numbers if its batches have settled
// meanwhile. There is no time to write dead letters here, so that records which should
// become some count as missing. They will fail again.
func (d *Delivery) Shrink() { d.takeEnded(context.Background(), true, new(Outcome)) }
