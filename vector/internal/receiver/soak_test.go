// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// soakMemory is limits.memory of the soak test; its heap may have soakExtra more, for
// the producer, connections, the test's own clients and what is garbage.
const (
	soakMemory = 64 << 20
	soakExtra  = 64 << 20
)

// TestSoak posts gzip bodies of NDJSON at full speed for SOAK (default 5 s), from more
// clients than there is memory for, while Kinesis now and then throttles and loses
// answers. Every event has to be counted once by the end, and the heap that is in use
// has to stay within bounds all the time. It reports the latency of acknowledgements.
func TestSoak(t *testing.T) {
	length := 5 * time.Second
	if s := os.Getenv("SOAK"); s != "" {
		var err error
		if length, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	} else if testing.Short() {
		t.Skip("not in short mode")
	}
	// What is garbage must not count, or the bound would say nothing.
	defer debug.SetGCPercent(debug.SetGCPercent(20))
	kinesis := kinesistest.New(kinesistest.WithStream("logs", 16), kinesistest.WithCountOnly())
	r := &rig{t: t, kinesis: kinesis, real: true}
	r.configure("--server.listen=127.0.0.1:0", fmt.Sprintf("--limits.memory=%d", soakMemory), "--limits.body_max_size=8MiB", "--limits.wire_max_size=8MiB",
		"--limits.events=40000", "--producer.rate_limit=1000000", "--producer.adaptive_rate=false", "--producer.buffer_size=16MiB", "--route.partition_key=user->id", "--server.connection_max_age=2s")
	r.start()
	// Errors of calls would make doubles, which the count at the end does not allow. The
	// throttles do not come from the load, so the rate must not follow them.
	defer kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.02, Seed: 1, Effect: kinesistest.ThrottleEntries()}).Remove()

	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	raw := benchBody()
	packed := gzipped(raw)
	events := uint64(bytes.Count(raw, []byte{'\n'}))
	var mu sync.Mutex // guards the two below
	var latencies []time.Duration
	var delivered uint64
	var running sync.WaitGroup
	for range 12 {
		running.Go(func() {
			for ctx.Err() == nil {
				begin := time.Now()
				for { // a client that sends again until it is told 200
					a := r.post(context.Background(), "/", packed, "Content-Type", "application/x-ndjson", "Content-Encoding", "gzip")
					if a.status == 200 {
						break
					}
					if a.err != nil || a.status != 503 {
						t.Errorf("unexpected answer; got %d %q, error %v; want 200 or 503", a.status, a.body, a.err)
						return
					}
				}
				mu.Lock()
				delivered += events
				if len(latencies) < 1<<20 {
					latencies = append(latencies, time.Since(begin))
				}
				mu.Unlock()
			}
		})
	}
	var before, now runtime.MemStats
	var peak, early, late uint64
	ticks := 0
	for t0 := time.NewTicker(100 * time.Millisecond); ctx.Err() == nil; {
		select {
		case <-t0.C:
		case <-ctx.Done():
			t0.Stop()
		}
		runtime.ReadMemStats(&now)
		if ticks++; ticks == 10 {
			before = now
		}
		peak = max(peak, now.HeapAlloc)
		if left, _ := ctx.Deadline(); time.Until(left) > length/2 {
			early = max(early, now.HeapAlloc)
		} else {
			late = max(late, now.HeapAlloc)
		}
	}
	running.Wait()
	r.stop() // requests are counted behind their answers
	slices.Sort(latencies)
	if len(latencies) == 0 {
		t.Fatal("unexpected number of bodies; got 0; want some")
	}
	st, ps := r.server.Stats(), r.producer.Stats()
	t.Logf("%s: %d bodies, %.1f MiB/s unpacked, %.0f events/s; ack p50 %s p99 %s max %s; heap peak %.0f MiB (first half %.0f, second half %.0f); %d answers of 503, %d resumed; %d GCs",
		length, len(latencies), float64(st.BodyBytes)/length.Seconds()/(1<<20), float64(delivered)/length.Seconds(),
		latencies[len(latencies)/2], latencies[len(latencies)*99/100], latencies[len(latencies)-1],
		mib(peak), mib(early), mib(late), st.Rejected[ReasonBudget]+st.Rejected[ReasonAckTimeout], st.Resumed, now.NumGC-before.NumGC)
	if peak > soakMemory+soakExtra {
		t.Errorf("unexpected heap; got %.0f MiB; want at most %d MiB", mib(peak), (soakMemory+soakExtra)>>20)
	}
	if ps.Confirmed != delivered || st.Confirmed != delivered || ps.Uncertain != 0 {
		t.Errorf("unexpected account; got %d events confirmed by Kinesis, %d told to clients; want %d", ps.Confirmed, st.Confirmed, delivered)
	}
	if st.BudgetUsed != 0 {
		t.Errorf("unexpected memory in use at the end; got %d bytes; want 0", st.BudgetUsed)
	}
}

func mib(n uint64) float64 { return float64(n) / (1 << 20) }
