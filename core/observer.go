// SPDX-License-Identifier: Apache-2.0

package core

import (
	"time"
)

// Observation is one or more data points of a metric that have the same
// dimensions.
type Observation struct {
	Metric Metric
	// Stream is the name of the stream.
	Stream string
	// Shard is the id of the shard, or empty where none is known. Records are
	// counted at the predicted shard, confirmed user records at the actual one.
	Shard string
	// Code is the error code, for MetricErrorsByCode only.
	Code string
	// Count is the number of data points, at least 1. Those of a Distribution
	// are all equal.
	Count         int
	Sum, Min, Max float64
}

// Observer takes what the producer measures. Observe is called in bursts from
// several goroutines, without any lock held. It must not block, since it delays
// what called it, and must not keep the slice. Gauges are not observed; read
// Producer.Snapshot for them.
type Observer interface {
	Observe(list []Observation)
}

// observation is what was measured under the lock, for the observer.
type observation struct {
	p      *Producer
	stream string
	list   []Observation
	last   [metricCount]int // index in list, by metric
	ends   endRun
	stored storedRun
}

// observe adds n equal data points to what the observer gets after the lock
// has been given back.
func (ob *observation) observe(m Metric, shard, code string, value float64, n int) {
	if ob.p.cfg.observer != nil {
		ob.observeRun(m, shard, code, value*float64(n), value, value, n)
	}
}

// observeRun is observe for n data points with the given sum, minimum and maximum.
// Runs with equal dimensions become one observation, so that the work of the
// observer grows with Kinesis records, not with user records.
func (ob *observation) observeRun(m Metric, shard, code string, sum, low, high float64, n int) {
	if i := ob.last[m]; i < len(ob.list) {
		if o := &ob.list[i]; o.Metric == m && o.Shard == shard && o.Code == code &&
			(metricInfos[m].Kind == Counter || o.Max == high) {
			o.Count += n
			o.Sum += sum
			o.Min, o.Max = min(o.Min, low), max(o.Max, high)
			return
		}
	}
	if ob.list == nil {
		if p, _ := ob.p.observations.Get().(*[]Observation); p != nil {
			ob.list = *p
		}
	}
	ob.last[m] = len(ob.list)
	ob.list = append(ob.list, Observation{
		Metric: m, Stream: ob.stream, Shard: shard, Code: code,
		Count: n, Sum: sum, Min: low, Max: high,
	})
}

// notifyObserver gives the observer what was measured under the lock. Called without it. A
// panic of the observer must not take the host down.
func (p *Producer) notifyObserver(list []Observation) {
	if len(list) == 0 {
		return
	}
	defer p.recoverForeign("the observer; its measurements are incomplete")
	p.cfg.observer.Observe(list)
	clear(list)
	list = list[:0]
	p.observations.Put(&list)
}

// observeRuns reports what was left open for more of its kind. Called before list is taken.
func (ob *observation) observeRuns() {
	ob.observeEnds()
	ob.observeStoredRun()
}

// sums adds up the points of a run.
type sums struct{ sum, min, max int }

func (s *sums) add(v int) {
	s.sum += v
	s.min, s.max = min(s.min, v), max(s.max, v)
}

func (ob *observation) observeSums(m Metric, shard string, s sums, n int) {
	ob.observeRun(m, shard, "", float64(s.sum), float64(s.min), float64(s.max), n)
}

// endRun is a run of user records that settled in the same way: as a rule, those of
// one batch in one Kinesis record, or without aggregation in one shard.
type endRun struct {
	batch *Batch
	last  *attemptNode
	err   *RecordError
	shard *shard
	tries uint16
	n     int
	bytes sums // of data
}

// observeEnd reports a user record that has settled.
func (ob *observation) observeEnd(it *item, err *RecordError) {
	if ob.p.cfg.observer == nil {
		return
	}
	e, size := &ob.ends, int(it.dataBytes)
	if e.n == 0 || !e.last.sameAttempts(it.last) || e.batch != it.batch || e.err != err || e.shard != it.shard || e.tries != it.tries {
		ob.observeEnds()
		*e = endRun{batch: it.batch, last: it.last, err: err, shard: it.shard, tries: it.tries, bytes: sums{0, size, size}}
	}
	e.n++
	e.bytes.add(size)
}

// sameAttempts reports whether two histories differ in nothing that is observed.
func (n *attemptNode) sameAttempts(other *attemptNode) bool {
	return n == other || n != nil && other != nil && n.Attempt == other.Attempt && n.prev == other.prev && n.shardID == other.shardID
}

// observeEnds reports the run of records that settled last.
func (ob *observation) observeEnds() {
	e := ob.ends
	if e.n == 0 {
		return
	}
	ob.ends = endRun{}
	shard := ""
	if e.shard != nil {
		shard = e.shard.id
	}
	if e.err == nil {
		shard = e.last.shardID
		ob.observe(MetricUserRecordsPut, shard, "", 1, e.n)
		ob.observeSums(MetricUserRecordsDataPut, shard, e.bytes, e.n)
	} else {
		ob.observe(MetricUserRecordsPut, shard, "", 0, e.n)
		if e.err.Reason == ReasonExpired {
			ob.observe(MetricUserRecordExpired, shard, "", 1, e.n)
		}
	}
	if e.tries > 0 {
		ob.observe(MetricRetriesPerRecord, shard, "", float64(e.tries-1), e.n)
	}
	for a := e.last; a != nil; a = a.prev {
		since := ob.p.start.Add(time.Duration(e.batch.arrived))
		if a.prev != nil {
			since = a.prev.End
		}
		ob.observe(MetricBufferingTime, shard, "", milliseconds(a.Start.Sub(since)), e.n)
	}
}

// observeCall reports a PutRecords call that has ended.
func (ob *observation) observeCall(req *request, a Attempt) {
	if ob.p.cfg.observer == nil {
		return
	}
	users := 0
	for rest := req.records; len(rest) > 0; {
		kr, n := rest[0], 1
		for n < len(rest) && rest[n].shard == kr.shard && len(rest[n].items) == len(kr.items) {
			n++
		}
		users += n * len(kr.items)
		ob.observe(MetricUserRecordsPerKinesisRecord, kr.shardID(), "", float64(len(kr.items)), n)
		rest = rest[n:]
	}
	ob.observe(MetricRequestTime, "", "", milliseconds(a.End.Sub(a.Start)), 1)
	ob.observe(MetricKinesisRecordsPerPutRecordsRequest, "", "", float64(len(req.records)), 1)
	ob.observe(MetricUserRecordsPerPutRecordsRequest, "", "", float64(users), 1)
}

// storedRun is a run of Kinesis records for one shard that were stored.
type storedRun struct {
	shard              *shard
	n                  int
	size, units, saved sums
}

// observeStored reports a Kinesis record that was stored.
func (ob *observation) observeStored(kr *kinesisRecord, units int) {
	if ob.p.cfg.observer == nil {
		return
	}
	r, saved := &ob.stored, kr.aloneUnits-units
	if r.n == 0 || r.shard != kr.shard {
		ob.observeStoredRun()
		*r = storedRun{shard: kr.shard, size: sums{0, kr.size, kr.size}, units: sums{0, units, units}, saved: sums{0, saved, saved}}
	}
	r.n++
	r.size.add(kr.size)
	r.units.add(units)
	r.saved.add(saved)
	if kr.wrapped {
		full := max(ob.p.cfg.aggregationMaxBytes, units*PutPayloadUnit)
		ob.observe(MetricAggregateFill, kr.shardID(), "", float64(kr.size)/float64(full), 1)
	}
}

// observeStoredRun reports the run of Kinesis records that was stored last.
func (ob *observation) observeStoredRun() {
	r := ob.stored
	if r.n == 0 {
		return
	}
	ob.stored = storedRun{}
	shard := ""
	if r.shard != nil {
		shard = r.shard.id
	}
	ob.observe(MetricKinesisRecordsPut, shard, "", 1, r.n)
	ob.observeSums(MetricKinesisRecordsDataPut, shard, r.size, r.n)
	ob.observe(MetricAllErrors, shard, "", 0, r.n)
	ob.observeSums(MetricPutPayloadUnits, shard, r.units, r.n)
	ob.observeSums(MetricPutPayloadUnitsSaved, shard, r.saved, r.n)
}

// observeRefused reports a Kinesis record that was refused.
func (ob *observation) observeRefused(kr *kinesisRecord, code string) {
	ob.observe(MetricKinesisRecordsPut, kr.shardID(), "", 0, 1)
	ob.observe(MetricErrorsByCode, kr.shardID(), code, 1, 1)
	ob.observe(MetricAllErrors, kr.shardID(), "", 1, 1)
}

// observeFailed reports a call that failed as a whole.
func (ob *observation) observeFailed(code string) {
	ob.observe(MetricErrorsByCode, "", code, 1, 1)
	ob.observe(MetricAllErrors, "", "", 1, 1)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
