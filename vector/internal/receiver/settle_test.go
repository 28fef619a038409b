// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// answers is a settled batch in which some records failed, by their place in it.
type answers map[int]core.Reason

func (answers) WaitSettled(context.Context) error { return nil }

func (answers) Done() <-chan struct{} { return nil }

func (a answers) Counts() (confirmed, failed, pending int) { return 0, len(a), 0 }

func (a answers) Failures(yield func(int, *core.RecordError) bool) {
	for i := range 100 {
		if r, failed := a[i]; failed && !yield(i, &core.RecordError{Reason: r}) {
			return
		}
	}
}

func (a answers) Result(int) core.Result { return core.Result{Settled: true} }

// fullDisk keeps no dead letter until it has room.
type fullDisk struct{ room bool }

func (d *fullDisk) Write(_ context.Context, deadLetters []deadletter.Entry) error {
	if d.room {
		return nil
	}
	return errors.New("no space left on device")
}

func (*fullDisk) Close(context.Context) error { return nil }

// state is what is known after one request.
type state struct {
	saved int
	delivery.Outcome
}

// attempts puts n records as often as there are answers and returns the
// state after each and the keys of the records that were put.
func attempts(t *testing.T, c *content, deadLetters deadletter.Sink, each func(round, put int) answers, rounds int) (states []state, put [][]string) {
	t.Helper()
	cfg, err := config.Load(config.Sources{Args: []string{"--route.stream=logs"}})
	if err != nil {
		t.Fatal(err)
	}
	producer, err := core.New(kinesistest.New().Client())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = producer.Close(t.Context()) }()
	s, err := New(cfg, producer, Deps{DeadLetters: deadLetters})
	if err != nil {
		t.Fatal(err)
	}
	c.s = s
	c.complete(&lease{})
	for round := range rounds {
		var keys []string
		puts := 0
		s.putBatch = func(_ context.Context, _ string, records []core.Record) (delivery.Batch, error) {
			for _, r := range records {
				keys = append(keys, r.PartitionKey)
			}
			puts++
			return each(round, puts-1), nil
		}
		d := s.resume(c)
		out := s.deliverer.Deliver(t.Context(), d, &c.Content)
		states, put = append(states, state{d.Saved(), out}), append(put, keys)
	}
	return states, put
}

func recordsOf(n int, tooLarge string, probe int) *content {
	c := &content{dest: &destination{stream: "logs", route: &route{}}, events: n}
	c.Probe, c.Bytes = probe, []byte("body")
	c.dest.route.TooLarge = tooLarge
	for i := range n {
		c.Records = append(c.Records, core.Record{PartitionKey: string(rune('a' + i)), Data: []byte{byte(i)}})
	}
	return c
}

// Others of the body may be stored by then, so refusing all of it would double them.
func TestOnlyTheRecordThatGoesFirstRejectsItsBody(t *testing.T) {
	c := recordsOf(3, config.Reject, 0)
	states, put := attempts(t, c, nil, func(_, put int) answers {
		if put == 0 {
			return answers{}
		}
		return answers{1: core.ReasonTooLarge} // c
	}, 1)
	if states[0].State != delivery.Stored || states[0].RejectedLate != 1 || states[0].saved != 3 {
		t.Errorf("unexpected end; got %+v; want one rejected late", states[0])
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(put[0], want) {
		t.Errorf("unexpected records; got %v; want %v", put[0], want)
	}
}

func TestNothingGoesBeforeTheRecordThatMayRejectTheBody(t *testing.T) {
	c := recordsOf(3, config.Reject, 1)
	states, put := attempts(t, c, nil, func(round, _ int) answers {
		if round == 0 {
			return answers{0: core.ReasonThrottled}
		}
		return answers{0: core.ReasonTooLarge}
	}, 2)
	for round, s := range states {
		if s.saved != 0 || !slices.Equal(put[round], []string{"b"}) {
			t.Errorf("unexpected state after attempt %d; got %d saved, put %v; want all missing but the one put", round, s.saved, put[round])
		}
	}
	if states[0].State != delivery.Unfinished || states[1].State != delivery.Rejected {
		t.Errorf("unexpected states; got %v, %v; want the second to reject", states[0].State, states[1].State)
	}
}

// Numbers of missing records are looked up by binary search.
func TestNumbersOfMissingRecordsRise(t *testing.T) {
	c := recordsOf(5, config.DeadLetters, delivery.NoProbe)
	states, put := attempts(t, c, &fullDisk{}, func(round, _ int) answers {
		if round == 0 {
			return answers{0: core.ReasonTooLarge, 2: core.ReasonThrottled, 3: core.ReasonTooLarge, 4: core.ReasonThrottled}
		}
		return answers{}
	}, 2)
	if states[0].saved != 1 {
		t.Errorf("unexpected number saved; got %d; want 1", states[0].saved)
	}
	if want := []string{"a", "c", "d", "e"}; !slices.Equal(put[1], want) {
		t.Errorf("unexpected records of the second attempt; got %v; want %v", put[1], want)
	}
}

func TestDeadLettersOfABodyAreWrittenOnce(t *testing.T) {
	c := recordsOf(1, config.DeadLetters, delivery.NoProbe)
	c.known = []deadletter.Entry{{Stream: "logs", Reason: deadletter.ReasonBroken, Data: []byte("x")}}
	m := &memory{}
	states, _ := attempts(t, c, m, func(round, _ int) answers {
		if round == 0 {
			return answers{0: core.ReasonThrottled}
		}
		return answers{}
	}, 2)
	if len(m.deadLetters) != 1 || states[0].DeadLetterErr != nil || states[1].State != delivery.Stored {
		t.Errorf("unexpected dead letters; got %d, then %+v, %+v; want one, written by the first", len(m.deadLetters), states[0], states[1])
	}
}

func TestBodyIsNotFinishedBeforeItsDeadLettersAreWritten(t *testing.T) {
	c := recordsOf(1, config.DeadLetters, delivery.NoProbe)
	c.known = []deadletter.Entry{{Stream: "logs", Reason: deadletter.ReasonBroken, Data: []byte("x")}}
	disk := &fullDisk{}
	states, put := attempts(t, c, disk, func(round, _ int) answers {
		disk.room = true // after the dead letters were refused
		return answers{}
	}, 2)
	if states[0].State != delivery.Unfinished || states[1].State != delivery.Stored || len(put[1]) != 0 {
		t.Errorf("unexpected states; got %+v, then %+v with %v put; want unfinished, then stored with nothing", states[0], states[1], put[1])
	}
}
