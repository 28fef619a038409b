// SPDX-License-Identifier: Apache-2.0

package kcltest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/emulators"
	"github.com/outkpl/outkpl/internal/emulators/emulatorstest"
)

// Stream is the name of the stream of a [Stage].
const Stream = "logs"

// Scenario is a stream whose shards change while something writes to it.
type Scenario struct {
	// Name has no commas: it becomes part of paths, and Fluent Bit takes those apart there.
	Name string
	// Shards is the number of shards at first.
	Shards int
	// Lag is how far ListShards lags behind.
	Lag time.Duration
	// Misplaces tells whether the changes leave aggregates in shards that do not hold
	// all of their records. A merge does not.
	Misplaces bool
	// Recreates tells whether the stream is deleted and created again. Answers of the
	// deleted one may then come too late to tell anything.
	Recreates bool

	changes []change
}

// change is given the ids of the shards that a waiting call goes to.
type change func(st *Stage, busy []string) error

// Scenarios returns all that is known to happen to the shards of a stream. In those
// with a stale list, ListShards lags behind by lag.
func Scenarios(lag time.Duration) []Scenario {
	splits := []change{split, split, split, split}
	return []Scenario{
		{Name: "4 splits", Shards: 4, Misplaces: true, changes: splits},
		{Name: "4 to 8 to 16", Shards: 4, Misplaces: true, changes: []change{count(8), count(16)}},
		{Name: "4 splits and a stale list", Shards: 4, Lag: lag, Misplaces: true, changes: splits},
		{Name: "4 merges", Shards: 8, changes: []change{merge, merge, merge, merge}},
		{Name: "recreated 4 to 7", Shards: 4, Misplaces: true, Recreates: true, changes: []change{recreate(7)}},
		{Name: "recreated 4 to 3", Shards: 4, Misplaces: true, Recreates: true, changes: []change{recreate(3)}},
		{Name: "recreated 4 to 7 with a stale list", Shards: 4, Lag: lag, Misplaces: true, Recreates: true, changes: []change{recreate(7)}},
	}
}

func split(st *Stage, busy []string) error {
	open := st.Server.OpenShards(Stream)
	i := slices.IndexFunc(open, func(s kinesistest.Shard) bool { return slices.Contains(busy, s.ID) })
	return st.Server.SplitEven(Stream, open[max(0, i)].ID)
}

func merge(st *Stage, busy []string) error {
	open := st.Server.OpenShards(Stream)
	i := slices.IndexFunc(open[1:], func(s kinesistest.Shard) bool { return slices.Contains(busy, s.ID) })
	i = max(0, i)
	return st.Server.Merge(Stream, open[i].ID, open[i+1].ID)
}

func count(n int) change {
	return func(st *Stage, _ []string) error { return st.Server.UpdateShardCount(Stream, n) }
}

// deleted stands before the ids of the shards of a deleted stream.
const deleted = "deleted/"

// recreate leaves no moment without a stream. It reads the old one first: what is
// stored there is gone with it.
func recreate(n int) change {
	return func(st *Stage, _ []string) error {
		if err := st.until("an end of the calls before", func() bool { return st.idle() }); err != nil {
			return err
		}
		for _, s := range Shards(st.Server, Stream) {
			s.ID = deleted + s.ID
			st.gone = append(st.gone, s)
		}
		if err := st.Server.DeleteStream(Stream); err != nil {
			return err
		}
		return st.Server.CreateStream(Stream, kinesistest.StreamConfig{Shards: n})
	}
}

// stageLatency is how long a call takes before and after it stores, so that a load has
// calls under way most of the time.
const stageLatency = 5 * time.Millisecond

// stageTimeout is how long a stage waits for a call to come.
const stageTimeout = time.Minute

// Stage is the server of a scenario.
type Stage struct {
	Scenario
	Server *kinesistest.Server

	gone  []emulators.KCLShard // of deleted streams
	ended <-chan struct{}      // the end of what writes

	mu      sync.Mutex // guards the fields below
	put     int        // user records that came, again or not
	gate    chan struct{}
	stopped [][]string // the shards of each call that waits at the gate
}

// Start starts the server of a scenario, which is closed at the end of the test.
// It skips the test, or fails it with CI=true, where the KCL is not installed.
func (sc Scenario) Start(t testing.TB) *Stage {
	t.Helper()
	emulatorstest.RequireJVM(t)
	// The stream is as old as one that is in use: a list that lags behind shows nothing
	// older than the stream.
	age := time.Hour
	st := &Stage{Scenario: sc, Server: kinesistest.New(kinesistest.WithStream(Stream, sc.Shards), kinesistest.WithListShardsLag(sc.Lag),
		kinesistest.WithClock(func() time.Time { return time.Now().Add(-age) }))}
	age = 0
	st.Server.Intercept(st.intercept)
	if err := st.Server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Server.Close() })
	return st
}

func (st *Stage) intercept(c *kinesistest.Call) *kinesistest.Effect {
	in, ok := c.Input.(*kinesis.PutRecordsInput)
	if !ok {
		return nil
	}
	users := 0
	for _, e := range in.Records {
		recs, _ := aggregation.Deaggregate("", "", e.Data)
		users += len(recs)
	}
	e := &kinesistest.Effect{Delay: stageLatency, DelayReply: stageLatency}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.put += users
	if st.gate != nil {
		e.Delay, e.Hold = 0, st.gate
		st.stopped = append(st.stopped, c.Shards)
	}
	return e
}

// Play makes the changes, evenly over the events to come, each while a call waits
// at the server whose aggregates were made for the shards before it. It returns when
// the last is made; a closed channel tells it that nothing more will come.
func (st *Stage) Play(t testing.TB, events int, ended <-chan struct{}) {
	t.Helper()
	st.ended = ended
	for i, ch := range st.changes {
		at := events * (i + 1) / (len(st.changes) + 1)
		if err := st.change(at, ch); err != nil {
			t.Fatalf("cannot make change %d of %q: %v", i+1, st.Name, err)
		}
	}
	if st.Came() >= events {
		t.Errorf("unexpected load; got all of %d events before the last change", events)
	}
}

func (st *Stage) change(at int, ch change) error {
	if err := st.until(fmt.Sprintf("event %d", at), func() bool { return st.Came() >= at }); err != nil {
		return err
	}
	gate := make(chan struct{})
	st.mu.Lock()
	st.gate, st.stopped = gate, nil
	st.mu.Unlock()
	defer func() {
		st.mu.Lock()
		st.gate = nil
		st.mu.Unlock()
		close(gate)
	}()
	if err := st.until("a call under way", func() bool { return len(st.waiting()) > 0 }); err != nil {
		return err
	}
	return ch(st, st.waiting()[0])
}

// Came is the number of user records that have come, whether for the first time or
// again.
func (st *Stage) Came() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.put
}

func (st *Stage) waiting() [][]string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.stopped
}

// idle tells whether all calls that are under way wait at the gate. No call leaves
// it meanwhile, so that the order of the two looks is safe.
func (st *Stage) idle() bool {
	stopped := len(st.waiting())
	return st.Server.Stats().InFlight == int64(stopped)
}

func (st *Stage) until(what string, ok func() bool) error {
	tick, end := time.NewTicker(time.Millisecond), time.NewTimer(stageTimeout)
	defer tick.Stop()
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-st.ended:
			return fmt.Errorf("%s did not come before the end", what)
		case <-end.C:
			return fmt.Errorf("%s did not come within %v", what, stageTimeout)
		}
	}
	return nil
}

// Outcome is what the KCL delivers of numbered events.
type Outcome struct {
	Events int
	// Seen are different events, Missing are those never seen, and Doubled are copies
	// more than one in the stream that exists at the end.
	Seen, Missing, Doubled int
	// Foreign are records that are no event.
	Foreign int
	// Gone are events that only the deleted stream had, Both those that were in it,
	// too.
	Gone, Both int
	// Dropped are the copies that the KCL does not deliver.
	Dropped int
}

// String returns all counts.
func (o Outcome) String() string {
	return fmt.Sprintf("%d events: KCL delivers %d, misses %d, doubles %d; %d copies dropped; %d only in the deleted stream, %d in both; %d foreign",
		o.Events, o.Seen, o.Missing, o.Doubled, o.Dropped, o.Gone, o.Both, o.Foreign)
}

// Outcome has the KCL read the streams. number returns the number of an event, from 0 to
// events-1, or another number for what is no event.
func (st *Stage) Outcome(t testing.TB, events int, number func(data []byte) int) Outcome {
	t.Helper()
	o := Outcome{Events: events}
	shards := append(Shards(st.Server, Stream), st.gone...)
	users, err := emulators.DeaggregateKCL(t.Context(), shards)
	if err != nil {
		t.Fatal(err)
	}
	o.Dropped = -len(users)
	for _, s := range shards {
		for _, r := range s.Records {
			recs, _ := aggregation.Deaggregate("", "", r.Data)
			o.Dropped += len(recs)
		}
	}
	now, gone := make([]int, events), make([]int, events)
	for _, u := range users {
		copies := now
		if strings.HasPrefix(u.ShardID, deleted) {
			copies = gone
		}
		if n := number(u.Data); n >= 0 && n < events {
			copies[n]++
		} else {
			o.Foreign++
		}
	}
	for n, k := range now {
		switch {
		case k+gone[n] == 0:
			o.Missing++
		case k == 0:
			o.Gone++
		case gone[n] > 0:
			o.Both++
		}
		o.Doubled += max(0, k-1)
	}
	o.Seen = events - o.Missing
	return o
}

// Check fails the test unless the KCL delivers each event once, or if the changes had
// nothing to spoil.
func (o Outcome) Check(t testing.TB, sc Scenario) {
	t.Helper()
	if o.Missing != 0 || o.Doubled != 0 || o.Foreign != 0 {
		t.Errorf("unexpected outcome of %q; got %v; want each event once", sc.Name, o)
	}
	if sc.Misplaces && o.Dropped == 0 {
		t.Errorf("unexpected outcome of %q; got no dropped copy; want aggregates under way at the changes", sc.Name)
	}
}
