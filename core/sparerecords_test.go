// SPDX-License-Identifier: Apache-2.0

package core

import (
	"math/rand/v2"
	"runtime"
	"testing"
)

// Records in use keep only their own block in memory, and nothing of the aggregates that other
// records of it had.
func TestRecordsInUseKeepNoOthers(t *testing.T) {
	for name, aggregation := range map[string]bool{"aggregation on": true, "aggregation off": false} {
		t.Run(name, func(t *testing.T) {
			p := &Producer{}
			p.cfg.aggregation = aggregation
			pl := &pipeline{p: p, cfg: &p.cfg}
			live := func() int64 {
				var m runtime.MemStats
				for range 3 {
					runtime.GC()
				}
				runtime.ReadMemStats(&m)
				return int64(m.HeapAlloc)
			}
			before := live()
			var used []*kinesisRecord
			for range 20_000 {
				kr := pl.newRecord()
				for range 64 {
					kr.items = append(kr.items, &item{})
				}
				used = append(used, kr)
			}
			pl.returnSpares()
			rand.Shuffle(len(used), func(i, j int) { used[i], used[j] = used[j], used[i] })
			const kept = 5
			for i, kr := range used[kept:] {
				if pl.recycle(kr); i%500 == 0 {
					pl.returnSpares()
				}
			}
			pl.returnSpares()
			used = append([]*kinesisRecord(nil), used[:kept]...)
			if n := live() - before; n > kept*64<<10 {
				t.Errorf("unexpected memory that %d records keep; got %d bytes; want at most %d", kept, n, kept*64<<10)
			}
			runtime.KeepAlive(used)
			runtime.KeepAlive(p)
		})
	}
}

// A record that had many items is used again without their memory.
func TestRecordOfManyItemsIsUsedAgain(t *testing.T) {
	p := &Producer{}
	pl := &pipeline{p: p, cfg: &p.cfg}
	kr := pl.newRecord()
	kr.items = make([]*item, maxKeptItems+1)
	pl.recycle(kr)
	if again := pl.newRecord(); again != kr || cap(again.items) != 0 {
		t.Errorf("unexpected record; got another one: %t, room for %d items; want the same without", again != kr, cap(again.items))
	}
}
