// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// combine makes records of many events out of those made so far, which are the events as
// they are. What decides where a record ends is in the body, the configuration and the
// scope by which the body is known, so that the same body gives the same records.
func (m *maker) combine(ctx context.Context) error {
	c, lease := m.c, m.arena.lease
	before := lease.Granted()
	size := 0
	for i := range c.Records {
		size += len(c.Records[i].Data) + 2
	}
	if m.rt.Compression != "none" {
		size /= 2 // more is taken below if it is needed
	}
	if err := lease.Resize(ctx, before+int64(size)); err != nil {
		return err
	}
	// A larger record saves nothing, and not every stream takes it.
	limit := min(m.rt.RecordMaxBytes, leastStreamLimit)
	c.own = c.ownRecords()
	out := m.rt.combine.Records(c.Records, m.texts, c.own, limit)
	if err := lease.Resize(ctx, before+int64(out.Bytes)); err != nil {
		return err
	}
	if m.arena.allowed > 0 { // what was shaped is copied
		_ = lease.Resize(ctx, m.arena.base+int64(out.Bytes)) // less cannot fail
	}
	c.s.spares.keepTable(c.Records)
	c.Records, c.counts, c.Probe, c.Events = out.Records, out.Events, delivery.NoProbe, c
	if m.rt.TooLarge != config.Reject || len(c.Records) == 0 {
		return nil
	}
	if i := largest(c.Records); len(c.Records[i].Data)+len(c.Records[i].PartitionKey) > c.surelyTaken() {
		c.Probe = i
	}
	return nil
}

// ownRecords tells whether each record is made for being a Kinesis record of its own. What
// is known of the stream changes, but a body that came before gets the records that it had.
func (c *content) ownRecords() bool {
	if !c.s.cfg.Producer.Aggregation || c.dest.route.CombineSize != 0 {
		return !c.s.cfg.Producer.Aggregation
	}
	own := c.s.producer.Auto(c.dest.stream)
	before := delivery.Scope{Name: c.dest.scope, Fingerprint: c.dest.route.ownFingerprint}
	if own {
		before.Fingerprint = c.dest.route.fingerprint
	}
	return own != c.s.deliverer.Remembers(before, c.Bytes)
}

// largest is the number of the largest record.
func largest(records []core.Record) (at int) {
	size := func(i int) int { return len(records[i].Data) + len(records[i].PartitionKey) }
	for i := range records {
		if size(i) > size(at) {
			at = i
		}
	}
	return at
}

// EventsOf tells package delivery how many events record n holds.
func (c *content) EventsOf(n int) int { return int(c.counts[n]) }
