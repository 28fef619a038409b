// SPDX-License-Identifier: Apache-2.0

package core

// route decides where one item goes: into the aggregate of its shard, without
// aggregation if it must not or cannot be aggregated, or to its settlement if it is too
// late or too large. Called with the lock held.
func (pl *pipeline) route(it *item) {
	sh, ok := pl.predictShard(it)
	switch {
	case !ok:
	case sh == nil || sh.id == "" || it.has(itemAlone) || !pl.cfg.aggregation || pl.meta.undescribed || sh.originMismatch:
		pl.sendUnaggregated(it, sh)
	default:
		pl.aggregate(it, sh)
	}
}

// predictShard predicts the shard of an item, nil if that cannot be done. It reports
// false if the item goes nowhere now: it is settled, or awaits the shard map or a suspect.
func (pl *pipeline) predictShard(it *item) (*shard, bool) {
	if pl.broken != nil {
		pl.settle(it, pl.broken)
		return nil, false
	}
	if pl.batches.isAborted(it.batch) {
		pl.failAborted(it)
		return nil, false
	}
	if e := it.batch.expires; e != 0 && pl.now > e {
		pl.expireItem(it)
		return nil, false
	}
	if pl.awaitsMap() {
		pl.awaiting.keepAwaiting(it)
		return nil, false
	}
	if n := it.sizeAlone(); n > pl.meta.maxRecordBytes {
		pl.settle(it, pl.aboveLimit(n))
		return nil, false
	}
	if pl.meta.missing != nil {
		pl.settle(it, pl.meta.missing)
		return nil, false
	}
	if len(pl.refusals.aside) > 0 && pl.refusals.waitBehindSuspect(it) {
		return nil, false
	}
	m := pl.shardMap.Load()
	var sh *shard
	switch {
	case pl.meta.auto:
	case m == nil:
		sh = pl.soleShard()
	case it.has(itemUnkeyed):
		sh = pl.stickyShard(m)
	case it.shard != nil && it.shard.current:
		sh = it.shard
	default:
		sh = m.lookupShard(it.hash)
		if it.batch.prompt {
			pl.endPromptTrip(it)
		}
		it.shard = sh
	}
	return sh, true
}

// routeAll routes items that were collected in the scratch slice.
func (pl *pipeline) routeAll(items []*item) {
	pl.scratch = nil // routing may come here again
	for _, it := range items {
		pl.route(it)
	}
	clear(items)
	pl.scratch = items[:0]
}

// routeAgain routes records that were on their way already. In strict ordering
// they go before those that were submitted later.
func (pl *pipeline) routeAgain(items []*item, wait int64) {
	if pl.cfg.ordering == OrderingStrict {
		pl.requeueAtHead(items, wait)
		return
	}
	pl.routeAll(items)
}

// reroute takes the Kinesis records that match out of the stages before the
// sender and routes their user records again.
func (pl *pipeline) reroute(match func(*kinesisRecord) bool) {
	for _, kr := range pl.withdraw(match) {
		again := append(pl.scratch[:0], kr.items...)
		pl.recycle(kr)
		pl.routeAll(again)
	}
}

// disaggregate routes the user records of a Kinesis record again.
func (pl *pipeline) disaggregate(kr *kinesisRecord) { pl.disaggregateLater(kr, 0) }

// disaggregateLater is disaggregate for records that should wait. In strict ordering they
// do; otherwise they have waited already.
func (pl *pipeline) disaggregateLater(kr *kinesisRecord, wait int64) {
	again := append(pl.scratch[:0], kr.items...)
	pl.recycle(kr)
	pl.routeAgain(again, wait)
}

// disaggregateRequest takes the aggregates out of a request that has not left yet, if the
// stream may not get any, and returns their user records.
func (pl *pipeline) disaggregateRequest(req *request) (again []*item) {
	if !pl.meta.auto {
		return nil
	}
	keep := req.records[:0]
	for _, kr := range req.records {
		if kr.wrapped {
			req.bytes -= kr.size
			again = append(again, kr.items...)
			pl.recycle(kr)
			continue
		}
		keep = append(keep, kr)
	}
	clear(req.records[len(keep):])
	req.records = keep
	return again
}
