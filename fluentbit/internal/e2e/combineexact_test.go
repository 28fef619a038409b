// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/combined"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// combineOutput is an output whose user records have three events, and whose Kinesis records
// have few of them, so that many Kinesis records are there to fail.
func combineOutput(url, key string, workers int, more ...string) []string {
	return output(url, "wide", workers, append([]string{
		"combine: lines", "combine_count: 3", "compression: zstd", "aggregation_max_size: 2000", "partition_key: " + key,
	}, more...)...)
}

// combineInput is an input that gives large chunks.
func combineInput(path string, more ...string) []string {
	return tail(path, append([]string{"buffer_chunk_size: 512k", "buffer_max_size: 2M"}, more...)...)
}

// lostReplies breaks the connection behind some calls that are stored, and remembers which
// events they carried.
type lostReplies struct {
	mu     sync.Mutex
	left   int
	rng    *rand.Rand
	events map[int]int // how often each was in a call without an answer
	calls  int
	err    error
}

func (l *lostReplies) decide(c *kinesistest.Call) *kinesistest.Effect {
	in, ok := c.Input.(*kinesis.PutRecordsInput)
	if !ok {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left == 0 || l.rng.Float64() > 0.3 {
		return nil
	}
	l.left--
	l.calls++
	d := combined.Decoder{Compression: combined.Zstd, Form: combined.Lines}
	for _, entry := range in.Records {
		users, _ := aggregation.Deaggregate(*entry.PartitionKey, "", entry.Data)
		for _, u := range users {
			record, err := d.Decode(u.Data)
			if err != nil {
				l.err = err
			}
			for _, e := range record.Events {
				var v struct{ Seq int }
				if err := json.Unmarshal(e, &v); err != nil {
					l.err = err
				}
				l.events[v.Seq]++
			}
		}
	}
	e := kinesistest.LoseReply()
	return &e
}

// count is how many events were stored without an answer, and in how many calls.
func (l *lostReplies) count() (events, calls int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.events {
		events += n
	}
	return events, l.calls, l.err
}

// Whatever goes wrong, no event of a combined record is lost, and none is doubled but those
// of a request that was stored and whose answer did not come.
func TestCombineIsExact(t *testing.T) {
	const n = 20_000
	shares := func(share float64) func(*kinesistest.Server) {
		return func(srv *kinesistest.Server) {
			for i, code := range []string{"ProvisionedThroughputExceededException", "InternalFailure"} {
				srv.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.5, Seed: uint64(i), Effect: kinesistest.Effect{EntryCode: code, EntryShare: share * 2}})
			}
		}
	}
	for _, tt := range []struct {
		name   string
		faults func(*kinesistest.Server)
		replay bool // flushes end with RETRY
		lost   int  // replies
	}{
		{"2 % throttled and 2 % internal failures", shares(0.02), false, 0},
		{"the same and retries", shares(0.02), true, 0},
		{"the same with retries and 5 lost replies", shares(0.02), true, 5},
	} {
		for _, key := range []string{"", "path"} {
			t.Run(tt.name+"/"+map[string]string{"": "no key", "path": "100 keys"}[key], func(t *testing.T) {
				t.Parallel()
				srv := newServer(t, kinesistest.WithStream("wide", 16))
				lost := &lostReplies{left: tt.lost, rng: rand.New(rand.NewPCG(7, 7)), events: map[int]int{}}
				r := row{confirmed: -1}
				table.add(t, &r)
				var more []string
				var refuse *kinesistest.FaultHandle
				if tt.replay {
					// Some calls pass, so that a part of the events is stored before flushes end. Of
					// several faults the first one strikes.
					more = []string{"flush_timeout: 1s", "collection_max_count: 20"}
					refuse = srv.Fault(kinesistest.Fault{Operation: "PutRecords", Skip: 4, Effect: kinesistest.Status(500)})
				}
				srv.Intercept(lost.decide)
				tt.faults(srv)
				h := newHost(t, settings{
					inputs:  [][]string{combineInput(newLogFile(t, n))},
					outputs: [][]string{combineOutput(srv.URL(), key, 4, more...)},
				})
				h.start()
				if tt.replay {
					h.waitLog("will be retried", 1)
					part := readCombined(t, srv, "lines", n).distinct
					refuse.Remove()
					if part == 0 || part == n {
						t.Errorf("unexpected number of events that were stored before the retries; got %d; want a part of %d", part, n)
					}
				}
				if !h.eventually(maxWait, func() bool {
					return h.metric("kpl_events_total", "") == n && readCombined(t, srv, "lines", n).distinct >= n
				}) {
					t.Errorf("unexpected run; got %d events in, %d of %d read; log:\n%s", h.metric("kpl_events_total", ""), readCombined(t, srv, "lines", n).distinct, n, h.tail())
				}
				h.stop()
				a := readCombined(t, srv, "lines", n)
				unanswered, calls, err := lost.count()
				if err != nil {
					t.Fatal(err)
				}
				r.in, r.read, r.lost, r.doubled = n, a.read, n-a.distinct, a.doubled
				r.note = fmt.Sprintf("%d events in %d lost replies, %d Kinesis records", unanswered, calls, a.KinesisRecords)
				if a.distinct != n || a.foreign+len(a.Dropped) != 0 || a.doubled > unanswered || calls != tt.lost {
					t.Errorf("unexpected delivery; got %d different events of %d, %d doubled after %d lost replies with %d, %d foreign, %d that KCL drops; want all, and at most those of lost replies doubled",
						a.distinct, n, a.doubled, calls, unanswered, a.foreign, len(a.Dropped))
				}
			})
		}
	}
}

// With storage on disk a restart of the host loses nothing. What was refused before it is
// there once; the same is true of what was delivered.
func TestCombineOverARestart(t *testing.T) {
	const n = 12_000
	for _, key := range []string{"", "path"} {
		t.Run(map[string]string{"": "no key", "path": "100 keys"}[key], func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, kinesistest.WithStream("wide", 16))
			r := row{confirmed: -1}
			table.add(t, &r)
			f := newFeeder(t)
			h := newHost(t, settings{
				grace: 4, service: []string{"storage.path: " + t.TempDir()},
				inputs:  [][]string{combineInput(f.path, "storage.type: filesystem", "db: "+filepath.Join(t.TempDir(), "tail.db"))},
				outputs: [][]string{combineOutput(srv.URL(), key, 2, "flush_timeout: 1s")},
			})
			for life := range 3 {
				f.add(t, n/6)
				h.start()
				h.until("delivery of the first half", func() bool {
					return h.metric("kpl_events_total", "") > 0 && readCombined(t, srv, "lines", f.n).distinct >= f.n
				})
				if life == 2 {
					break
				}
				down := srv.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Status(500)})
				f.add(t, n/6)
				h.until("a refused call", func() bool { return down.Hits() > 0 })
				h.waitLog("will be retried", life+1)
				h.stop()
				down.Remove()
			}
			h.stop()
			a := readCombined(t, srv, "lines", f.n)
			r.in, r.read, r.lost, r.doubled, r.note = f.n, a.read, f.n-a.distinct, a.doubled, "2 restarts with refused chunks"
			if a.distinct != f.n || a.doubled+a.foreign+len(a.Dropped) != 0 {
				t.Errorf("unexpected delivery; got %d different events of %d, %d doubled, %d foreign, %d that KCL drops; want each once",
					a.distinct, f.n, a.doubled, a.foreign, len(a.Dropped))
			}
		})
	}
}

// After SIGKILL nothing is lost, and copies of an event are of different lives of the host.
func TestCombineKill(t *testing.T) {
	const kills, each = 6, 3000
	r := row{confirmed: -1}
	table.add(t, &r)
	srv := newServer(t, kinesistest.WithStream("wide", 16))
	srv.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.5, Seed: 4, Effect: kinesistest.Delay(300 * time.Millisecond)})
	srv.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{DelayReply: 300 * time.Millisecond}})
	f := newFeeder(t)
	h := newHost(t, settings{
		service: []string{"storage.path: " + t.TempDir()},
		inputs:  [][]string{combineInput(f.path, "storage.type: filesystem", "db: "+filepath.Join(t.TempDir(), "tail.db"), "db.sync: normal")},
		outputs: [][]string{combineOutput(srv.URL(), "path", 2)},
	})
	rng := rand.New(rand.NewPCG(5, 18))
	var ends []time.Time // of the lives
	for range kills {
		f.add(t, each/2)
		h.start()
		moment := time.NewTimer(time.Duration(300+rng.IntN(1200)) * time.Millisecond)
		f.add(t, each/2)
		select {
		case <-moment.C:
		case <-h.ended:
			t.Fatalf("unexpected end of the host; log:\n%s", h.tail())
		}
		h.signal(os.Kill)
		h.wait()
		// What the server has read of the connection may still be stored.
		h.eventually(maxWait, func() bool { return srv.Stats().InFlight == 0 })
		ends = append(ends, time.Now())
	}
	h.start()
	if !h.eventually(maxWait, func() bool { return readCombined(t, srv, "lines", f.n).distinct >= f.n }) {
		t.Error("unexpected delivery; events are missing after the last start")
	}
	h.stop()
	a := readCombined(t, srv, "lines", f.n)
	life := func(at time.Time) (n int) {
		for n < len(ends) && at.After(ends[n]) {
			n++
		}
		return n
	}
	copies := map[[2]int]int{} // by event and life
	within := 0
	d := combined.Decoder{Compression: combined.Zstd, Form: combined.Lines}
	for _, u := range a.Records {
		record, err := d.Decode(u.Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range record.Events {
			var v struct{ Seq int }
			if err := json.Unmarshal(e, &v); err != nil {
				t.Fatal(err)
			}
			k := [2]int{v.Seq, life(u.ArrivalTime)}
			if copies[k]++; copies[k] > 1 {
				within++
			}
		}
	}
	r.in, r.read, r.lost, r.doubled = f.n, a.read, f.n-a.distinct, a.doubled
	r.note = fmt.Sprintf("%d kills; %d doubled within one life", kills, within)
	if a.distinct != f.n || a.foreign+within+len(a.Dropped) != 0 {
		t.Errorf("unexpected delivery; got %d different events of %d, %d doubled within one life, %d foreign, %d that KCL drops; want all, and none",
			a.distinct, f.n, within, a.foreign, len(a.Dropped))
	}
}

// On a stream with record distribution AUTO a combined record is a Kinesis record, of up to
// 1 MiB. E2E_AUTO is the number of events.
func TestCombineOnAnAutoStream(t *testing.T) {
	n := 20_000
	if v := os.Getenv("E2E_AUTO"); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil {
			t.Fatal(err)
		}
	}
	for _, compression := range []string{"zstd", "none"} {
		t.Run(compression, func(t *testing.T) {
			srv := newServer(t)
			if err := srv.CreateStream("wide", kinesistest.StreamConfig{Shards: 4, OnDemand: true, Distribution: types.RecordDistributionStrategyAuto}); err != nil {
				t.Fatal(err)
			}
			runCombine(t, srv, "lines", n, "combine: lines", "compression: "+compression)
			most := 0
			for _, rec := range srv.Records("wide") {
				most = max(most, len(rec.Data)+len(rec.PartitionKey))
			}
			if got := len(srv.Records("wide")); got > max(n/1000, 20) || most > 1<<20 {
				t.Errorf("unexpected Kinesis records; got %d, the largest of %d bytes; want at most %d of at most 1 MiB", got, most, max(n/1000, 20))
			}
		})
	}
}
