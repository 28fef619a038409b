// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/aws/smithy-go"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// Wait returns an error if any record failed: how many, for which reasons, and the first.
func ExampleBatch_Wait() {
	ctx := context.Background()
	producer, err := core.New(kinesistest.New(kinesistest.WithStream("logs", 1)).Client())
	if err != nil {
		fmt.Println(err)
		return
	}
	batch, err := producer.PutBatch(ctx, "logs", []core.Record{
		{PartitionKey: "pod-1", Data: []byte("hello")},
		{PartitionKey: "pod-1", Data: make([]byte, 2<<20)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = batch.Wait(ctx)
	var failed *core.BatchError
	if errors.As(err, &failed) {
		fmt.Println("failed:", failed.Failed, "of", failed.Records)
	}
	fmt.Println("too large:", errors.Is(err, core.ReasonTooLarge))
	fmt.Println("expired:", errors.Is(err, core.ReasonExpired))
	fmt.Println(producer.Close(ctx))
	// Output:
	// failed: 1 of 2
	// too large: true
	// expired: false
	// <nil>
}

// A failure unwraps to the error of the service, of a context, or ErrClosed.
func ExampleRecordError() {
	ctx := context.Background()
	server := kinesistest.New(kinesistest.WithStream("logs", 1))
	server.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("AccessDeniedException", "not allowed")})
	producer, err := core.New(server.Client())
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = producer.PutSync(ctx, "logs", core.Record{PartitionKey: "pod-1", Data: []byte("hello")})
	fmt.Println("access denied:", errors.Is(err, core.ReasonAccessDenied))
	var service smithy.APIError
	if errors.As(err, &service) {
		fmt.Println("code:", service.ErrorCode())
	}
	fmt.Println(producer.Close(ctx))
	// Output:
	// access denied: true
	// code: AccessDeniedException
	// <nil>
}

// OnSettled needs no goroutine that waits.
func ExampleBatch_OnSettled() {
	ctx := context.Background()
	producer, err := core.New(kinesistest.New(kinesistest.WithStream("logs", 1)).Client())
	if err != nil {
		fmt.Println(err)
		return
	}
	acknowledged := make(chan int, 1)
	batch, err := producer.PutBatch(ctx, "logs", []core.Record{{Data: []byte("a")}, {Data: []byte("b")}})
	if err != nil {
		fmt.Println(err)
		return
	}
	batch.OnSettled(func(b *core.Batch) {
		if b.Err() == nil {
			acknowledged <- b.Len()
		}
	})
	fmt.Println("acknowledged:", <-acknowledged)
	fmt.Println(producer.Close(ctx))
	// Output:
	// acknowledged: 2
	// <nil>
}

// The outcome function gets each record, and gets its Value back.
func ExampleWithOutcomeFunc() {
	ctx := context.Background()
	type source struct{ offset int }
	var confirmed, failed atomic.Int64
	producer, err := core.New(kinesistest.New(kinesistest.WithStream("logs", 1)).Client(),
		core.WithOutcomeFunc(func(outcomes []core.Outcome) { // on several goroutines; must not wait
			for _, o := range outcomes {
				if o.Err != nil {
					failed.Store(int64(o.Value.(*source).offset))
					continue
				}
				confirmed.Add(1)
			}
		}))
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 10 {
		r := core.Record{PartitionKey: "pod-1", Data: []byte("hello"), Value: &source{offset: i}}
		if i == 7 {
			r.ExplicitHashKey = "not a number"
		}
		if _, err := producer.Put(ctx, "logs", r); err != nil {
			fmt.Println(err)
			return
		}
	}
	fmt.Println(producer.Close(ctx))
	fmt.Println("confirmed:", confirmed.Load(), "failed: the one at offset", failed.Load())
	// Output:
	// <nil>
	// confirmed: 9 failed: the one at offset 7
}

// With a default stream, calls need not name one.
func ExampleWithDefaultStream() {
	ctx := context.Background()
	server := kinesistest.New(kinesistest.WithStream("logs", 1))
	producer, err := core.New(server.Client(), core.WithDefaultStream("logs"))
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := producer.PutSync(ctx, "", core.Record{Data: []byte("hello")}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(producer.Close(ctx))
	fmt.Println("read back:", len(server.Consume("logs").Records))
	// Output:
	// <nil>
	// read back: 1
}

// TryPut never waits. What finds no room can be dropped, counted, or kept for later.
func ExampleProducer_TryPut() {
	ctx := context.Background()
	server := kinesistest.New(kinesistest.WithStream("logs", 1))
	producer, err := core.New(server.Client(), core.WithBufferRecords(2), core.WithMaxBufferedTime(time.Minute))
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range 4 {
		_, err := producer.TryPut("logs", core.Record{Data: fmt.Append(nil, i)})
		fmt.Println(i, "full:", errors.Is(err, core.ErrBufferFull))
	}
	fmt.Println(producer.Close(ctx))
	// Output:
	// 0 full: false
	// 1 full: false
	// 2 full: true
	// 3 full: true
	// <nil>
}

// Abort gives up on what is not with Kinesis yet, for example when the input is to be read
// again elsewhere.
func ExampleProducer_Abort() {
	ctx := context.Background()
	server := kinesistest.New(kinesistest.WithStream("logs", 1))
	producer, err := core.New(server.Client(), core.WithMaxBufferedTime(time.Minute))
	if err != nil {
		fmt.Println(err)
		return
	}
	batch, err := producer.PutBatch(ctx, "logs", []core.Record{{Data: []byte("a")}, {Data: []byte("b")}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(producer.Abort(ctx))
	fmt.Println("aborted:", errors.Is(batch.Wait(ctx), core.ReasonAborted))
	fmt.Println(producer.Close(ctx))
	fmt.Println("read back:", len(server.Consume("logs").Records))
	// Output:
	// <nil>
	// aborted: true
	// <nil>
	// read back: 0
}
