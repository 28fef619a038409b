// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"context"
	"fmt"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/ledger"
)

// delivery is what a receiver remembers of a body. The bytes of a body give the same
// records each time, so that records are known by their numbers.
type delivery struct {
	batch   *core.Batch // under way, or nil
	numbers []int       // of the batch's records in the body
	missing []int       // once the batch has settled: what to send again
}

// Bytes counts the payloads, which the batch keeps until it has settled.
func (d *delivery) Bytes() int {
	n := 8 * (len(d.numbers) + len(d.missing))
	if d.batch != nil {
		n += 1000 * d.batch.Len() // a receiver knows it exactly
	}
	return n
}

// Shrink lets the payloads go if the batch has settled meanwhile.
func (d *delivery) Shrink() {
	if d.batch == nil {
		return
	}
	select {
	case <-d.batch.Done():
		d.settle()
	default:
	}
}

func (d *delivery) settle() {
	d.missing = nil
	d.batch.Failures(func(i int, _ *core.RecordError) bool {
		d.missing = append(d.missing, d.numbers[i])
		return true
	})
	d.batch, d.numbers = nil, nil
}

// serve answers one request with body, until ctx ends: the client is gone, or the
// deadline for an answer has passed.
func serve(ctx context.Context, p *core.Producer, l *ledger.Ledger[*delivery], client string, body []byte) string {
	d, again := l.Take(ledger.Scope{Name: client}, body)
	if !again {
		d = &delivery{missing: []int{0, 1}}
	}
	for d.batch != nil || len(d.missing) > 0 {
		if d.batch == nil {
			records := make([]core.Record, len(d.missing))
			for i, n := range d.missing {
				records[i] = core.Record{PartitionKey: fmt.Sprint(n), Data: body[n : n+1]}
			}
			d.batch, _ = p.PutBatch(ctx, "logs", records)
			if d.batch == nil {
				break // the producer is closed
			}
			d.numbers = d.missing
		}
		if err := d.batch.WaitSettled(ctx); err != nil {
			break // it goes on without us
		}
		d.settle()
		if len(d.missing) > 0 {
			break
		}
	}
	if d.batch == nil && len(d.missing) == 0 {
		return "200"
	}
	l.Put(ledger.Scope{Name: client}, body, d)
	return "503"
}

// A body comes again while its first delivery is still under way, because Kinesis
// answers more slowly than the client waits. Nothing is sent twice.
func Example() {
	kinesis := kinesistest.New(kinesistest.WithStream("logs", 1))
	slow := make(chan struct{})
	kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Effect{Hold: slow}})
	producer, err := core.New(kinesis.Client())
	if err != nil {
		fmt.Println(err)
		return
	}
	bodies := ledger.New[*delivery](ledger.Limits{Bytes: 64 << 20, Age: 10 * time.Minute})

	impatient, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	fmt.Println(serve(impatient, producer, bodies, "client 1", []byte("ab")), "parked:", bodies.Len())

	close(slow)
	fmt.Println(serve(context.Background(), producer, bodies, "client 1", []byte("ab")), "parked:", bodies.Len())
	fmt.Println("stored:", len(kinesis.Consume("logs").Records))

	_ = producer.Close(context.Background())
	// Output:
	// 503 parked: 1
	// 200 parked: 0
	// stored: 2
}
