// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// nothingClient answers PutRecords with neither an answer nor an error.
type nothingClient struct{ core.Client }

func (nothingClient) PutRecords(context.Context, *kinesis.PutRecordsInput, ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	return nil, nil
}

// panicLogger panics on the lines that hold a text.
type panicLogger struct {
	slog.Handler
	on    string
	fired *atomic.Bool
}

func (h panicLogger) Handle(ctx context.Context, r slog.Record) error {
	if strings.Contains(r.Message, h.on) {
		h.fired.Store(true)
		panic("injected")
	}
	return h.Handler.Handle(ctx, r)
}

func TestClientThatAnswersNothingIsNotBelieved(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 2))
	p := newProducer(t, nothingClient{s.Client()})
	b := put(t, p, batchOf("a", 10))
	wait(t, b)
	if r := b.Result(0); r.Err == nil || r.Err.Reason != core.ReasonCountMismatch {
		t.Errorf("unexpected result %+v; want reason count_mismatch", r)
	}
}

// A panic in the producer's own work must not take the host down, nor leave
// anybody waiting. The logger is the one place where tests can cause one.
func TestPanicInThePipelineFailsItsRecordsAndSparesTheHost(t *testing.T) {
	for _, c := range []struct {
		name, on string
		fault    kinesistest.Fault
	}{
		{"when an answer comes", "cannot put records",
			kinesistest.Fault{Operation: "PutRecords", Skip: 3, Effect: kinesistest.Fail("InternalFailure", "no")}},
		{"when the map cannot be had", "cannot list shards",
			kinesistest.Fault{Operation: "ListShards", Effect: kinesistest.Fail("InternalFailure", "no")}},
		{"when the facts cannot be had", "cannot describe stream",
			kinesistest.Fault{Operation: "DescribeStreamSummary", Effect: kinesistest.Fail("AccessDeniedException", "no")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 4), kinesistest.WithStream("other", 1))
				c.fault.Stream = stream
				s.Fault(c.fault)
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 5 * time.Millisecond}})
				var log logText
				var fired atomic.Bool
				h := panicLogger{slog.NewTextHandler(&log, nil), c.on, &fired}
				p := newProducer(t, s.Client(), core.WithLogger(slog.New(h)), core.WithBufferRecords(300))
				var batches []*core.Batch
				for range 20 {
					b, err := p.PutBatch(context.Background(), stream, batchOf("a", 100))
					if err != nil {
						t.Fatal(err)
					}
					batches = append(batches, b)
				}
				internal := 0
				for _, b := range batches {
					wait(t, b)
					for i := range b.Len() {
						switch r := b.Result(i); {
						case r.Confirmed():
						case r.Err != nil && r.Err.Reason == core.ReasonInternal && !r.Err.Reason.Permanent():
							internal++
						default:
							t.Fatalf("unexpected result %+v; want confirmed or reason internal", r)
						}
					}
				}
				if !fired.Load() || internal == 0 {
					t.Fatalf("unexpected outcome: panic %v, %d records failed with reason internal", fired.Load(), internal)
				}
				if _, err := p.PutSync(context.Background(), stream, core.Record{PartitionKey: "k", Data: []byte("x")}); err == nil {
					t.Error("unexpected success of a record after the panic")
				}
				if _, err := p.PutSync(context.Background(), "other", core.Record{PartitionKey: "k", Data: []byte("x")}); err != nil {
					t.Errorf("unexpected error on another stream: %v", err)
				}
				if !strings.Contains(log.String(), "guarded") {
					t.Errorf("unexpected log; got %q; want a stack", log.String())
				}
				closeProducer(t, p)
				if st := checkAccounts(t, p); st.Pending != 0 || st.BufferedBytes != 0 {
					t.Errorf("unexpected rest: %d pending, %d bytes", st.Pending, st.BufferedBytes)
				}
			})
		})
	}
}
