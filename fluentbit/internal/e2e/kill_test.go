// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// TestKill ends the host with SIGKILL at random moments. With filesystem storage
// nothing may be lost, and an event may be doubled only if its copies come from
// different lives of the process.
func TestKill(t *testing.T) {
	const kills, each = 20, 600
	for _, workers := range []int{0, 2} {
		t.Run(fmt.Sprintf("%d times/workers %d", kills, workers), func(t *testing.T) {
			t.Parallel()
			r := row{confirmed: -1}
			table.add(t, &r)
			srv := newServer(t)
			// Some kills come before a request is stored, some before its reply.
			srv.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.5, Seed: 4, Effect: kinesistest.Delay(600 * time.Millisecond)})
			srv.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{DelayReply: 600 * time.Millisecond}})
			f := newFeeder(t)
			h := newHost(t, settings{
				service: []string{"storage.path: " + t.TempDir()},
				inputs:  [][]string{tail(f.path, "storage.type: filesystem", "db: "+filepath.Join(t.TempDir(), "tail.db"), "db.sync: normal")},
				outputs: [][]string{output(srv.URL(), "logs", workers)},
			})
			rng := rand.New(rand.NewPCG(5, uint64(workers)))
			var ends []time.Time // of the lives
			underway := 0        // kills while a request was at the server
			for range kills {
				f.add(t, each/2)
				h.start()
				moment := time.NewTimer(time.Duration(50+rng.IntN(1950)) * time.Millisecond)
				f.add(t, each/2)
				select {
				case <-moment.C:
				case <-h.ended:
					t.Fatalf("unexpected end of the host; log:\n%s", h.tail())
				}
				if srv.Stats().InFlight > 0 {
					underway++
				}
				h.signal(os.Kill)
				h.wait()
				// What the server has read of the connection may still be stored.
				h.eventually(maxWait, func() bool { return srv.Stats().InFlight == 0 })
				ends = append(ends, time.Now())
			}
			h.start()
			if !h.eventually(maxWait, func() bool { return consume(srv, "logs", f.n, nil).distinct >= f.n }) {
				t.Error("unexpected delivery; events are missing after the last start")
			}
			h.stop()
			a := check(t, &r, srv, "logs", f.n, f.n*kills)
			life := func(at time.Time) (n int) {
				for n < len(ends) && at.After(ends[n]) {
					n++
				}
				return n
			}
			copies := map[int][]int{}
			within := 0
			for _, u := range a.Records {
				var v struct{ Seq int }
				if err := json.Unmarshal(u.Data, &v); err != nil {
					t.Fatal(err)
				}
				l := life(u.ArrivalTime)
				for _, before := range copies[v.Seq] {
					if before == l {
						within++
						break
					}
				}
				copies[v.Seq] = append(copies[v.Seq], l)
			}
			r.note = fmt.Sprintf("%d kills, %d with a request under way; %d doubled within one life", kills, underway, within)
			if underway == 0 {
				t.Error("no kill came while a request was under way; the test has shown nothing")
			}
			if within > 0 {
				t.Errorf("unexpected duplicates; got %d within one life of the process; want none", within)
			}
		})
	}
}
