// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"slices"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// combine makes records of many events out of c.records, which are the events as they
// are; texts tells which of them are text. What decides where a record ends is in the
// body and the configuration, so that the same body gives the same records.
func (c *content) combine(x *exchange, p *payloads, texts []bool) *failure {
	size := 0
	for i := range c.records {
		size += len(c.records[i].Data) + 2
	}
	if x.route.Compression != "none" {
		size /= 2 // more is taken below if it is needed
	}
	before := x.lease.n
	if f := x.admit(before + int64(size)); f != nil {
		return f
	}
	// A larger record saves nothing, and not every stream takes it.
	limit := min(x.route.RecordMaxBytes, leastStreamLimit)
	out := x.route.combine.Records(c.records, texts, !x.s.cfg.Producer.Aggregation, limit)
	if f := x.admit(before + int64(out.Bytes)); f != nil {
		return f
	}
	if p.allowed > 0 { // what was shaped is copied
		_ = x.lease.resize(context.Background(), p.base+int64(out.Bytes)) // less cannot fail
	}
	c.records, c.counts, c.probe = out.Records, out.Events, -1
	if x.route.TooLarge != config.Reject {
		return nil
	}
	if i := slices.IndexFunc(c.records, func(r core.Record) bool { return len(r.Data)+len(r.PartitionKey) > leastStreamLimit }); i >= 0 {
		c.probe = largest(c.records)
	}
	return nil
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

// eventsIn is what a dead letter says of record n: how many events it holds, or 0 if
// events are not combined.
func (c *content) eventsIn(n int32) int {
	if c.counts == nil {
		return 0
	}
	return int(c.counts[n])
}
