// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// largeEvent is above 1 MiB, which a stream takes unless it was told otherwise.
func largeEvent(n, size int) string {
	return strings.Replace(eventText(n), "{", `{"x":"`+strings.Repeat("x", size)+`",`, 1)
}

func poisonRig(t *testing.T, deadLetters deadletter.Sink, limit int, flags ...string) *rig {
	r := &rig{t: t, kinesis: kinesistest.New(), deadLetters: deadLetters}
	if err := r.kinesis.CreateStream("logs", kinesistest.StreamConfig{MaxRecordKiB: limit >> 10}); err != nil {
		t.Fatal(err)
	}
	r.configure(flags...)
	r.start()
	return r
}

// Where there is a place for dead letters, an event is not dropped only because nobody
// said so a second time.
func TestLargeEventsGoWhereDeadLettersGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r := poisonRig(t, m, 1<<20, "--dead_letter.stream=unused")
		defer r.stop()
		r.post(t.Context(), "/", []byte(eventText(0)+"\n"+largeEvent(1, 1<<20))).want(t, 200, `{"events":2,"dead_lettered":1}`)
		if len(m.deadLetters) != 1 || m.deadLetters[0].Reason != "too_large" {
			t.Errorf("unexpected dead letters; got %d; want the large event", len(m.deadLetters))
		}
		r.account("logs", 1, 0)
	})
}

// reject answers 422 only if nothing of the body is written, also where only the stream
// knows what is too large.
func TestLargeEventsAreRejectedBeforeAnythingIsWritten(t *testing.T) {
	for _, c := range []struct {
		name   string
		limit  int
		body   string
		status int
		stored int
	}{
		{"too large for the stream", 1 << 20, eventText(0) + largeEvent(1, 1<<20) + eventText(2), 422, 0},
		{"the largest of several", 2 << 20, eventText(0) + largeEvent(1, 3<<19) + largeEvent(2, 2<<20), 422, 0},
		{"the stream takes it", 2 << 20, eventText(0) + largeEvent(1, 1<<20) + largeEvent(2, 3<<19) + eventText(3), 200, 4},
		{"alone", 2 << 20, largeEvent(0, 1<<20), 200, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := poisonRig(t, nil, c.limit, "--route.too_large=reject")
				defer r.stop()
				for range 2 {
					rp := r.post(t.Context(), "/", []byte(c.body))
					rp.want(t, c.status, "")
					if c.status == 422 && !strings.Contains(rp.body, "too_large") {
						t.Errorf("unexpected answer; got %s; want the reason", rp.body)
					}
				}
				if got := len(r.kinesis.Consume("logs").Records); got != 2*c.stored {
					t.Errorf("unexpected records; got %d; want %d", got, 2*c.stored)
				}
				if st := r.server.Stats(); st.Dropped[PoisonTooLarge] != 0 || st.Ledger.Entries != 0 {
					t.Errorf("unexpected counts; got %d dropped, %d entries; want none", st.Dropped[PoisonTooLarge], st.Ledger.Entries)
				}
			})
		})
	}
}

// The same while Kinesis fails and clients come again.
func TestLargeEventsAreRejectedAlsoWhenTheBodyComesAgain(t *testing.T) {
	for _, c := range []struct {
		name           string
		limit          int
		status, stored int
	}{{"too large", 1 << 20, 422, 0}, {"not too large", 2 << 20, 200, 3}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := poisonRig(t, nil, c.limit, "--route.too_large=reject", "--producer.fail_if_throttled=true")
				defer r.stop()
				describing := r.kinesis.Fault(kinesistest.Fault{Operation: "DescribeStreamSummary", Times: 1, Effect: kinesistest.Delay(20 * time.Second)})
				defer describing.Remove()
				r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 3, Effect: kinesistest.FailEntries("ProvisionedThroughputExceededException", "")})
				body := []byte(eventText(0) + largeEvent(1, 1<<20) + eventText(2))
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_ = r.post(ctx, "/", body) // gone before anything is known
				last := 0
				for range 10 {
					rp := r.post(t.Context(), "/", body)
					if last = rp.status; last != 503 {
						break
					}
				}
				if last != c.status {
					t.Errorf("unexpected answer; got %d; want %d", last, c.status)
				}
				got := r.stored("logs")
				if len(got) != c.stored {
					t.Errorf("unexpected records; got %d; want %d", len(got), c.stored)
				}
			})
		})
	}
}

// A dead letter that can never be kept is a loss that is counted and logged, not a body
// that is refused for ever. What else was kept is not kept twice.
func TestDeadLettersThatCannotBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r := poisonRig(t, m, 1<<20, "--dead_letter.stream=unused", "--route.partition_key=user->id", "--route.partition_key_missing=dead_letter")
		defer r.stop()
		m.fail(&deadletter.WriteError{Failed: []int{1}, Err: errors.New("busy")})
		body := []byte(largeEvent(0, 1<<20) + largeEvent(1, 1<<20) + eventText(2))
		r.post(t.Context(), "/", body).want(t, 503, "dead_letter")
		m.fail(&deadletter.WriteError{Failed: []int{0}, Hopeless: []int{0}, Err: errors.New("too large")})
		r.post(t.Context(), "/", body).want(t, 200, `{"events":3,"dropped":1,"dead_lettered":1}`)
		r.post(t.Context(), "/", []byte(`{"n":1}`)).want(t, 200, `{"events":1,"dropped":1}`) // no key
		m.fail(&deadletter.WriteError{Failed: []int{0, 1}, Hopeless: []int{1}, Err: errors.New("busy")})
		r.post(t.Context(), "/", []byte(`{"n":3}{"n":4}`)).want(t, 503, "dead_letter")
		st := r.server.Stats()
		if st.Dropped[PoisonTooLarge] != 1 || st.DeadLettered[PoisonTooLarge] != 1 || st.Dropped[PoisonKeyMissing] != 1 || st.DeadLettered[PoisonKeyMissing] != 0 {
			t.Errorf("unexpected counts; got %v dropped, %v kept; want one lost and one kept that are too large, one lost without key", st.Dropped, st.DeadLettered)
		}
		if got := r.stored("logs"); got[2] != 1 || len(got) != 1 {
			t.Errorf("unexpected records; got %v; want event 2 once", got)
		}
	})
}

// Dead letters are written some at a time, and each has an outcome of its own.
func TestManyDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1200
		m := &memory{}
		r := poisonRig(t, m, 1<<20, "--dead_letter.stream=unused", "--route.partition_key=none", "--route.partition_key_missing=dead_letter")
		defer r.stop()
		m.failOnce = &deadletter.WriteError{Failed: []int{1}, Hopeless: []int{1}, Err: errors.New("too large")}
		r.post(t.Context(), "/", ndjson(0, n)).want(t, 200, `{"events":1200,"dropped":1,"dead_lettered":1199}`)
		got := map[int]int{}
		for _, l := range m.deadLetters {
			got[numberOf(t, l.Data)]++
		}
		if m.most > 500 || len(got) != n-1 || got[1] != 0 || len(m.deadLetters) != n-1 {
			t.Errorf("unexpected dead letters; got %d in writes of up to %d, number 1 %d times; want %d without number 1, 500 at a time", len(m.deadLetters), m.most, got[1], n-1)
		}
	})
}

// A dead letter about an event that is too large for its stream is too large for another
// stream of the same limit.
func TestDeadLetterStreamWithTooLowALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1), kinesistest.WithStream("dead-letters", 1))}
		r.configure("--dead_letter.stream=dead-letters")
		r.deadLettersTo = "dead-letters"
		r.start()
		defer r.stop()
		r.post(t.Context(), "/", []byte(eventText(0)+largeEvent(1, 1<<20))).want(t, 200, `{"events":2,"dropped":1}`)
		r.account("logs", 1, 0)
	})
}

// hanging is a place for dead letters that never answers.
type hanging struct{ memory }

func (*hanging) Write(ctx context.Context, _ []deadletter.Entry) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestEndWithDeadLettersThatHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := poisonRig(t, &hanging{}, 1<<20, "--dead_letter.stream=unused", "--server.drain_timeout=10s")
		r.post(t.Context(), "/", []byte(largeEvent(0, 1<<20))).want(t, 503, "ack_timeout")
		begin := time.Now()
		_ = r.server.Shutdown(t.Context())
		if took := time.Since(begin); took > 12*time.Second {
			t.Errorf("unexpected time of Shutdown; got %v; want about 10s", took)
		}
		r.client.CloseIdleConnections()
	})
}

// As long as it is open whether the largest event can be stored, nothing else is written.
func TestNothingIsWrittenBeforeTheLargestEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := poisonRig(t, nil, 2<<20, "--route.too_large=reject", "--producer.fail_if_throttled=true")
		defer r.stop()
		h := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.FailEntries("ProvisionedThroughputExceededException", "")})
		body := []byte(eventText(0) + largeEvent(1, 1<<20) + eventText(2))
		r.post(t.Context(), "/", body).want(t, 503, "throttled")
		if got := len(r.stored("logs")); got != 0 {
			t.Errorf("unexpected records; got %d; want 0", got)
		}
		h.Remove()
		r.post(t.Context(), "/", body).want(t, 200, "")
		r.account("logs", 3, 0)
	})
}

// Dead letters that are kept are not rewritten when only records are missing.
func TestDeadLettersAreWrittenOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r := poisonRig(t, m, 1<<20, "--dead_letter.stream=unused", "--route.partition_key=user->id", "--route.partition_key_missing=dead_letter",
			"--producer.fail_if_throttled=true")
		defer r.stop()
		r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.FailEntries("ProvisionedThroughputExceededException", "")})
		body := []byte(eventText(0) + `{"n":1}`)
		r.post(t.Context(), "/", body).want(t, 503, "throttled")
		r.post(t.Context(), "/", body).want(t, 200, `{"events":2,"dead_lettered":1}`)
		if len(m.deadLetters) != 1 {
			t.Errorf("unexpected dead letters; got %d; want 1", len(m.deadLetters))
		}
		r.account("logs", 1, 0)
	})
}

// An event that is refused while nothing else is sent to its stream may be a good one. It
// is kept where dead letters go, and otherwise comes again.
func TestEventRefusedAloneIsKeptOrComesAgain(t *testing.T) {
	for _, deadLetters := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			m := &memory{}
			var sink deadletter.Sink
			flags := []string{"--route.ack_timeout=10s"}
			if deadLetters {
				sink = m
				flags = append(flags, "--dead_letter.stream=unused")
			}
			r := poisonRig(t, sink, 1<<20, flags...)
			defer r.stop()
			r.post(t.Context(), "/", []byte(eventText(0))).want(t, 200, "")
			h := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("ValidationException", "no")})
			body := []byte(eventText(1))
			got := r.post(t.Context(), "/", body)
			for range 8 {
				if got.status != 503 {
					break
				}
				got = r.post(t.Context(), "/", body)
			}
			if deadLetters {
				got.want(t, 200, `{"events":1,"dead_lettered":1}`)
				if len(m.deadLetters) != 1 || m.deadLetters[0].Reason != "refused_alone" {
					t.Errorf("unexpected dead letters; got %d; want the event that was refused", len(m.deadLetters))
				}
				return
			}
			got.want(t, 503, "")
			h.Remove()
			r.post(t.Context(), "/", body).want(t, 200, `{"events":1}`)
			r.account("logs", 2, 0)
		})
	}
}

// A bound of a proxy is not known before it has refused something. The body that shows it is
// rejected all the same, and says that the rest is stored; of later ones nothing is written.
func TestLargeEventsAreRejectedForTheSizeThatAProxyTakes(t *testing.T) {
	for _, flag := range []string{"--producer.aggregation=true", "--route.combine=lines"} {
		t.Run(flag, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := poisonRig(t, nil, 1<<20, "--route.oversize=reject", flag)
				defer r.stop()
				r.post(t.Context(), "/", []byte(eventText(9))).want(t, 200, "")
				r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Status(413), Match: func(c *kinesistest.Call) bool {
					return slices.ContainsFunc(c.Input.(*kinesis.PutRecordsInput).Records, func(e types.PutRecordsRequestEntry) bool { return len(e.Data) > 600_000 })
				}})
				body := []byte(eventText(0) + largeEvent(1, 700_000) + eventText(2))
				if rp := r.post(t.Context(), "/", body); rp.status != 422 || !strings.Contains(rp.body, "too_large") || !strings.Contains(rp.body, "the others were stored") {
					t.Errorf("unexpected first answer; got %d %s; want 422 and what became of the rest", rp.status, rp.body)
				}
				stored := len(r.kinesis.Consume("logs").Records)
				for range 2 {
					rp := r.post(t.Context(), "/", body)
					if rp.status != 422 || !strings.Contains(rp.body, "too_large") || strings.Contains(rp.body, "the others") {
						t.Errorf("unexpected answer; got %d %s; want 422", rp.status, rp.body)
					}
				}
				if got := len(r.kinesis.Consume("logs").Records); got != stored {
					t.Errorf("unexpected records; got %d more; want none of a body that is rejected", got-stored)
				}
				if st := r.server.Stats(); st.Dropped[PoisonTooLarge] != 1 {
					t.Errorf("unexpected count; got %d dropped; want that of the first body", st.Dropped[PoisonTooLarge])
				}
			})
		})
	}
}

// A limit of the stream that is lowered while the program runs is noticed.
func TestLargeEventsAreRejectedForALimitThatWasLowered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := poisonRig(t, nil, 10<<20, "--route.oversize=reject")
		defer r.stop()
		r.post(t.Context(), "/", []byte(eventText(0))).want(t, 200, "")
		if err := r.kinesis.SetMaxRecordKiB("logs", 1024); err != nil {
			t.Fatal(err)
		}
		rp := r.post(t.Context(), "/", []byte(eventText(1)+largeEvent(2, 3<<19)+eventText(3)))
		if rp.status != 422 || !strings.Contains(rp.body, "too_large") {
			t.Errorf("unexpected answer; got %d %s; want 422 and the reason", rp.status, rp.body)
		}
		r.account("logs", 1, 0)
	})
}
