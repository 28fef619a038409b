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
	"github.com/outkpl/outkpl/internal/journal"
)

// TestKillWithJournal ends the host with SIGKILL at random moments. With filesystem storage
// and a journal nothing may be lost, and an event may be doubled only if it was sent without
// an answer when the host was killed, and with read-back not even then, or if the host has read
// its line twice, which its time of reading shows.
func TestKillWithJournal(t *testing.T) {
	const kills, each = 20, 600
	for _, c := range []struct {
		workers int
		verify  string
	}{{0, "off"}, {8, "off"}, {0, "on"}, {8, "on"}} {
		workers := c.workers
		t.Run(fmt.Sprintf("%d times/workers %d/read-back %s", kills, workers, c.verify), func(t *testing.T) {
			t.Parallel()
			r := row{confirmed: -1}
			table.add(t, &r)
			srv := newServer(t)
			// Requests and answers take their time, so that chunks are delivered in parts.
			srv.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.3, Seed: 4, Effect: kinesistest.Delay(400 * time.Millisecond)})
			srv.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{DelayReply: 30 * time.Millisecond}})
			f := newFeeder(t)
			dir := t.TempDir()
			h := newHost(t, settings{
				service: []string{"storage.path: " + t.TempDir()},
				inputs:  [][]string{tail(f.path, "storage.type: filesystem", "db: "+filepath.Join(t.TempDir(), "tail.db"), "db.sync: normal")},
				outputs: [][]string{output(srv.URL(), "logs", workers, "alias: mine", "journal_dir: "+dir, "verify_uncertain: "+c.verify, "time_key: read", "time_key_format: '%s.%9N'",
					"aggregation_max_count: 10", "collection_max_count: 5", "max_in_flight: 2")},
			})
			rng := rand.New(rand.NewPCG(5, uint64(workers)))
			uncertain, known := 0, 0
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
				h.signal(os.Kill)
				h.wait()
				h.eventually(maxWait, func() bool { return srv.Stats().InFlight == 0 })
				n, m := uncertainIn(t, dir)
				uncertain, known = uncertain+n, known+m
			}
			h.start()
			if !h.eventually(maxWait, func() bool { return consume(srv, "logs", f.n, nil).distinct >= f.n }) {
				t.Error("unexpected delivery; events are missing after the last start")
			}
			h.stop()
			a := check(t, &r, srv, "logs", f.n, f.n*kills)
			times := map[int][]string{}
			reread, ours := 0, 0
			for _, u := range a.Records {
				var v struct {
					Seq  int
					Read string
				}
				if err := json.Unmarshal(u.Data, &v); err != nil {
					t.Fatal(err)
				}
				for i, before := range times[v.Seq] {
					if before == v.Read {
						ours++
						break
					} else if i == 0 {
						reread++
					}
				}
				times[v.Seq] = append(times[v.Seq], v.Read)
			}
			r.note = fmt.Sprintf("%d kills, %d contents known afterwards, %d records uncertain; doubled: %d of these, %d that the host has read twice", kills, known, uncertain, ours, reread)
			if known == 0 {
				t.Error("no content was under way at a kill; the test has shown nothing")
			}
			if c.verify == "on" && ours > 0 {
				t.Errorf("unexpected duplicates with read-back; got %d of the same reading; want none", ours)
			}
			if ours > uncertain {
				t.Errorf("unexpected duplicates; got %d of the same reading; want at most the %d records uncertain", ours, uncertain)
			}
			t.Log(r.note)
		})
	}
}

// uncertainIn looks into the journal that a killed host has left: how many records it had sent
// without an answer, of how many contents something is known.
func uncertainIn(t *testing.T, dir string) (records, contents int) {
	t.Helper()
	j, err := journal.Open(journal.Config{Dir: dir, Name: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	for _, e := range j.Recovered() {
		contents++
		seen := map[int32]bool{}
		for _, d := range e.Uncertain() {
			for _, n := range d.Numbers {
				seen[n] = true
			}
		}
		records += len(seen)
	}
	return records, contents
}
