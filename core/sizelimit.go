// SPDX-License-Identifier: Apache-2.0

package core

import (
	"log/slog"
	"time"
)

// sizeLimit is what is known of a bound on the size of requests that is not one of
// Kinesis, as proxies have it (HTTP 413). Sizes are those of HTTP bodies, about.
type sizeLimit struct {
	least int   // the smallest request that was refused for its size, 0 if none was
	most  int   // the largest that passed since; requests stay below it. 0: not known
	since int64 // when a request was last refused so
	shown int   // the limit that the log has
}

// sizeMemory is how long a limit is kept after the last request that was refused for its
// size. To find it again costs a few refused requests, so it need not be shorter, and what
// was mended is used within this time.
const sizeMemory = time.Hour

// leastSizeLimit is below any limit in use.
const leastSizeLimit = 8 << 10

func (l *sizeLimit) learnRefused(wire int) {
	if wire < leastSizeLimit {
		*l = sizeLimit{} // whatever it is, it is not the size
		return
	}
	if l.least == 0 || wire < l.least {
		l.least = wire
	}
	if l.most >= wire {
		l.most = wire * 3 / 4
	}
	l.since = 0
}

// isKnownClosely reports whether the limit is known well enough.
func (l *sizeLimit) isKnownClosely() bool { return l.least <= l.most+l.most/4 }

// requestLimit returns the size that requests may have, 0 if none is known. As long as what
// passed and what was refused lie far apart, it is in between.
func (l *sizeLimit) requestLimit() int {
	if l.most == 0 || l.isKnownClosely() {
		return l.most
	}
	return l.most + (l.least-l.most)/2
}

// passingRecord returns the most bytes of data and partition key of a record that is known
// to pass, or -1 if no limit is known.
func (l *sizeLimit) passingRecord() int {
	if l.least == 0 {
		return -1
	}
	wire := l.most
	if wire == 0 {
		wire = l.least - 1
	}
	return max(0, (wire-wireFrame-wireOverhead)/4*3)
}

// PassingRecordBytes returns how many bytes of data and partition key a record for a stream,
// named as for PutBatch, may have to be known to pass what is on the way to Kinesis. It is
// less than 0 if nothing was refused there for its size of late.
func (p *Producer) PassingRecordBytes(stream string) int {
	p.mu.Lock()
	pl := p.pipelines[p.streamOrDefault(stream)]
	p.mu.Unlock()
	if pl == nil {
		return -1
	}
	return int(pl.passing.Load())
}

// learnSize takes the size of a request that passed, if one was refused for its size.
func (pl *pipeline) learnSize(wire int) {
	l := &pl.refusals.size
	if l.since == 0 {
		l.since = max(pl.now, 1)
	}
	switch {
	case wire > l.least+l.least/4, pl.now-l.since > int64(sizeMemory):
		// It was not the size, or the limit has expired.
		if l.shown != 0 {
			pl.log(slog.LevelInfo, "limit on the size of requests is dropped; larger ones are tried", "limit", l.requestLimit())
		}
		*l = sizeLimit{}
		pl.limitAggregates()
		return
	case wire >= l.least:
		l.least = wire + 1 // sizes are not exact
	}
	l.most = max(l.most, wire)
	pl.limitAggregates()
	if l.shown == 0 || l.isKnownClosely() && (l.most < l.shown/2 || l.most > 2*l.shown) {
		l.shown = l.most
		pl.log(slog.LevelWarn, "something on the way to Kinesis refuses large requests (HTTP 413); requests stay below the size that passes; raise the limit of the proxy",
			"refused", l.least, "passed", l.most)
	}
}

// limitAggregates works the limit on requests into that on aggregates. Before anything has
// passed, an aggregate that was refused for its size is halved.
func (pl *pipeline) limitAggregates() {
	l := &pl.refusals.size
	pl.passing.Store(int64(l.passingRecord()))
	pl.aggregates.maxBytes, pl.aggregates.growBytes = pl.cfg.aggregationMaxBytes, pl.cfg.aggregationGrowBytes
	if l.least == 0 {
		return
	}
	wire := l.requestLimit()
	if wire == 0 {
		wire = l.least / 2
	}
	room := max(0, (wire-wireFrame-wireOverhead)/4*3)
	pl.aggregates.maxBytes, pl.aggregates.growBytes = min(pl.aggregates.maxBytes, room), min(pl.aggregates.growBytes, room)
}

// The HTTP body of PutRecords, about: names, quotes, the stream's name or ARN; and for
// each record names, quotes and the explicit hash key.
const (
	wireFrame    = 128
	wireOverhead = 96
)

func (kr *kinesisRecord) wireBytesInRequest() int { return (kr.size+2)/3*4 + wireOverhead }

// wireBytesAlone returns the size of a request with this record only.
func (kr *kinesisRecord) wireBytesAlone() int { return wireFrame + kr.wireBytesInRequest() }

// requestWireBytes returns the size of the request as an HTTP body, about.
func (r *request) requestWireBytes() int {
	n := wireFrame
	for _, kr := range r.records {
		n += kr.wireBytesInRequest()
	}
	return n
}

// halfOfBytes returns how many records make the first half of the request by size.
func (r *request) halfOfBytes() int {
	half, sum := 0, 0
	for half < len(r.records)-1 && (half == 0 || sum+r.records[half].size <= r.bytes/2) {
		sum += r.records[half].size
		half++
	}
	return half
}
