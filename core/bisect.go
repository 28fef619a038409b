// SPDX-License-Identifier: Apache-2.0

package core

import (
	"slices"
)

// bisect sends the records of a refused call again, in two calls. They are put last,
// from where a search takes the next one.
func (pl *pipeline) bisect(req *request, v classification, a Attempt) {
	half := len(req.records) / 2
	if v.reason == ReasonTooLarge {
		half = req.halfOfBytes()
	}
	for _, part := range [][]*kinesisRecord{req.records[:half], req.records[half:]} {
		next := pl.newRequest()
		next.proof = req.proof
		for _, kr := range part {
			pl.noteAttempts(kr, v, a)
			next.records = append(next.records, kr)
			next.bytes += kr.size
		}
		pl.collector.requests = append(pl.collector.requests, next)
	}
}

// splitAggregate sends the user records of a refused aggregate again, one by one or, if it was
// too large, in two aggregates. They are in the range of its shard, whose tokens are reserved.
func (pl *pipeline) splitAggregate(kr *kinesisRecord, v classification) {
	size := 1
	if strict := pl.cfg.ordering == OrderingStrict; v.reason == ReasonTooLarge && (!strict || pl.aggregates.maxBytes < kr.size) {
		size = (len(kr.items) + 1) / 2 // in strict ordering, the aggregator makes smaller ones
	}
	if size == 1 {
		for _, it := range kr.items {
			it.flags |= itemAlone
		}
	}
	if pl.cfg.ordering == OrderingStrict {
		pl.refusals.readyNext = true
		pl.disaggregate(kr)
		return
	}
	list := kr.items
	for len(list) > 0 {
		req := pl.newRequest()
		for len(list) > 0 && len(req.records) < pl.cfg.collectionMaxCount && (size == 1 || len(req.records) == 0) {
			part := pl.newRecord()
			part.shard, part.unkeyedHash, part.hasUnkeyedHash, part.deadline = kr.shard, kr.unkeyedHash, kr.hasUnkeyedHash, pl.now
			for _, it := range list[:min(size, len(list))] {
				part.addItem(it)
			}
			list = list[min(size, len(list)):]
			if len(req.records) > 0 && req.bytes+part.size > pl.cfg.collectionMaxBytes {
				pl.collector.requests = append(pl.collector.requests, req)
				req = pl.newRequest()
			}
			req.records = append(req.records, part)
			req.bytes += part.size
		}
		pl.collector.requests = append(pl.collector.requests, req)
	}
	pl.recycle(kr)
}

// cutRequest leaves as many records in a request as pass; the rest is another one.
func (pl *pipeline) cutRequest(req *request, limit int) {
	n, wire := 0, wireFrame
	for _, kr := range req.records {
		if wire += kr.wireBytesInRequest(); n > 0 && wire > limit {
			break
		}
		n++
	}
	rest := pl.newRequest()
	rest.proof = req.proof
	rest.records = append(rest.records, req.records[n:]...)
	clear(req.records[n:])
	req.records = req.records[:n]
	for _, kr := range rest.records {
		rest.bytes += kr.size
		req.bytes -= kr.size
	}
	pl.collector.requests = slices.Insert(pl.collector.requests, 0, rest)
}
