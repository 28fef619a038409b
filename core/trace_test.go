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
	sent      map[string]int // tag and number of a record, by how often it was sent
	open      int
	unclear   int
	confirmed int
	early     int // calls that were over before their outcomes were told
}

func (c *calls) Sending(call *core.TracedCall) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range call.Len() {
		if call.PartitionKey(i) == "" || call.Stream != "logs" {
			panic("no key or another stream")
		}
		for k := range call.UserRecords(i) {
			tag, n := call.UserRecord(i, k)
			c.sent[fmt.Sprint(tag, " ", n)]++
		}
	}
	c.open++
	return uint64(c.open)
}

func (c *calls) Answered(token uint64, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !known {
		c.unclear++
	} else if c.confirmed == 0 {
		c.early++
	}
}

func (c *calls) outcomes(list []core.Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, o := range list {
		if o.Err == nil && o.Batch.Tag() != nil {
			c.confirmed++
		}
	}
}

func TestTraceIsToldOfCallsBeforeThemAndOfUncertainAnswers(t *testing.T) {
	for _, lost := range []int{0, 1} {
		t.Run(fmt.Sprint("answers lost ", lost), func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream("logs", 2))
			if lost > 0 {
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: lost, Effect: kinesistest.LoseReply()})
			}
			c := &calls{sent: map[string]int{}}
			p, err := core.New(s.Client(), core.WithTrace(c), core.WithOutcomeFunc(c.outcomes), core.WithRetryBackoff(1e6, 1e6))
			if err != nil {
				t.Fatal(err)
			}
			records := make([]core.Record, 20)
			for i := range records {
				records[i] = core.Record{PartitionKey: fmt.Sprint(i), Data: []byte("data")}
			}
			b, err := p.PutBatch(core.WithBatchTag(t.Context(), "mine"), "logs", records)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i := range records {
				if n := c.sent[fmt.Sprint("mine ", i)]; n == 0 || lost == 0 && n != 1 {
					t.Errorf("unexpected calls with record %d; got %d", i, n)
				}
			}
			if c.unclear != lost || c.confirmed != len(records) || c.early != 0 {
				t.Errorf("unexpected answers; got %d that are unclear, %d confirmed records, %d answers before their outcomes; want %d, %d, 0", c.unclear, c.confirmed, c.early, lost, len(records))
			}
		})
	}
}
