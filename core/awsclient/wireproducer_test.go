// SPDX-License-Identifier: Apache-2.0

package awsclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/cbor"
)

// deliver puts n records and returns how often each is stored, and the producer's counters.
func deliver(t *testing.T, e *endpoint, n int, opts ...core.Option) (stored map[string]int, batch *core.Batch, st core.Stats) {
	t.Helper()
	p, err := core.New(newFormat(t, e.url, awsclient.WireAuto), append([]core.Option{core.WithRetryBackoff(time.Millisecond, 5*time.Millisecond), core.WithRateLimit(100_000)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	records := make([]core.Record, n)
	for i := range records {
		records[i] = core.Record{PartitionKey: fmt.Sprintf("k%d", i%31), Data: fmt.Appendf(nil, "record %d", i)}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if batch, err = p.PutBatch(ctx, "logs", records); err == nil {
		err = batch.WaitSettled(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	st = p.Stats()
	if err := p.Close(ctx); err != nil {
		t.Errorf("unexpected error of Close: %v", err)
	}
	stored = map[string]int{}
	for _, r := range e.Consume("logs").Records {
		stored[string(r.Data)]++
	}
	return stored, batch, st
}

func wantOnce(t *testing.T, stored map[string]int, n int) {
	t.Helper()
	if len(stored) != n {
		t.Errorf("unexpected records; got %d; want %d", len(stored), n)
	}
	for data, times := range stored {
		if times != 1 {
			t.Errorf("unexpected copies of %q; got %d; want 1", data, times)
		}
	}
}

func TestNothingIsLostOrDoubledWhereJSONAloneIsKnown(t *testing.T) {
	alone(t)
	for _, sign := range []string{"", "UnknownOperationException", "SerializationException"} {
		e := newEndpoint(t, kinesistest.WithJSONOnly(sign))
		stored, batch, st := deliver(t, e, 20_000)
		wantOnce(t, stored, 20_000)
		if err := batch.Err(); err != nil || st.RequestErrors+st.Uncertain != 0 {
			t.Errorf("unexpected failures; got %v, %d requests, %d uncertain", err, st.RequestErrors, st.Uncertain)
		}
		for _, c := range e.take() {
			if c == "PutRecords cbor" {
				t.Error("unexpected format of records; got CBOR")
			}
		}
	}
}

// Refused, they were not stored: they are sent again, in CBOR, and are in once.
func TestRecordsSurviveASerializationExceptionAfterCBOR(t *testing.T) {
	alone(t)
	e := newEndpoint(t)
	left := 5
	e.setSpoil(func(w http.ResponseWriter, operation string, inCBOR bool) bool {
		if operation != "PutRecords" || left == 0 {
			return false
		}
		left-- // calls come one at a time while all are refused
		return answer(400, cbor.ContentType, codeInCBOR("SerializationException"))(w, operation, inCBOR)
	})
	stored, batch, st := deliver(t, e, 2000, core.WithMaxInFlight(1))
	wantOnce(t, stored, 2000)
	if err := batch.Err(); err != nil || st.RequestErrors != 5 || st.Uncertain != 0 {
		t.Errorf("unexpected failures; got %v, %d requests, %d uncertain; want 5 requests", err, st.RequestErrors, st.Uncertain)
	}
	for _, c := range e.take() {
		if c == "PutRecords json" {
			t.Error("unexpected format of records; got JSON")
		}
	}
}

// A stream that takes nothing at all says so after a while; no record fails for good.
func TestServerThatForgetsCBORIsNotTheFaultOfRecords(t *testing.T) {
	alone(t)
	e := newEndpoint(t)
	e.setSpoil(func(w http.ResponseWriter, operation string, inCBOR bool) bool {
		return operation == "PutRecords" && answer(400, inJSON, `{"__type":"SerializationException"}`)(w, operation, inCBOR)
	})
	stored, batch, _ := deliver(t, e, 20)
	if _, failed, _ := batch.Counts(); len(stored) != 0 || failed != 20 {
		t.Errorf("unexpected outcome; got %d stored, %d failed; want 20 failed", len(stored), failed)
	}
	for i := range 20 {
		if r := batch.Result(i); r.Err == nil || r.Err.Reason != core.ReasonRefused {
			t.Errorf("unexpected failure; got %v; want %v, which receivers try again", r.Err, core.ReasonRefused)
		}
	}
}

// An answer is in the format that its Content-Type names. What cannot be read says that the
// records may be stored: they are counted as uncertain and sent again.
func TestAnswersToRecordsInTheOtherFormat(t *testing.T) {
	alone(t)
	for name, c := range map[string]struct {
		contentType string
		body        func(n int) string
		uncertain   bool
	}{
		"JSON": {inJSON, func(n int) string {
			return `{"FailedRecordCount":0,"Records":[` + strings.TrimSuffix(strings.Repeat(`{"ShardId":"shardId-000000000000","SequenceNumber":"1"},`, n), ",") + `]}`
		}, false},
		"JSON without a type":    {"", func(int) string { return `{"FailedRecordCount":` }, true},
		"CBOR that is called so": {"text/plain", func(n int) string { return string(answerOf(n)) }, true},
		"CBOR that is cut off":   {cbor.ContentType, func(n int) string { return string(answerOf(n)[:70]) }, true},
		"JSON that is called so": {cbor.ContentType, func(int) string { return `{"FailedRecordCount":0}` }, true},
		"a page":                 {"text/html", func(int) string { return "<html>" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t)
			times := 0
			e.setSpoil(func(w http.ResponseWriter, operation string, inCBOR bool) bool {
				if operation != "PutRecords" || times > 0 {
					return false
				}
				times++
				if !inCBOR {
					t.Error("unexpected request in JSON")
				}
				return answer(200, c.contentType, c.body(1))(w, operation, inCBOR)
			})
			_, batch, st := deliver(t, e, 1, core.WithMaxInFlight(1))
			if err := batch.Err(); err != nil {
				t.Errorf("unexpected failure: %v", err)
			}
			if got := st.Uncertain; got != map[bool]uint64{true: 1, false: 0}[c.uncertain] {
				t.Errorf("unexpected number of uncertain records; got %d; want %t", got, c.uncertain)
			}
			if want := map[bool]string{true: "HTTP200", false: ""}[c.uncertain]; want != "" {
				if a := batch.Result(0).Attempts; len(a) != 2 || a[0].Code != want || !a[0].Uncertain {
					t.Errorf("unexpected attempts; got %+v; want %s first", a, want)
				}
			}
		})
	}
}

// numbers is a core.Trace that notes where records were stored.
type numbers struct {
	mu   sync.Mutex
	last [20_000][2]string // shard and sequence number
}

func (n *numbers) Sending(*core.TracedCall) uint64 { return 0 }
func (n *numbers) Answered(uint64, bool)           {}

func (n *numbers) Confirmed(runs *core.ConfirmedRuns) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for r := range runs.All() {
		for i := range r.N {
			n.last[r.First+i] = [2]string{r.ShardID, r.SequenceNumber}
		}
	}
}

// Without places, answers are read into memory that is used again, while others hold what was copied of
// them: records that were throttled first, calls at the same time, answers of all sizes.
func TestSequenceNumbersOutliveTheMemoryOfAnswers(t *testing.T) {
	alone(t)
	for _, aggregation := range []bool{false, true} {
		e := newEndpoint(t)
		e.Fault(kinesistest.Fault{Operation: "PutRecords", Seed: 5, Probability: 0.5, Effect: kinesistest.Effect{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.3}})
		e.Fault(kinesistest.Fault{Operation: "PutRecords", Seed: 6, Probability: 0.2, Effect: kinesistest.LoseReply()})
		var noted numbers
		stored, batch, st := deliver(t, e, 20_000, core.WithPlaces(false), core.WithTrace(&noted), core.WithVerifyUncertain(true), core.WithAggregation(aggregation), core.WithAdaptiveRate(false), core.WithAggregationMaxCount(20), core.WithCollectionMaxCount(map[bool]int{true: 10, false: 200}[aggregation]))
		if err := batch.Err(); err != nil || len(stored) != 20_000 || st.Throttled == 0 || st.RequestErrors == 0 {
			t.Fatalf("unexpected outcome; got %v, %d stored, %d throttled, %d failed requests", err, len(stored), st.Throttled, st.RequestErrors)
		}
		where := map[string][][2]string{} // a record may be stored twice
		for _, r := range e.Consume("logs").Records {
			where[string(r.Data)] = append(where[string(r.Data)], [2]string{r.ShardID, r.SequenceNumber})
		}
		for i, got := range noted.last {
			if want := where[fmt.Sprintf("record %d", i)]; !slices.Contains(want, got) {
				t.Fatalf("unexpected place of record %d; got %v; want %v", i, got, want)
			}
		}
	}
}

// dividing is a client that makes two calls for one.
type dividing struct{ core.Client }

func (c dividing) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	n := len(in.Records) / 2
	if n == 0 {
		return c.Client.PutRecords(ctx, in, opts...)
	}
	first, second := *in, *in
	first.Records, second.Records = in.Records[:n], in.Records[n:]
	a, err := c.Client.PutRecords(ctx, &first, opts...)
	if err != nil {
		return nil, err
	}
	b, err := c.Client.PutRecords(ctx, &second, opts...)
	if err != nil {
		return nil, err
	}
	out := *a
	out.Records = append(a.Records[:n:n], b.Records...)
	return &out, nil
}

// hasty is a client that does not wait for each second call: that goes on when nobody wants its answer any more.
type hasty struct {
	core.Client
	calls *sync.WaitGroup
	n     *atomic.Int32
}

func (c hasty) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	own := *in
	own.Records = slices.Clone(in.Records)
	for i := range own.Records {
		r := &own.Records[i]
		r.Data, r.PartitionKey, r.ExplicitHashKey = slices.Clone(r.Data), aws.String(*r.PartitionKey), aws.String(*r.ExplicitHashKey)
	}
	if c.n.Add(1)%2 == 0 {
		return c.Client.PutRecords(ctx, in, opts...)
	}
	c.calls.Go(func() { _, _ = c.Client.PutRecords(context.WithoutCancel(ctx), &own, opts...) })
	return nil, errors.New("no time")
}

// A client may make several calls for one, or leave one behind. The memory for answers serves one of them
// at most, and nobody else while that may write to it.
func TestMemoryOfAnswersServesOneCall(t *testing.T) {
	alone(t)
	for _, name := range []string{"dividing", "hasty"} {
		t.Run(name, func(t *testing.T) {
			e := newEndpoint(t)
			e.Fault(kinesistest.Fault{Operation: "PutRecords", Seed: 5, Probability: 0.5, Effect: kinesistest.Effect{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.3}})
			inner := core.Client(newFormat(t, e.url, awsclient.WireAuto))
			var calls sync.WaitGroup
			client := core.Client(dividing{inner})
			if name == "hasty" {
				client = hasty{inner, &calls, new(atomic.Int32)}
			}
			p, err := core.New(client, core.WithPlaces(false), core.WithAggregation(false), core.WithRetryBackoff(time.Millisecond, 5*time.Millisecond), core.WithRateLimit(100_000), core.WithAdaptiveRate(false))
			if err != nil {
				t.Fatal(err)
			}
			const n = 5000
			records := make([]core.Record, n)
			for i := range records {
				records[i] = core.Record{PartitionKey: fmt.Sprintf("k%d", i%31), Data: fmt.Appendf(nil, "record %d", i)}
			}
			b, err := p.PutBatch(t.Context(), "logs", records)
			if err == nil {
				err = b.Wait(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
			calls.Wait()
			stored := map[string]int{}
			for _, r := range e.Consume("logs").Records {
				stored[string(r.Data)]++
			}
			if name == "dividing" {
				wantOnce(t, stored, n)
			} else if len(stored) != n { // what is left behind may be stored twice
				t.Errorf("unexpected records; got %d; want %d", len(stored), n)
			}
		})
	}
}
