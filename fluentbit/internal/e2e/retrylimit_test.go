// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// TestRetryLimitOneWithHangingCalls lets 2 % of the calls hang, half of them after their records are
// stored, in a host that gives each chunk two attempts. Read-back waits before it sends a record
// again, and must not lose more by that.
func TestRetryLimitOneWithHangingCalls(t *testing.T) {
	const rounds, each = 60, 500
	lost := [2]int{-1, -1}
	t.Run("read-back", func(t *testing.T) {
		for i, verify := range []string{"off", "on"} {
			r := row{confirmed: -1}
			t.Run(verify, func(t *testing.T) {
				t.Parallel()
				table.add(t, &r)
				srv := newServer(t)
				hang := srv.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.01, Seed: 7, Effect: kinesistest.Hang()})
				silent := srv.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.01, Seed: 9, Effect: kinesistest.Effect{HangReply: true}})
				lines := slices.DeleteFunc(output(srv.URL(), "logs", 4, "verify_uncertain: "+verify, "aggregation_max_count: 20", "collection_max_count: 2"),
					func(l string) bool { return strings.HasPrefix(l, "retry_limit:") })
				f := newFeeder(t)
				h := newHost(t, settings{patient: true, inputs: [][]string{tail(f.path)}, outputs: [][]string{append(lines, "retry_limit: 1")}})
				f.add(t, each)
				h.start()
				for range rounds - 1 {
					time.Sleep(100 * time.Millisecond)
					f.add(t, each)
				}
				// The second attempt of a chunk begins 11 s after the first one at the latest.
				last, since := 0, time.Now()
				h.eventually(maxWait, func() bool {
					if n := consume(srv, "logs", f.n, nil).distinct; n != last {
						last, since = n, time.Now()
					}
					return last == f.n || time.Since(since) > 30*time.Second
				})
				h.stop()
				a := consume(srv, "logs", f.n, nil)
				r.in, r.read, r.lost, r.doubled = f.n, a.read, f.n-a.distinct, a.doubled
				r.note = fmt.Sprintf("%d calls hang, %d of them after they are stored; the host gave up chunks: %d", hang.Hits()+silent.Hits(), silent.Hits(), strings.Count(h.logged(), "cannot be retried"))
				t.Logf("%d of %d events lost, %d doubled; %s", r.lost, r.in, r.doubled, r.note)
				if hang.Hits() == 0 || silent.Hits() == 0 {
					t.Error("no call hung; the test has shown nothing")
				}
				if verify == "on" && a.doubled > 0 {
					t.Errorf("unexpected duplicates with read-back; got %d; want none", a.doubled)
				}
				lost[i] = r.lost
			})
		}
	})
	if off, on := lost[0], lost[1]; on < 0 || on > off {
		t.Errorf("unexpected loss; got %d events with read-back, %d without; want no more with it", on, off)
	}
}
