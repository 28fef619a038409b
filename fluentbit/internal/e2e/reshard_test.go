// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/internal/emulators/kcltest"
)

// seq reads the number of an event.
func seq(data []byte) int {
	var v struct{ Seq *int }
	if err := json.Unmarshal(data, &v); err != nil || v.Seq == nil {
		return -1
	}
	return *v.Seq
}

// ahead is how many events the load of a stage may be ahead of the server.
const ahead = 20_000

// feed appends n events to a file while the server takes them, and sends its error when
// all are written.
func feed(path string, n int, st *kcltest.Stage, h *host) <-chan error {
	const each = 1000
	done := make(chan error, 1)
	write := func() error {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for from := 0; from < n; from += each {
			var b strings.Builder
			for i := from; i < min(n, from+each); i++ {
				b.WriteString(event(i) + "\n")
			}
			if _, err := f.WriteString(b.String()); err != nil {
				return err
			}
			for from-st.Came() > ahead {
				select {
				case <-tick.C:
				case <-h.ended:
					return errors.New("the host has ended")
				}
			}
		}
		return nil
	}
	go func() { done <- write() }()
	return done
}

// Every event that the plugin has confirmed is one that the KCL's own class delivers,
// once, whatever happens to the shards while aggregates are under way.
func TestResharding(t *testing.T) {
	const n, wrongShard, uncertain = 180_000, "kpl_wrong_shard_total", "kpl_uncertain_total"
	for _, sc := range kcltest.Scenarios(3 * time.Second) {
		for _, workers := range []int{0, 2} {
			t.Run(fmt.Sprintf("%s/workers %d", sc.Name, workers), func(t *testing.T) {
				t.Parallel()
				st := sc.Start(t)
				r := row{}
				table.add(t, &r)
				f := newFeeder(t)
				h := newHost(t, settings{
					inputs:  [][]string{tail(f.path)},
					outputs: [][]string{output(st.Server.URL(), kcltest.Stream, workers, "partition_key: seq", "aggregation_max_size: 25600")},
				})
				h.start()
				fed := feed(f.path, n, st, h)
				st.Play(t, n, h.ended)
				select {
				case err := <-fed:
					t.Errorf("unexpected load; want events to come after the last change; got its end (%v)", err)
				default:
					if err := <-fed; err != nil {
						t.Fatal(err)
					}
				}
				h.confirmed(&r, n)
				resent, unsure := h.metric(wrongShard, ""), h.metric(uncertain, "")
				h.stop()
				o := st.Outcome(t, n, seq)
				o.Check(t, sc)
				r.in, r.read, r.lost, r.doubled = n, o.Seen, o.Missing, o.Doubled
				r.note = fmt.Sprintf("by the KCL; %d resent, %d copies dropped", resent, o.Dropped)
				if o.Gone > 0 {
					r.note += fmt.Sprintf("; %d only in the deleted stream, %d in both", o.Gone, o.Both)
				}
				if sc.Misplaces && resent <= 0 || unsure > 0 && !sc.Recreates {
					t.Errorf("unexpected metrics; got %d resent, %d uncertain; want some resent (%v) and none uncertain", resent, unsure, sc.Misplaces)
				}
			})
		}
	}
}
