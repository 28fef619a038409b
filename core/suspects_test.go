// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// A record that is refused while others pass is at fault, soon.
func TestRecordRefusedWhileOthersPassFails(t *testing.T) {
	for _, code := range []string{"ValidationException", "RequestEntityTooLarge", "HTTP 413"} {
		want := core.ReasonTooLarge
		if code == "ValidationException" {
			want = core.ReasonInvalid
		}
		for _, o := range refusalOptions {
			t.Run(code+"/"+o.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := kinesistest.New(kinesistest.WithStream(stream, 2))
					s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(10 * time.Millisecond), Match: func(c *kinesistest.Call) bool { return !holds("bad")(c) }})
					f := poison(s, "bad", refusalOf(code))
					p := newProducer(t, s.Client(), o.opts...)
					batches := [][]core.Record{batchOf("before", 1)}
					wait(t, put(t, p, batches[0]))
					var open []*core.Batch
					for i := range 50 {
						records := batchOf(fmt.Sprintf("b%02d", i), 20)
						batches = append(batches, records)
						if i == 5 {
							records[7].Data = []byte("bad")
							batches[len(batches)-1] = slices.Delete(slices.Clone(records), 7, 8)
						}
						open = append(open, put(t, p, records))
						time.Sleep(100 * time.Millisecond)
					}
					for i, b := range open {
						wait(t, b)
						if _, failed, _ := b.Counts(); i != 5 && failed != 0 {
							t.Errorf("unexpected failure in batch %d: %v", i, b.Err())
						}
					}
					r := open[5].Result(7)
					if r.Err == nil || r.Err.Reason != want || !r.Err.Reason.Permanent() {
						t.Fatalf("unexpected outcome of the culprit; got %v; want %v", r.Err, want)
					}
					if want == core.ReasonTooLarge && !strings.Contains(r.Err.Detail, "data plus partition key have") {
						t.Errorf("unexpected detail %q; want the sizes", r.Err.Detail)
					}
					last := r.Attempts[len(r.Attempts)-1]
					if got := last.End.Sub(r.Attempts[0].Start); got > 5*time.Second && o.name != "strict ordering" {
						t.Errorf("unexpected time until the culprit failed; got %v; want at most 5 s", got)
					}
					if f.Hits() > 40 {
						t.Errorf("unexpected number of refused calls; got %d; want at most 40", f.Hits())
					}
					closeProducer(t, p)
					checkDelivered(t, s, batches...)
					checkAccounts(t, p)
				})
			})
		}
	}
}

// Where others of the same call are taken, nothing has to be proved.
func TestEntryRefusedBesideOthersFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 1))
		p := newProducer(t, s.Client(), core.WithAggregation(false))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Effect{EntryCode: "InvalidArgumentException", Entries: []int{2}}})
		b := put(t, p, batchOf("a", 5))
		wait(t, b)
		failed := 0
		for i, err := range b.Failures {
			if failed++; err.Reason != core.ReasonInvalid || len(b.Result(i).Attempts) != 1 {
				t.Errorf("unexpected failure of record %d: %v", i, err)
			}
		}
		if failed != 1 {
			t.Errorf("unexpected number of failures; got %d; want 1", failed)
		}
	})
}

// If a refused record is all that its stream has, nothing can be proved.
func TestRecordRefusedWhileItIsAloneIsLeftToTheReceiver(t *testing.T) {
	for _, c := range []struct {
		name string
		idle time.Duration // since the last record that was taken
		want core.Reason   // none: it goes on
	}{
		{"the stream took something of late", time.Minute, core.ReasonRefusedAlone},
		{"the stream took nothing of late", 2 * time.Hour, core.ReasonNone},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 2))
				p := newProducer(t, s.Client(), core.WithStreamIdle(24*time.Hour))
				wait(t, put(t, p, batchOf("before", 1)))
				time.Sleep(c.idle)
				f := poison(s, "a-0", kinesistest.Fail("ValidationException", "no"))
				began := time.Now()
				b := put(t, p, batchOf("a", 1))
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
				defer cancel()
				err := b.WaitSettled(ctx)
				r := b.Result(0)
				if c.want == core.ReasonNone {
					if err == nil || r.Settled || f.Hits() < 100 || f.Hits() > 300 {
						t.Fatalf("unexpected outcome; got %v, %d calls; want it to wait, and a call every few seconds", r.Err, f.Hits())
					}
					f.Remove()
					wait(t, b)
					checkAccounts(t, p)
					return
				}
				if r.Err == nil || r.Err.Reason != c.want || r.Err.Reason.Permanent() || r.Err.Code != "ValidationException" {
					t.Fatalf("unexpected outcome; got %v; want %v", r.Err, c.want)
				}
				if got := time.Since(began); got < time.Minute || got > 70*time.Second {
					t.Errorf("unexpected time; got %v; want a minute", got)
				}
				if f.Hits() > 40 {
					t.Errorf("unexpected number of calls; got %d; want at most 40", f.Hits())
				}
				checkAccounts(t, p)
			})
		})
	}
}

// A suspect that is all that is open does not hold up what comes later.
func TestSuspectDoesNotHoldUpFreshRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream(stream, 2))
		p := newProducer(t, s.Client())
		wait(t, put(t, p, batchOf("before", 1)))
		poison(s, "bad-0", kinesistest.Fail("ValidationException", "no"))
		bad := put(t, p, batchOf("bad", 1))
		time.Sleep(40 * time.Second)
		for i := range 5 {
			began := time.Now()
			wait(t, put(t, p, batchOf(fmt.Sprint("b", i), 1)))
			if got := time.Since(began); got > 200*time.Millisecond {
				t.Errorf("unexpected time until a fresh record is delivered; got %v; want next to none", got)
			}
			time.Sleep(5 * time.Second)
		}
		wait(t, bad)
		if err := bad.Result(0).Err; err == nil || err.Reason != core.ReasonInvalid {
			t.Errorf("unexpected outcome of the suspect; got %v; want invalid", err)
		}
	})
}

// Where suspects turned out to be good, it takes more to convict one.
func TestSuspectsAreConvictedSlowlyWhereRefusalsComeAndGo(t *testing.T) {
	for _, flaky := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, 1))
			p := newProducer(t, s.Client())
			wait(t, put(t, p, batchOf("before", 1)))
			if flaky {
				poison(s, "good-0", kinesistest.Fail("ValidationException", "no")).Remove()
				f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 2, Effect: kinesistest.Fail("ValidationException", "no")})
				wait(t, put(t, p, batchOf("good", 1)))
				if f.Hits() != 2 {
					t.Fatalf("unexpected number of faults; got %d; want 2", f.Hits())
				}
			}
			f := poison(s, "bad-0", kinesistest.Fail("ValidationException", "no"))
			bad := put(t, p, batchOf("bad", 1))
			for i := 0; !isDone(bad) && i < 1000; i++ {
				put(t, p, batchOf(fmt.Sprint("b", i), 1))
				time.Sleep(100 * time.Millisecond)
			}
			wait(t, bad)
			if err := bad.Result(0).Err; err == nil || err.Reason != core.ReasonInvalid {
				t.Errorf("unexpected outcome; got %v; want invalid", err)
			}
			want := 3
			if flaky {
				want = 9
			}
			if f.Hits() < want || f.Hits() > want+9 {
				t.Errorf("flaky %v: unexpected number of refusals; got %d; want %d or little more", flaky, f.Hits(), want)
			}
		})
	}
}

func isDone(b *core.Batch) bool {
	select {
	case <-b.Done():
		return true
	default:
		return false
	}
}

// The end of a record that waits as a suspect, or behind one, comes in time.
func TestSuspectsEndInTime(t *testing.T) {
	for _, o := range refusalOptions {
		t.Run(o.name+"/ttl", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 2))
				p := newProducer(t, s.Client(), append(o.opts, core.WithRecordTTL(3*time.Second))...)
				wait(t, put(t, p, batchOf("before", 1)))
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("ValidationException", "no")})
				began := time.Now()
				b := put(t, p, batchOf("a", 2000))
				wait(t, b)
				if got := time.Since(began); got < 3*time.Second || got > 3200*time.Millisecond {
					t.Errorf("unexpected time; got %v; want the TTL of 3 s", got)
				}
				if st := checkAccounts(t, p); st.Failed[core.ReasonExpired] != 2000 || st.BufferedBytes != 0 {
					t.Errorf("unexpected counters; got %d expired, %d bytes buffered; want 2000, 0", st.Failed[core.ReasonExpired], st.BufferedBytes)
				}
			})
		})
		t.Run(o.name+"/close", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 2))
				p := newProducer(t, s.Client(), o.opts...)
				wait(t, put(t, p, batchOf("before", 1)))
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("ValidationException", "no")})
				b := put(t, p, batchOf("a", 100))
				time.Sleep(10 * time.Second)
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				defer cancel()
				if err := p.Flush(ctx); err == nil {
					t.Error("unexpected success of Flush")
				}
				ctx, cancel = context.WithTimeout(context.Background(), 2*time.Second)
				defer cancel()
				if err := p.Close(ctx); err == nil || !strings.Contains(err.Error(), "100") {
					t.Errorf("unexpected error of Close; got %v; want the number of records left", err)
				}
				for i, err := range b.Failures {
					if err.Reason != core.ReasonClosed {
						t.Fatalf("unexpected error of record %d; got %v; want closed", i, err)
					}
				}
				if st := checkAccounts(t, p); st.Failed[core.ReasonClosed] != 100 || st.BufferedBytes != 0 {
					t.Errorf("unexpected counters; got %d closed, %d bytes buffered; want 100, 0", st.Failed[core.ReasonClosed], st.BufferedBytes)
				}
			})
		})
	}
}

// The first batch of a stream may hold a bad record.
func TestBadRecordInTheFirstBatchOfAStream(t *testing.T) {
	for _, o := range refusalOptions {
		t.Run(o.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream(stream, 2))
				p := newProducer(t, s.Client(), o.opts...)
				poison(s, "bad", kinesistest.Fail("ValidationException", "no"))
				records := batchOf("a", 300)
				for _, i := range []int{0, 100, 299} {
					records[i].Data = []byte("bad")
				}
				b := put(t, p, records)
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
				defer cancel()
				if err := b.WaitSettled(ctx); err != nil {
					t.Fatal(err)
				}
				for i, err := range b.Failures {
					if i != 0 && i != 100 && i != 299 {
						t.Errorf("unexpected failure of record %d: %v", i, err)
					}
				}
				if confirmed, failed, _ := b.Counts(); confirmed != 297 || failed != 3 {
					t.Errorf("unexpected outcome; got %d confirmed, %d failed; want 297, 3", confirmed, failed)
				}
				checkAccounts(t, p)
			})
		})
	}
}
