// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// TestReloadKeepsProgress reloads the host while one of four shards throttles, so that each
// chunk is delivered in part. A host that ensures thread safety (its default) waits for them; one
// that does not gives them to the next pipeline, from filesystem storage. Without workers, as the
// host's own defect is with them: see TestReload.
func TestReloadKeepsProgress(t *testing.T) {
	const rounds, each = 6, 2000
	for _, c := range []struct {
		name           string
		waits, journal bool
	}{
		{name: "the host waits", waits: true},
		{name: "the host waits with a journal", waits: true, journal: true},
		{name: "the host hands chunks on"},
		{name: "the host hands chunks on with a journal", journal: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := row{confirmed: -1}
			table.add(t, &r)
			srv := newServer(t)
			f := newFeeder(t)
			service := []string{"storage.path: " + t.TempDir()}
			if !c.waits {
				service = append(service, "hot_reload.ensure_thread_safety: off")
			}
			lines := []string{"flush_timeout: 700ms", "partition_key: seq", "alias: mine"}
			if c.journal {
				lines = append(lines, "journal_dir: "+t.TempDir())
			}
			h := newHost(t, settings{
				grace: 2, service: service,
				inputs:  [][]string{tail(f.path, "storage.type: filesystem", "db: "+filepath.Join(t.TempDir(), "tail.db"), "db.sync: normal")},
				outputs: [][]string{output(srv.URL(), "logs", 0, lines...)},
			})
			h.start()
			h.waitLog("] started ", 1)
			partly := 0
			for i := range rounds {
				throttle := srv.Fault(kinesistest.Fault{Operation: "PutRecords", Shard: srv.OpenShards("logs")[i%4].ID, Effect: kinesistest.ThrottleEntries()})
				before := len(srv.Records("logs"))
				f.add(t, each)
				h.until("a delivery in part", func() bool { return throttle.Hits() > 3 && len(srv.Records("logs")) > before })
				h.reload()
				if c.waits {
					h.waitLog("[reload] stop everything of the old context", i+1)
					throttle.Remove()
				}
				h.until("a new start", func() bool { return strings.Count(h.logged(), "] started ") >= i+2 })
				if n := consume(srv, "logs", f.n, nil).distinct; n < f.n {
					partly++
				}
				throttle.Remove()
				h.until("delivery after the reload", func() bool { return consume(srv, "logs", f.n, nil).distinct >= f.n })
			}
			h.stop()
			check(t, &r, srv, "logs", rounds*each, 0)
			r.note = fmt.Sprintf("%d reloads, %d of them with chunks delivered in part", rounds, partly)
			t.Log(r.note)
			if !c.waits && partly == 0 {
				t.Error("no reload came while a chunk was delivered in part; the test has shown nothing")
			}
		})
	}
}
