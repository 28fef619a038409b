// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// answers is a settled batch in which some records failed, by their place in it.
type answers map[int]core.Reason

func (answers) Wait(context.Context) error { return nil }

func (a answers) Failures(yield func(int, *core.RecordError) bool) {
	for i := range 100 {
		if r, failed := a[i]; failed && !yield(i, &core.RecordError{Reason: r}) {
			return
		}
	}
}

func (a answers) Result(int) core.Result { return core.Result{Settled: true} }

// fullDisk keeps no letter until it has room.
type fullDisk struct{ room bool }

func (d *fullDisk) Write(_ context.Context, letters []deadletter.Letter) error {
	if d.room {
		return nil
	}
	return errors.New("no space left on device")
}

func (*fullDisk) Close(context.Context) error { return nil }

// attempts puts n records as often as there are answers and returns the
// state after each and the keys of the records that were put.
func attempts(t *testing.T, c *content, letters deadletter.Sink, each func(round, put int) answers, rounds int) (states []delivery, put [][]string, tries []*attempt) {
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
	s, err := New(cfg, producer, Deps{Letters: letters})
	if err != nil {
		t.Fatal(err)
	}
	d := newDelivery(c)
	for round := range rounds {
		var keys []string
		puts := 0
		s.putBatch = func(_ string, records []core.Record) (outcomes, error) {
			for _, r := range records {
				keys = append(keys, r.PartitionKey)
			}
			puts++
			return each(round, puts-1), nil
		}
		a := s.start(d, c, &lease{})
		<-a.done
		d.take(a)
		states, put, tries = append(states, *d), append(put, keys), append(tries, a)
	}
	return states, put, tries
}

func recordsOf(n int, tooLarge string, probe int) *content {
	c := &content{dest: &destination{stream: "logs"}, route: &route{}, probe: probe, events: n}
	c.route.TooLarge = tooLarge
	for i := range n {
		c.records = append(c.records, core.Record{PartitionKey: string(rune('a' + i)), Data: []byte{byte(i)}})
	}
	return c
}

// Others of the body may be stored by then, so refusing all of it would double them.
func TestOnlyTheRecordThatGoesFirstRejectsItsBody(t *testing.T) {
	c := recordsOf(3, config.Reject, 0)
	states, put, tries := attempts(t, c, nil, func(_, put int) answers {
		if put == 0 {
			return answers{}
		}
		return answers{1: core.ReasonTooLarge} // c
	}, 1)
	if tries[0].rejected || states[0].dropped != 1 || len(states[0].missing) != 0 {
		t.Errorf("unexpected end; got rejected %v, %d dropped, missing %v; want one dropped", tries[0].rejected, states[0].dropped, states[0].missing)
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(put[0], want) {
		t.Errorf("unexpected records; got %v; want %v", put[0], want)
	}
}

func TestNothingGoesBeforeTheRecordThatMayRejectTheBody(t *testing.T) {
	c := recordsOf(3, config.Reject, 1)
	states, put, tries := attempts(t, c, nil, func(round, _ int) answers {
		if round == 0 {
			return answers{0: core.ReasonThrottled}
		}
		return answers{0: core.ReasonTooLarge}
	}, 2)
	for round, s := range states {
		if !s.all || !slices.Equal(put[round], []string{"b"}) {
			t.Errorf("unexpected state after attempt %d; got all missing %v, put %v; want all missing but the one put", round, s.all, put[round])
		}
	}
	if tries[0].rejected || !tries[1].rejected {
		t.Errorf("unexpected verdicts; got %v, %v; want the second to reject", tries[0].rejected, tries[1].rejected)
	}
}

// Numbers of missing records are looked up by binary search.
func TestNumbersOfMissingRecordsRise(t *testing.T) {
	c := recordsOf(5, config.DeadLetters, -1)
	states, put, _ := attempts(t, c, &fullDisk{}, func(round, _ int) answers {
		if round == 0 {
			return answers{0: core.ReasonTooLarge, 2: core.ReasonThrottled, 3: core.ReasonTooLarge, 4: core.ReasonThrottled}
		}
		return answers{}
	}, 2)
	if want := []int32{0, 2, 3, 4}; !slices.Equal(states[0].missing, want) {
		t.Errorf("unexpected numbers; got %v; want %v", states[0].missing, want)
	}
	if want := []string{"a", "c", "d", "e"}; !slices.Equal(put[1], want) {
		t.Errorf("unexpected records of the second attempt; got %v; want %v", put[1], want)
	}
}

func TestDeadLettersOfABodyAreWrittenOnce(t *testing.T) {
	c := recordsOf(1, config.DeadLetters, -1)
	c.letters = []deadletter.Letter{{Stream: "logs", Reason: deadletter.ReasonBroken, Data: []byte("x")}}
	m := &memory{}
	states, _, _ := attempts(t, c, m, func(round, _ int) answers {
		if round == 0 {
			return answers{0: core.ReasonThrottled}
		}
		return answers{}
	}, 2)
	if len(m.letters) != 1 || len(states[0].unwritten) > 0 || !states[1].finished() {
		t.Errorf("unexpected letters; got %d, written after the first attempt %v, finished %v; want one, written by the first", len(m.letters), len(states[0].unwritten) == 0, states[1].finished())
	}
}

func TestBodyIsNotFinishedBeforeItsDeadLettersAreWritten(t *testing.T) {
	c := recordsOf(1, config.DeadLetters, -1)
	c.letters = []deadletter.Letter{{Stream: "logs", Reason: deadletter.ReasonBroken, Data: []byte("x")}}
	disk := &fullDisk{}
	states, put, _ := attempts(t, c, disk, func(round, _ int) answers {
		disk.room = true // after the letters were refused
		return answers{}
	}, 2)
	if states[0].finished() || !states[1].finished() || len(put[1]) != 0 {
		t.Errorf("unexpected states; got finished %v, then %v with %v put; want false, then true with nothing", states[0].finished(), states[1].finished(), put[1])
	}
}
