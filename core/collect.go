// SPDX-License-Identifier: Apache-2.0

package core

// collector gathers Kinesis records until they fill a request or have to
// leave. Its fields are guarded by the pipeline's lock.
type collector struct {
	ready     []*kinesisRecord // in the order of arrival
	bytes     int
	deadline  int64 // the earliest of ready, undefined if it is empty
	hotShards int   // shards with at least shardRequestBytes in here

	// requests waits for a free place; it is served before ready. Only bisection and
	// suspects put requests here; see refusals.go.
	requests []*request
	inFlight int
}

// collect takes a record that may leave as far as its shard is concerned.
func (pl *pipeline) collect(kr *kinesisRecord) {
	if kr.deadline != atOnce && pl.moreComes() {
		kr.deadline = max(kr.deadline, pl.now+pl.bufferedNanos/2)
	}
	pl.collector.pushReady(kr)
	if pl.requestFull() {
		pl.startRequests()
	}
}

// pushReady puts a record in, and counts it.
func (c *collector) pushReady(kr *kinesisRecord) {
	if len(c.ready) == 0 || kr.deadline < c.deadline {
		c.deadline = kr.deadline
	}
	c.ready = append(c.ready, kr)
	c.bytes += kr.size
	if sh := kr.shard; sh != nil {
		if before := sh.readyBytes; before < shardRequestBytes && before+kr.size >= shardRequestBytes {
			c.hotShards++
		}
		sh.readyBytes += kr.size
	}
}

func (pl *pipeline) requestFull() bool {
	c := &pl.collector
	return len(c.ready) >= pl.cfg.collectionMaxCount || c.bytes >= pl.cfg.collectionMaxBytes || c.hotShards > 0
}

// startRequests starts requests as long as there is something to send that is full, due
// or not worth waiting with, and a place for one more call.
func (pl *pipeline) startRequests() {
	c := &pl.collector
	for c.inFlight < pl.cfg.maxInFlight && !pl.requestsPaused() {
		switch {
		case pl.freshTurn():
			pl.startRequest(pl.formRequest())
		case len(c.requests) > 0:
			req := pl.nextRequest()
			again := pl.disaggregateRequest(req)
			if len(req.records) > 0 {
				pl.startRequest(req)
			}
			pl.routeAgain(again, 0)
		case len(c.ready) > 0 && (pl.requestFull() || c.deadline <= pl.now || (pl.allWait() || pl.allCallersBlocked()) && !pl.moreComes()):
			pl.startRequest(pl.formRequest())
		default:
			return
		}
	}
}

// moreComes reports whether records that wait for capacity of their shards get it so
// soon (half of MaxBufferedTime) that a request should wait for them. At the pace of the
// shards records come one by one, and each would make a request of its own.
func (pl *pipeline) moreComes() bool {
	return len(pl.wakes) > 0 && pl.wakes[0].wakeAt <= pl.now+pl.bufferedNanos/2
}

// formRequest forms one request from the first records of the collector.
func (pl *pipeline) formRequest() *request {
	c := &pl.collector
	req := pl.newRequest()
	n := 0
	limit, wire := pl.refusals.size.requestLimit(), wireFrame
	for _, kr := range c.ready {
		if limit != 0 {
			if wire += kr.wireBytesInRequest(); n > 0 && wire > limit {
				break
			}
		}
		if n == pl.cfg.collectionMaxCount || n > 0 && req.bytes+kr.size > pl.cfg.collectionMaxBytes {
			break
		}
		if sh := kr.shard; sh != nil {
			if sh.requestBytes >= shardRequestBytes {
				break
			}
			sh.requestBytes += kr.size
		}
		req.bytes += kr.size
		n++
	}
	req.records = append(req.records, c.ready[:n]...)
	for _, kr := range req.records {
		c.uncountReady(kr)
		if kr.shard != nil {
			kr.shard.requestBytes = 0
		}
	}
	rest := copy(c.ready, c.ready[n:])
	clear(c.ready[rest:])
	c.ready = c.ready[:rest]
	if !pl.requestFull() {
		// If one is full, the deadline says nothing, and there may be very many to look at.
		c.findReadyDeadline()
	}
	return req
}

// uncountReady takes a record out of the sums.
func (c *collector) uncountReady(kr *kinesisRecord) {
	c.bytes -= kr.size
	if sh := kr.shard; sh != nil {
		if sh.readyBytes >= shardRequestBytes && sh.readyBytes-kr.size < shardRequestBytes {
			c.hotShards--
		}
		sh.readyBytes -= kr.size
	}
}

// findReadyDeadline works out the deadline.
func (c *collector) findReadyDeadline() {
	for i, kr := range c.ready {
		if i == 0 || kr.deadline < c.deadline {
			c.deadline = kr.deadline
		}
	}
}
