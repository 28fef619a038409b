// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// outcomes collects what an outcome function gets.
type outcomes struct {
	mu   sync.Mutex
	list []core.Outcome
}

func (o *outcomes) add(list []core.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.list = append(o.list, list...)
}

// check fails unless there is one outcome for each record of the batches, and it is that
// which the batch has.
func (o *outcomes) check(t *testing.T, batches ...*core.Batch) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	type record struct {
		batch *core.Batch
		index int
	}
	got := map[record]int{}
	for _, out := range o.list {
		got[record{out.Batch, out.Index}]++
		r := out.Batch.Result(out.Index)
		if r.Err != out.Err || r.Value != out.Value || out.Batch.Value(out.Index) != out.Value || r.ShardID != out.ShardID || r.SequenceNumber != out.SequenceNumber {
			t.Fatalf("unexpected outcome; got %+v; want %+v", out, r)
		}
	}
	total := 0
	for _, b := range batches {
		total += b.Len()
		for i := range b.Len() {
			if n := got[record{b, i}]; n != 1 {
				t.Fatalf("unexpected number of outcomes of record %d; got %d; want 1", i, n)
			}
		}
	}
	if len(o.list) != total {
		t.Fatalf("unexpected number of outcomes; got %d; want %d", len(o.list), total)
	}
}

func TestEachRecordHasOneOutcomeWithItsValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Effect{EntryCode: "InternalFailure", EntryShare: 0.5}})
		var reported outcomes
		p := newProducer(t, s.Client(), core.WithOutcomeFunc(reported.add), core.WithBufferRecords(1000))
		records := batchOf("a", 3000) // waits for room, and is reported in several pieces
		for i := range records {
			records[i].Value = i
		}
		records[7].ExplicitHashKey = "no number"
		records[9].Data = make([]byte, 2<<20)
		many := put(t, p, records)
		one, err := p.Put(context.Background(), stream, core.Record{Data: []byte("x"), Value: &reported})
		if err != nil {
			t.Fatal(err)
		}
		none := put(t, p, batchOf("none", 3)) // without values
		for _, b := range []*core.Batch{many, one, none} {
			wait(t, b)
		}
		synctest.Wait()
		reported.check(t, many, one, none)
		if v := many.Value(7); v != 7 || one.Value(0) != &reported || none.Value(0) != nil {
			t.Errorf("unexpected values; got %v, %v, %v; want 7, a pointer, nil", v, one.Value(0), none.Value(0))
		}
		closeProducer(t, p)
	})
}

func TestFunctionsOfABatchAreCalledOnceWhenItIsSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(time.Second)})
		p := newProducer(t, s.Client())
		b := put(t, p, batchOf("a", 5))
		var got []string
		note := func(name string) func(*core.Batch) {
			return func(b *core.Batch) {
				select {
				case <-b.Done():
				default:
					t.Error("called before Done is closed")
				}
				if confirmed, _, _ := b.Counts(); confirmed != 5 {
					t.Errorf("unexpected number of confirmed records; got %d; want 5", confirmed)
				}
				// No lock is held: what does not wait may be called.
				if _, err := p.TryPut(stream, core.Record{Data: []byte(name)}); err != nil {
					t.Error(err)
				}
				got = append(got, name)
			}
		}
		b.OnSettled(note("first"))
		b.OnSettled(note("second"))
		if got != nil {
			t.Errorf("unexpected calls before the end: %q", got)
		}
		wait(t, b)
		synctest.Wait()
		b.OnSettled(note("late"))
		if want := "[first second late]"; fmt.Sprint(got) != want {
			t.Errorf("unexpected calls; got %v; want %s", got, want)
		}
		empty, called := put(t, p, nil), false
		empty.OnSettled(func(*core.Batch) { called = true })
		if !called {
			t.Error("the function of an empty batch was not called")
		}
		closeProducer(t, p)
	})
}

// What is set while a batch settles is called by one of the two, and once.
func TestFunctionsSetWhileABatchSettlesAreCalledOnce(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 1))
	p := newProducer(t, s.Client(), core.WithMaxBufferedTime(0))
	for range 200 {
		b := put(t, p, batchOf("a", 1))
		var calls sync.WaitGroup
		for range 4 {
			calls.Add(1)
			b.OnSettled(func(*core.Batch) { calls.Done() }) // twice would panic
		}
		calls.Wait()
	}
	closeProducer(t, p)
}

func TestPanicOfACallbackIsLoggedAndHarmsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		var log bytes.Buffer
		p := newProducer(t, s.Client(), core.WithLogger(slog.New(slog.NewTextHandler(&log, nil))),
			core.WithOutcomeFunc(func([]core.Outcome) { panic("no outcome") }))
		b := put(t, p, batchOf("a", 5))
		b.OnSettled(func(*core.Batch) { panic("not settled") })
		called := false
		b.OnSettled(func(*core.Batch) { called = true })
		wait(t, b)
		synctest.Wait()
		if err := b.Err(); err != nil || !called {
			t.Errorf("unexpected outcome: %v; called after the panic: %t", err, called)
		}
		if _, err := p.PutSync(context.Background(), stream, core.Record{Data: []byte("x")}); err != nil {
			t.Errorf("unexpected error after the panics: %v", err)
		}
		closeProducer(t, p)
		for _, want := range []string{"no outcome", "not settled", "the outcome function", "a function of OnSettled"} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("unexpected log; got %q; want %q in it", log.String(), want)
			}
		}
	})
}

// A caller that keeps batches keeps their outcomes, not the data.
func TestSettledBatchDoesNotHoldItsRecords(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 1), kinesistest.WithCountOnly())
	p := newProducer(t, s.Client(), core.WithMaxBufferedTime(0))
	ctx := context.Background()
	for name, hand := range map[string]func(data []byte) (*core.Batch, error){
		"PutBatch": func(data []byte) (*core.Batch, error) {
			return p.PutBatch(ctx, stream, []core.Record{{Data: data}, {Data: []byte("x")}})
		},
		"Put":    func(data []byte) (*core.Batch, error) { return p.Put(ctx, stream, core.Record{Data: data}) },
		"TryPut": func(data []byte) (*core.Batch, error) { return p.TryPut(stream, core.Record{Data: data}) },
		"failed": func(data []byte) (*core.Batch, error) {
			return p.Put(ctx, stream, core.Record{Data: data, ExplicitHashKey: "no number"})
		},
	} {
		b, pointer := func() (*core.Batch, weak.Pointer[byte]) {
			data := make([]byte, 10_000)
			b, err := hand(data)
			if err != nil {
				t.Fatal(err)
			}
			return b, weak.Make(&data[0])
		}()
		wait(t, b)
		for i := 0; pointer.Value() != nil; i++ {
			if i == 100 {
				t.Errorf("%s: the settled batch holds its data", name)
				break
			}
			runtime.GC()
		}
		runtime.KeepAlive(b)
	}
	closeProducer(t, p)
}

func TestValueOfARecordCostsNoAllocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Delay(time.Second)})
		p := newProducer(t, s.Client(), core.WithBufferRecords(1))
		b, err := p.TryPut(stream, core.Record{Data: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		measure := func(r core.Record) float64 { // without what sends it
			return testing.AllocsPerRun(100, func() {
				if _, err := p.TryPut(stream, r); !errors.Is(err, core.ErrBufferFull) {
					t.Fatalf("unexpected error; got %v; want %v", err, core.ErrBufferFull)
				}
			})
		}
		plain, valued := measure(core.Record{Data: []byte("x")}), measure(core.Record{Data: []byte("x"), Value: new(int)})
		if plain > 2 || valued > plain {
			t.Errorf("unexpected allocations of TryPut; got %v without a value, %v with one; want 2 at most, and as many", plain, valued)
		}
		wait(t, b)
		closeProducer(t, p)
	})
}

func TestWaitCannotHideFailedRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		p := newProducer(t, s.Client())
		ctx := context.Background()
		records := batchOf("a", 20)
		for i := range 12 {
			records[i].ExplicitHashKey = fmt.Sprint("wrong", i) // each with an error of its own
		}
		records[19].Data = make([]byte, 2<<20)
		b := put(t, p, records)
		err := b.Wait(ctx)
		var batch *core.BatchError
		var first *core.RecordError
		switch {
		case !errors.As(err, &batch) || batch.Failed != 13 || batch.Records != 20 || batch.Stream != stream || len(batch.Errors) != 8:
			t.Errorf("unexpected error of Wait; got %#v; want a BatchError of 13 of 20 records with 8 errors", err)
		case !errors.As(err, &first) || first != b.Result(0).Err:
			t.Errorf("unexpected first error; got %v; want %v", first, b.Result(0).Err)
		case !errors.Is(err, core.ReasonInvalid) || !errors.Is(err, core.ReasonTooLarge) || errors.Is(err, core.ReasonExpired) || errors.Is(err, core.ReasonNone):
			t.Errorf("unexpected reasons of %v; want those of all failed records, and no others", err)
		}
		if want := "cannot deliver 13 of 20 records to stream logs (1 too_large, 12 invalid); the first: invalid"; !strings.HasPrefix(fmt.Sprint(err), want) {
			t.Errorf("unexpected text of the error; got %q; want it to begin with %q", err, want)
		}
		if err := b.WaitSettled(ctx); err != nil {
			t.Errorf("unexpected error of WaitSettled: %v", err)
		}
		if err := put(t, p, batchOf("b", 3)).Wait(ctx); err != nil {
			t.Errorf("unexpected error of a batch without failures: %v", err)
		}
		closeProducer(t, p)
	})
}

func TestErrorsOfRecordsUnwrapToTheirCause(t *testing.T) {
	for _, c := range []struct {
		name   string
		opts   []core.Option
		effect kinesistest.Effect
		want   core.Reason
		code   string
		is     error
	}{
		{name: "the call", effect: kinesistest.Fail("AccessDeniedException", "no"), want: core.ReasonAccessDenied, code: "AccessDeniedException"},
		{name: "the entry", effect: kinesistest.FailEntries("KMSDisabledException", "no"), want: core.ReasonAccessDenied, code: "KMSDisabledException"},
		{name: "throttled", opts: []core.Option{core.WithFailIfThrottled(true)}, effect: kinesistest.ThrottleEntries(), want: core.ReasonThrottled, code: "ProvisionedThroughputExceededException"},
		{name: "closed", effect: kinesistest.Hang(), want: core.ReasonClosed, is: core.ErrClosed},
		{name: "no room", opts: []core.Option{core.WithBufferRecords(1)}, effect: kinesistest.Hang(), want: core.ReasonNotAccepted, is: context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 1))
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: c.effect})
				p := newProducer(t, s.Client(), c.opts...)
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				defer cancel()
				b, _ := p.PutBatch(ctx, stream, batchOf("a", 2))
				if c.want == core.ReasonClosed {
					_ = p.Close(ctx)
				}
				err := b.Result(1).Err
				if err == nil {
					wait(t, b)
					err = b.Result(1).Err
				}
				var api smithy.APIError
				switch {
				case !errors.Is(err, c.want) || errors.Is(err, core.ReasonInternal):
					t.Errorf("unexpected error; got %v; want %v", err, c.want)
				case c.code != "" && (!errors.As(err, &api) || api.ErrorCode() != c.code):
					t.Errorf("unexpected cause; got %v; want a smithy.APIError with %s", errors.Unwrap(err), c.code)
				case c.is != nil && !errors.Is(err, c.is):
					t.Errorf("unexpected cause; got %v; want %v", errors.Unwrap(err), c.is)
				case c.name == "the call" && !errors.As(error(err), new(*types.AccessDeniedException)):
					t.Errorf("unexpected cause; got %T; want the SDK's type", errors.Unwrap(err))
				}
			})
		})
	}
}

func TestPutWithAnEndedContextTakesNothing(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream(stream, 1))
	p := newProducer(t, s.Client())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for name, call := range map[string]func() (*core.Batch, error){
		"PutBatch": func() (*core.Batch, error) { return p.PutBatch(ctx, stream, batchOf("a", 3)) },
		"Put":      func() (*core.Batch, error) { return p.Put(ctx, stream, core.Record{Data: []byte("x")}) },
		"PutSync": func() (*core.Batch, error) {
			_, err := p.PutSync(ctx, stream, core.Record{Data: []byte("x")})
			return nil, err
		},
	} {
		if b, err := call(); b != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("%s: unexpected result; got %v, %v; want no batch, and that the context is canceled", name, b, err)
		}
	}
	if st := p.Stats(); st.Accepted != 0 || st.BufferedBytes != 0 {
		t.Errorf("unexpected records in the producer: %+v", st)
	}
	closeProducer(t, p)
}

func TestCallsThatNameNoStreamMeanTheDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		ctx := context.Background()
		for _, name := range []string{stream, s.ARN(stream)} {
			p := newProducer(t, s.Client(), core.WithDefaultStream(name))
			batches := []*core.Batch{}
			for call, f := range map[string]func() (*core.Batch, error){
				"PutBatch":    func() (*core.Batch, error) { return p.PutBatch(ctx, "", batchOf("a", 3)) },
				"Put":         func() (*core.Batch, error) { return p.Put(ctx, "", core.Record{Data: []byte("x")}) },
				"TryPutBatch": func() (*core.Batch, error) { return p.TryPutBatch("", batchOf("b", 3)) },
				"TryPut":      func() (*core.Batch, error) { return p.TryPut("", core.Record{Data: []byte("x")}) },
				"named":       func() (*core.Batch, error) { return p.TryPut(name, core.Record{Data: []byte("x")}) },
			} {
				b, err := f()
				if err != nil {
					t.Fatalf("%s: %v", call, err)
				}
				batches = append(batches, b)
			}
			if err := p.FlushStream(ctx, ""); err != nil {
				t.Fatal(err)
			}
			for _, b := range batches {
				if _, _, pending := b.Counts(); pending != 0 || b.Err() != nil {
					t.Errorf("unexpected state after FlushStream: %d pending, %v", pending, b.Err())
				}
			}
			if err := p.Check(ctx, ""); err != nil {
				t.Errorf("unexpected error of Check: %v", err)
			}
			if n := len(p.Snapshot().Streams); n != 1 {
				t.Errorf("unexpected number of streams; got %d; want 1", n)
			}
			closeProducer(t, p)
		}
		p := newProducer(t, s.Client())
		if b, err := p.Put(ctx, "", core.Record{}); b != nil || err == nil || !strings.Contains(err.Error(), "WithDefaultStream") {
			t.Errorf("unexpected result without a default; got %v, %v; want an error that says what to do", b, err)
		}
		closeProducer(t, p)
		if _, err := core.New(s.Client(), core.WithDefaultStream("a b")); err == nil || !strings.Contains(err.Error(), `DefaultStream: stream name "a b" is not valid`) {
			t.Errorf("unexpected error of a default that is no name: %v", err)
		}
	})
}

func TestTryPutNeverWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		hang := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(time.Second)})
		p := newProducer(t, s.Client(), core.WithBufferRecords(1))
		start := time.Now()
		first, err := p.TryPut(stream, core.Record{Data: []byte("first")})
		if err != nil {
			t.Fatal(err)
		}
		if b, err := p.TryPut(stream, core.Record{Data: []byte("second")}); b != nil || !errors.Is(err, core.ErrBufferFull) {
			t.Errorf("unexpected result with a full buffer; got %v, %v; want %v", b, err, core.ErrBufferFull)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("unexpected wait of %v", d)
		}
		wait(t, first)
		hang.Remove()
		second, err := p.TryPut(stream, core.Record{Data: []byte("second")})
		if err != nil {
			t.Fatalf("unexpected error with room in the buffer: %v", err)
		}
		wait(t, second)
		closeProducer(t, p)
		if _, err := p.TryPut(stream, core.Record{}); !errors.Is(err, core.ErrClosed) {
			t.Errorf("unexpected error after Close; got %v; want %v", err, core.ErrClosed)
		}
		checkAccounts(t, p)
	})
}
