// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// calls is a core.Trace that notes what it is told.
type calls struct {
	mu        sync.Mutex
	places    bool           // it is told where records are
	sent      map[string]int // tag and number of a record, by how often it was sent
	open      int
	unclear   int
	confirmed map[int]int // records, by how often they were told of
	early     int         // calls that were over before their records were told of
	late      int         // records that were told of after their batch was done
}

func (c *calls) Sending(call *core.TracedCall) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range call.Len() {
		if call.PartitionKey(i) == "" || call.Stream != "logs" {
			panic("no key or another stream")
		}
		call.UserRecords(i, func(tag any, first, n int) {
			for k := range n {
				c.sent[fmt.Sprint(tag, " ", first+k)]++
			}
		})
	}
	c.open++
	return uint64(c.open)
}

func (c *calls) Answered(token uint64, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !known {
		c.unclear++
	} else if len(c.confirmed) == 0 {
		c.early++
	}
}

func (c *calls) Confirmed(list *core.ConfirmedRuns) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for r := range list.All() {
		for k := range r.N {
			select {
			case <-r.Batch.Done():
				c.late++
			default:
			}
			res := r.Batch.Result(r.First + k)
			if !c.places {
				res.ShardID, res.SequenceNumber = "", "" // nobody asks for them
			}
			if r.Batch.Tag() != nil && res.SequenceNumber == r.SequenceNumber && res.ShardID == r.ShardID {
				c.confirmed[r.First+k]++
			}
		}
	}
}

func TestTraceIsToldOfCallsBeforeThemAndOfUncertainAnswers(t *testing.T) {
	for _, mode := range []struct {
		lost                int
		verify, aggregation bool
	}{{0, false, true}, {1, false, true}, {0, false, false}, {1, false, false}, {0, true, true}} {
		lost := mode.lost
		t.Run(fmt.Sprintf("%+v", mode), func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream("logs", 2))
			if lost > 0 {
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: lost, Effect: kinesistest.LoseReply()})
			}
			c := &calls{places: mode.verify, sent: map[string]int{}, confirmed: map[int]int{}}
			p, err := core.New(s.Client(), core.WithTrace(c), core.WithRetryBackoff(1e6, 1e6), core.WithVerifyUncertain(mode.verify), core.WithAggregation(mode.aggregation))
			if err != nil {
				t.Fatal(err)
			}
			records := make([]core.Record, 500) // several times what is looked at together
			for i := range records {
				records[i] = core.Record{PartitionKey: fmt.Sprint(i / 7), Data: []byte("data")}
			}
			var batches []*core.Batch
			for _, tag := range []string{"mine", "other"} {
				b, err := p.PutBatch(core.WithBatchTag(t.Context(), tag), "logs", records)
				if err != nil {
					t.Fatal(err)
				}
				batches = append(batches, b)
			}
			for _, b := range batches {
				if err := b.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i := range records {
				for _, tag := range []string{"mine ", "other "} {
					if n := c.sent[fmt.Sprint(tag, i)]; n == 0 || lost == 0 && n != 1 {
						t.Errorf("unexpected calls with record %s%d; got %d", tag, i, n)
					}
				}
				if n := c.confirmed[i]; n != 2 {
					t.Errorf("unexpected confirmations of record %d; got %d; want 2", i, n)
				}
			}
			if want := 2 * len(records); len(c.sent) != want {
				t.Errorf("unexpected records; got %d; want %d", len(c.sent), want)
			}
			if c.unclear != lost || c.early != 0 || c.late != 0 {
				t.Errorf("unexpected answers; got %d that are unclear, %d before their records, %d records told of late; want %d, 0, 0", c.unclear, c.early, c.late, lost)
			}
		})
	}
}
