// SPDX-License-Identifier: Apache-2.0

package hosttest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/internal/emulators/kcltest"
)

// The KCL's own class delivers each event once, whatever happens to the shards while
// aggregates are under way. The same in a real Fluent Bit is in fluentbit/internal/e2e.
func TestReshardingReadByTheKCL(t *testing.T) {
	const events = 20_000
	path := filepath.Join(t.TempDir(), "app.log")
	var b strings.Builder
	for i := range events {
		fmt.Fprintf(&b, "{\"seq\":%d,\"msg\":\"request done\",\"took_ms\":%d}\n", i, i%977)
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, sc := range kcltest.Scenarios(time.Second) {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			st := sc.Start(t)
			h := start(t, to(st.Server, kcltest.Stream, path, "--chunk-bytes", "5000", "--workers", "4", "-p", "partition_key=seq")...)
			ended := make(chan struct{})
			go func() {
				h.lines.Wait() // until the host closes its log
				close(ended)
			}()
			st.Play(t, events, ended)
			r := h.wait()
			wantDone(t, r, events)
			o := st.Outcome(t, events, func(data []byte) int {
				var v struct{ Seq *int }
				if err := json.Unmarshal(data, &v); err != nil || v.Seq == nil {
					return -1
				}
				return *v.Seq
			})
			t.Logf("%v; %.1f s", o, r.Seconds)
			o.Check(t, sc)
		})
	}
}
