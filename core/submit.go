// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"fmt"
	"hash/maphash"
	"unicode/utf8"

	"github.com/outkpl/outkpl/aggregation"
)

// callers counts the callers in the middle of a call; see allWait.
type callers struct {
	submitting int    // submit records
	blocked    int    // wait for room to submit more
	flushing   int    // wait in Flush
	flushSeq   uint64 // for the batches up to this one
}

// newBatch makes the batch of the records. It runs without any lock.
func (pl *pipeline) newBatch(records []Record) *Batch {
	b := &Batch{records: records, items: make([]item, len(records))}
	pl.prepareBatch(b)
	return b
}

// newSingleBatch makes the batch of one record.
func (pl *pipeline) newSingleBatch(r Record) *Batch {
	one := &struct { // in one piece of memory
		batch  Batch
		record [1]Record
		item   [1]item
		value  [1]any
	}{record: [1]Record{r}}
	b := &one.batch
	b.records, b.items, b.values, b.ownsRecords = one.record[:], one.item[:], one.value[:], true
	pl.prepareBatch(b)
	return b
}

// prepareBatch checks the records of a batch and computes their hash keys.
func (pl *pipeline) prepareBatch(b *Batch) {
	records := b.records
	b.pipe, b.done, b.open = pl, make(chan struct{}), len(records)
	placer := placer{m: pl.shardMap.Load()}
	for i := range records {
		r, it := &records[i], &b.items[i]
		if r.Value != nil {
			if b.values == nil {
				b.values = make([]any, len(records))
			}
			b.values[i] = r.Value
		}
		it.batch, it.index = b, int32(i)
		it.dataBytes = int32(min(len(r.Data), 1<<30))
		it.keyBytes = int32(min(len(r.PartitionKey)+len(r.ExplicitHashKey), 1<<30))
		switch {
		case r.ExplicitHashKey != "":
			h, err := aggregation.ParseHashKey(r.ExplicitHashKey)
			if err != nil {
				it.err = pl.invalidRecord(err.Error())
				continue
			}
			it.hash = h
			it.flags |= itemExplicit
			if r.PartitionKey == "" {
				it.err = pl.invalidRecord("explicit hash key without a partition key")
				continue
			}
		case r.PartitionKey == "":
			it.flags |= itemUnkeyed
			continue
		}
		if len(r.PartitionKey) > maxPartitionKeyChars {
			if n := utf8.RuneCountInString(r.PartitionKey); n > maxPartitionKeyChars {
				it.err = pl.invalidRecord(fmt.Sprintf("partition key has %d characters; allowed: 1 to %d", n, maxPartitionKeyChars))
				continue
			}
		}
		if !placer.locateItem(it) {
			it.err = pl.invalidRecord("partition key is not valid UTF-8")
		}
	}
	placer.hashWaiting()
}

func (pl *pipeline) invalidRecord(detail string) *RecordError {
	return &RecordError{Stream: pl.stream.name, Reason: ReasonInvalid, Detail: detail}
}

// placer finds the place of items on the hash ring and their shards. Partition
// keys are hashed several at a time, and the last ones are remembered. It lives
// no longer than the submission, since keys may share memory that is used again.
type placer struct {
	m       *shardMap // nil if there is none yet
	waiting [64]*item
	keys    [64]string
	slots   [64]uint8 // in seen
	n       int
	seen    [256]struct {
		key  string
		hash aggregation.HashKey
	}
}

var keySeed = maphash.MakeSeed()

func slotOf(key string) uint8 { return uint8(maphash.String(keySeed, key)) }

// locateItem reports false for a key that is not UTF-8. Consumers on the JVM decode keys
// before they hash them, so that such a key leads elsewhere there: the Kinesis
// Client Library drops its whole aggregate (run with 3.5.1 on 2026-11-28).
func (p *placer) locateItem(it *item) bool {
	key := it.record().PartitionKey
	if it.has(itemExplicit) {
		p.assignShard(it, it.hash)
		return utf8.ValidString(key)
	}
	slot := slotOf(key)
	if s := &p.seen[slot]; s.key == key { // those in there are valid
		p.assignShard(it, s.hash)
		return true
	}
	if !utf8.ValidString(key) {
		return false
	}
	p.waiting[p.n], p.keys[p.n], p.slots[p.n] = it, key, slot
	if p.n++; p.n == len(p.keys) {
		p.hashWaiting()
	}
	return true
}

func (p *placer) hashWaiting() {
	var hashes [len(p.keys)]aggregation.HashKey
	aggregation.HashPartitionKeys(hashes[:], p.keys[:p.n])
	if p.m != nil {
		p.m.fetchArcs(hashes[:p.n])
	}
	for i, it := range p.waiting[:p.n] {
		p.assignShard(it, hashes[i])
		s := &p.seen[p.slots[i]]
		s.key, s.hash = p.keys[i], hashes[i]
	}
	p.n = 0
}

func (p *placer) assignShard(it *item, h aggregation.HashKey) {
	it.hash = h
	if p.m != nil {
		it.shard = p.m.lookupShard(h)
	}
}

// beginBatch registers a batch. Called with the lock held.
func (pl *pipeline) beginBatch(b *Batch) {
	pl.callers.submitting++
	b.submitting = true
	pl.batches.pushBatch(b)
	pl.linger.arrived = pl.now
	pl.linger.countCrowd(pl.batches.open, pl.now)
	b.arrived = pl.now
	pl.stats.Accepted += uint64(len(b.items))
	if ttl := pl.cfg.recordTTL; ttl > 0 {
		b.expires = pl.now + int64(ttl)
	}
	// From here on the batch is settled whatever happens.
	pl.guarded("begin", func() {
		pl.freshenMap()
		pl.metrics.observe(MetricUserRecordsReceived, "", "", 1, len(b.items))
		for i := range b.items {
			it := &b.items[i]
			if it.err != nil {
				pl.settle(it, it.err)
			}
		}
	})
}

// routeSubmitted routes items for which room has been taken, and which are not settled yet.
// Called with the lock held. After a panic the rest fails.
func (pl *pipeline) routeSubmitted(items []item) {
	for i := range items {
		items[i].flags |= itemBuffered
	}
	pl.guarded("submit", func() {
		for fetched, i := 0, 0; i < len(items); i++ {
			if i == fetched {
				fetched += fetchShards(items[i:])
			}
			if it := &items[i]; !it.has(itemSettled) {
				pl.route(it)
			}
		}
	})
	if pl.broken != nil && pl.collector.inFlight == 0 {
		pl.settleBroken() // the panic may have come before any item was routed
	}
}

// submit takes a batch into the buffer, in stretches, as there is room for it, and routes
// its records.
func (pl *pipeline) submit(ctx context.Context, b *Batch) error {
	func() {
		pl.lock()
		defer pl.unlock()
		pl.beginBatch(b)
	}()
	defer pl.endSubmit(b)
	var err error
	for rest := b.items; len(rest) > 0; {
		n := 0
		for n < len(rest) && n < submitRecords && rest[n].err == nil {
			n++
		}
		if n == 0 {
			rest = rest[1:] // an invalid one, settled by begin
			continue
		}
		took := pl.p.buffer.tryReserve(rest[:n])
		if took == 0 {
			pl.waitForRoom(+1)
			took, err = pl.p.buffer.waitAndReserve(ctx, pl.p.closing, rest[:n])
			pl.waitForRoom(-1)
			if err != nil {
				pl.rejectItems(rest, err)
				break
			}
		}
		pl.acceptItems(rest[:took])
		rest = rest[took:]
	}
	return err
}

// acceptItems takes items for which there is room.
func (pl *pipeline) acceptItems(items []item) {
	pl.lock()
	defer pl.unlock()
	pl.routeSubmitted(items)
}

// endSubmit is called when a batch is submitted, or as much of it as will be.
func (pl *pipeline) endSubmit(b *Batch) {
	pl.lock()
	defer pl.unlock()
	pl.countSubmitted(b)
	if pl.broken != nil {
		pl.settleBatch(b, false) // what was never accepted is in no stage
	}
}

// countSubmitted ends the count of a batch as being submitted.
func (pl *pipeline) countSubmitted(b *Batch) {
	pl.guarded("end of submit", func() {
		pl.callers.submitting--
		b.submitting = false
	})
}

// submitReserved takes a batch for which room is reserved.
func (pl *pipeline) submitReserved(b *Batch) {
	pl.lock()
	defer pl.unlock()
	for i := range b.items {
		b.items[i].flags |= itemBuffered
	}
	pl.beginBatch(b)
	pl.routeSubmitted(b.items)
	pl.countSubmitted(b)
}

// rejectItems settles the records that were not accepted.
func (pl *pipeline) rejectItems(items []item, cause error) {
	pl.locked("reject", func() {
		err := &RecordError{Stream: pl.stream.name, Reason: ReasonNotAccepted, Detail: "no room in the buffer in time", Err: cause}
		for i := range items {
			if !items[i].has(itemSettled) {
				pl.settle(&items[i], err)
			}
		}
	})
}

// waitForRoom counts the callers that cannot go on until there is room.
func (pl *pipeline) waitForRoom(d int) {
	pl.locked("wait for room", func() {
		pl.callers.submitting -= d
		pl.callers.blocked += d
	})
}
