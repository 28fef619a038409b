// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/testkit"
)

func TestFaults(t *testing.T) {
	const n = 10_000
	// run delivers n events while faults strike, and allows as many doubled ones as
	// allowed returns.
	run := func(t *testing.T, srv *kinesistest.Server, during func(h *host), allowed func() int, more ...string) (*row, account) {
		t.Helper()
		r := &row{}
		table.add(t, r)
		h := newHost(t, settings{inputs: [][]string{tail(newLogFile(t, n))}, outputs: [][]string{output(srv.URL(), "logs", 2, more...)}})
		h.start()
		if during != nil {
			during(h)
		}
		h.delivered(srv, "logs", n)
		h.confirmed(r, n)
		h.stop()
		return r, check(t, r, srv, "logs", n, allowed())
	}
	none := func() int { return 0 }
	t.Run("limits of one shard", func(t *testing.T) {
		t.Parallel()
		srv := kinesistest.New(kinesistest.WithStream("logs", 1), kinesistest.WithLimits(kinesistest.Limits{RecordsPerSecond: 1000, BytesPerSecond: 400_000}))
		if err := srv.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = srv.Close() })
		r, _ := run(t, srv, nil, none)
		r.note += fmt.Sprintf(", %d throttled", srv.Stats().Throttled)
	})
	t.Run("throttled entries", func(t *testing.T) {
		t.Parallel()
		srv := newServer(t)
		f := srv.Fault(kinesistest.Fault{
			Operation: "PutRecords", Probability: 0.5, Seed: 1,
			Effect: kinesistest.Effect{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.3},
		})
		r, _ := run(t, srv, nil, none, "aggregation_max_size: 5000")
		r.note += fmt.Sprintf(", %d entries refused", f.Entries())
	})
	t.Run("internal failures of entries", func(t *testing.T) {
		t.Parallel()
		srv := newServer(t)
		f := srv.Fault(kinesistest.Fault{
			Operation: "PutRecords", Times: 20, Seed: 2,
			Effect: kinesistest.Effect{EntryCode: "InternalFailure", EntryShare: 0.3},
		})
		r, _ := run(t, srv, nil, none, "aggregation_max_size: 5000")
		r.note += fmt.Sprintf(", %d entries refused", f.Entries())
	})
	t.Run("lost replies", func(t *testing.T) {
		t.Parallel()
		srv := newServer(t)
		f := srv.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.3, Seed: 3, Times: 5, Effect: kinesistest.LoseReply()})
		// A lost reply doubles what was in its request, and nothing else: the server
		// counts what it stored, so that no more can be there.
		r, a := run(t, srv, nil, func() int { return n }, "collection_max_count: 4", "aggregation_max_size: 25600")
		if f.Hits() == 0 || a.doubled > f.Hits()*4*25600/90 {
			t.Errorf("unexpected duplicates; got %d after %d lost replies of at most 4 records of 25,600 bytes", a.doubled, f.Hits())
		}
		r.note += fmt.Sprintf(", %d replies lost", f.Hits())
	})
	t.Run("endpoint down then up", func(t *testing.T) {
		t.Parallel()
		address := testkit.FreeAddress(t)
		srv := kinesistest.New(kinesistest.WithStream("logs", 4))
		t.Cleanup(func() { _ = srv.Close() })
		r := row{}
		table.add(t, &r)
		h := newHost(t, settings{inputs: [][]string{tail(newLogFile(t, n))}, outputs: [][]string{output("http://"+address, "logs", 2, "flush_timeout: 1s")}})
		h.start()
		h.waitLog("will be retried", 1)
		if err := srv.StartAt(address); err != nil {
			t.Fatal(err)
		}
		h.delivered(srv, "logs", n)
		h.confirmed(&r, n)
		h.stop()
		check(t, &r, srv, "logs", n, 0)
	})
	t.Run("shards that live for moments", func(t *testing.T) {
		t.Parallel()
		srv := newServer(t)
		// Long enough that calls are under way at each change.
		calls := srv.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 50 * time.Millisecond, DelayReply: 50 * time.Millisecond}})
		r := row{}
		table.add(t, &r)
		f := newFeeder(t)
		h := newHost(t, settings{inputs: [][]string{tail(f.path)}, outputs: [][]string{output(srv.URL(), "logs", 2, "partition_key: seq")}})
		f.add(t, 500)
		h.start()
		const rounds = 20
		split := func(i int) error { return srv.SplitEven("logs", srv.OpenShards("logs")[i].ID) }
		for i := range rounds {
			before := calls.Hits()
			f.add(t, 1000)
			h.until("a call", func() bool { return calls.Hits() > before && srv.Stats().InFlight > 0 })
			// The rounds follow each other faster than the plugin lists the shards, so that
			// some shards take records and are closed again before it knows them.
			var err error
			switch i % 4 {
			case 0:
				err = errors.Join(split(1), split(1), split(2))
			case 1:
				open := srv.OpenShards("logs")
				err = errors.Join(srv.Merge("logs", open[0].ID, open[1].ID), split(0))
			case 2:
				err = errors.Join(srv.UpdateShardCount("logs", 3+i%5), srv.UpdateShardCount("logs", 4+i%3))
			case 3:
				err = errors.Join(split(0), srv.UpdateShardCount("logs", 2+i%7))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		h.confirmed(&r, f.n)
		resent, uncertain := h.metric("kpl_wrong_shard_total", ""), h.metric("kpl_uncertain_total", "")
		h.stop()
		a := consume(srv, "logs", f.n, nil)
		r.in, r.read, r.lost, r.doubled = f.n, a.read, f.n-a.distinct, a.doubled
		r.note = fmt.Sprintf("%d times two or three reshards; %d resent, %d copies dropped by the KCL", rounds, resent, len(a.Dropped))
		if r.lost != 0 || a.foreign != 0 || a.doubled != 0 || uncertain > 0 || len(a.Dropped) == 0 {
			t.Errorf("unexpected delivery; got %d lost, %d doubled, %d foreign, %d uncertain, %d copies dropped; want some copies dropped and nothing else",
				r.lost, a.doubled, a.foreign, uncertain, len(a.Dropped))
		}
	})
	t.Run("log_file has the lines of background work", func(t *testing.T) {
		t.Parallel()
		srv := newServer(t)
		srv.Fault(kinesistest.Fault{Operation: "DescribeStreamSummary", Effect: kinesistest.Fail("AccessDeniedException", "not authorized to perform: kinesis:DescribeStreamSummary")})
		path := t.TempDir() + "/log"
		h := newHost(t, settings{service: []string{"log_file: " + path}, inputs: [][]string{tail(newLogFile(t, 100))}, outputs: [][]string{output(srv.URL(), "logs", 2)}})
		h.start()
		h.delivered(srv, "logs", 100)
		h.stop()
		if log := readFile(t, path); !strings.Contains(log, "[output:kpl] started") || !strings.Contains(log, "kinesis:DescribeStreamSummary") {
			t.Errorf("unexpected log file; want the start and the missing permission in:\n%.3000s\nstderr:\n%s", log, h.tail())
		}
	})
	t.Run("the level of the output counts", func(t *testing.T) {
		t.Parallel()
		srv := newServer(t)
		h := newHost(t, settings{inputs: [][]string{tail(newLogFile(t, 100))}, outputs: [][]string{output(srv.URL(), "logs", 2, "log_level: error")}})
		h.start()
		h.delivered(srv, "logs", 100)
		h.stop()
		if strings.Contains(h.logged(), "[output:kpl]") {
			t.Errorf("unexpected log; want no line of the plugin below error:\n%s", h.tail())
		}
	})
}
