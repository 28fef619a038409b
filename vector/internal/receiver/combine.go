// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// combine makes records of many events out of c.Records, which are the events as they
// are; texts tells which of them are text. What decides where a record ends is in the
// body, the configuration and the scope by which the body is known, so that the same body
// gives the same records.
func (c *content) combine(u *upload, p *payloads, texts []bool) *failure {
	size := 0
	for i := range c.Records {
		size += len(c.Records[i].Data) + 2
	}
	if u.q.route.Compression != "none" {
		size /= 2 // more is taken below if it is needed
	}
	before := u.q.lease.n
	if f := u.reserve(before + int64(size)); f != nil {
		return f
	}
	// A larger record saves nothing, and not every stream takes it.
	limit := min(u.q.route.RecordMaxBytes, leastStreamLimit)
	c.own = c.ownRecords()
	out := u.q.route.combine.Records(c.Records, texts, c.own, limit)
	if f := u.reserve(before + int64(out.Bytes)); f != nil {
		return f
	}
	if p.allowed > 0 { // what was shaped is copied
		_ = u.q.lease.resize(context.Background(), p.base+int64(out.Bytes)) // less cannot fail
	}
	c.Records, c.counts, c.Probe, c.Events = out.Records, out.Events, delivery.NoProbe, c
	if u.q.route.TooLarge != config.Reject {
		return nil
	}
	if len(c.Records) == 0 {
		return nil
	}
	if i := largest(c.Records); len(c.Records[i].Data)+len(c.Records[i].PartitionKey) > c.s.surelyTaken(c.route, c.dest.stream) {
		c.Probe = i
	}
	return nil
}

// ownRecords tells whether each record is made for being a Kinesis record of its own. What
// is known of the stream changes, but a body that came before gets the records that it had.
func (c *content) ownRecords() bool {
	if !c.s.cfg.Producer.Aggregation || c.route.CombineSize != 0 {
		return !c.s.cfg.Producer.Aggregation
	}
	own := c.s.producer.Auto(c.dest.stream)
	before := delivery.Scope{Name: c.dest.scope, Fingerprint: c.route.ownFingerprint}
	if own {
		before.Fingerprint = c.route.fingerprint
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

// fits tells whether the event can be a record by itself. alone is that record, if it had
// to be made to find out.
func (p *payloads) fits(r *core.Record, text bool, most int) (alone []byte, ok bool) {
	n := len(r.Data) + len(r.PartitionKey)
	if p.combine == nil {
		return r.Data, n <= most
	}
	// What frames an event takes two bytes, and an escape in a text at most six for one.
	if n+2 <= most && !text || 6*n+2 <= most {
		return nil, true
	}
	alone = p.combine.AppendAlone(nil, r.Data, text)
	return alone, len(alone)+len(r.PartitionKey) <= most
}

// EventsOf tells package delivery how many events record n holds.
func (c *content) EventsOf(n int) int { return int(c.counts[n]) }
