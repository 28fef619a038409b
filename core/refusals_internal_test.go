// SPDX-License-Identifier: Apache-2.0

package core

import (
	"testing"
	"testing/synctest"
	"time"
)

// By the number of records, a large one at the head would be halved again and again with
// those beside it.
func TestRequestsThatAreTooLargeAreHalvedBySize(t *testing.T) {
	for _, c := range []struct {
		sizes []int
		want  int
	}{
		{[]int{10, 10}, 1},
		{[]int{1000, 10, 10, 10}, 1},
		{[]int{10, 10, 10, 1000}, 3},
		{[]int{100, 100, 100, 100}, 2},
	} {
		r := &request{}
		for _, n := range c.sizes {
			r.records = append(r.records, &kinesisRecord{size: n})
			r.bytes += n
		}
		pl := halted(t)
		suspendChecks(pl)
		pl.lock()
		pl.bisect(r, classification{action: actBisect, reason: ReasonTooLarge}, Attempt{})
		if got := len(pl.collector.requests[0].records); got != c.want {
			t.Errorf("unexpected first half of %v; got %d records; want %d", c.sizes, got, c.want)
		}
		pl.collector.requests = nil
		pl.mu.Unlock()
	}
}

// What passes first may be tiny. The size that passes is found all the same, by few trials.
func TestSizeThatPassesIsFoundFromASmallRequest(t *testing.T) {
	const limit = 100_000
	pl := halted(t)
	locked(pl, func() {
		l := &pl.refusals.size
		l.learnRefused(1_400_000)
		pl.learnSize(300)
		refused := 0
		for range 40 {
			if n := l.requestLimit(); n > limit {
				refused++
				l.learnRefused(n)
			} else {
				pl.learnSize(n)
			}
		}
		if got := l.requestLimit(); got > limit || got < limit*3/4 || refused > 8 {
			t.Errorf("unexpected size; got %d after %d refused trials; want nearly %d after a few", got, refused, limit)
		}
		if pl.aggregates.maxBytes != pl.cfg.aggregationMaxBytes || pl.aggregates.growBytes > limit*3/4 {
			t.Errorf("unexpected bounds of aggregates; got %d and %d", pl.aggregates.maxBytes, pl.aggregates.growBytes)
		}
	})
}

// What was refused together with others may have been refused because of them.
func TestRefusalsWithOthersDoNotConvict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pl := halted(t)
		hand(t, pl, 1)
		refuse := func(req *request) {
			pl.requestFailed(req, classifyEntry("ValidationException", ""), Attempt{Start: pl.p.start, End: pl.p.start})
		}
		var req *request
		locked(pl, func() {
			pl.stats.KinesisRecords = 1
			req = taken(pl)
			req.number, req.proof = 5, proof{mark: 4, strikes: 9}
			refuse(req)
		})
		for range 5 {
			time.Sleep(2 * time.Second)
			locked(pl, func() {
				w := pl.refusals.waiting
				if len(w) != 1 {
					t.Fatalf("unexpected number of suspects; got %d; want the record to wait", len(w))
				}
				req.records, req.proof = []*kinesisRecord{w[0].kr}, w[0].proof
				pl.refusals.waiting = nil
				refuse(req)
			})
		}
	})
}
