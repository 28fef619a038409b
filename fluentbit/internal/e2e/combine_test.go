// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/combined"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// Every event is read back once, in order within its record, and what is billed is less than
// a third of that without combine.
func TestCombine(t *testing.T) {
	const n, shards = 20_000, 16
	for _, key := range []string{"", "path"} { // none, and a hundred
		units := map[string]int{}
		for _, form := range []string{"off", "lines", "json_array"} {
			name := "no key/" + form
			if key != "" {
				name = "100 keys/" + form
			}
			t.Run(name, func(t *testing.T) {
				r := row{confirmed: -1}
				table.add(t, &r)
				srv := kinesistest.New(kinesistest.WithStream("logs", shards))
				if err := srv.Start(); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = srv.Close() })
				lines := []string{"combine: " + form, "partition_key: " + key}
				if form != "off" {
					lines = append(lines, "compression: zstd")
				}
				h := newHost(t, settings{
					inputs:  [][]string{tail(newLogFile(t, n), "buffer_chunk_size: 2M", "buffer_max_size: 8M")},
					outputs: [][]string{output(srv.URL(), "logs", 8, lines...)},
				})
				h.start()
				h.until("delivery", func() bool {
					return h.metric("kpl_events_total", "") == n && readCombined(t, srv, form, n).distinct >= n
				})
				h.until("the metric of units", func() bool {
					return h.metric("kpl_user_records_put_total", `result="confirmed"`) >= len(srv.Consume("logs").Records)
				})
				units[form] = h.metric("kpl_put_payload_units_total", "")
				h.stop()
				a := readCombined(t, srv, form, n)
				r.in, r.read, r.lost, r.doubled = n, a.read, n-a.distinct, a.doubled
				r.note = fmt.Sprintf("%d user records, %d Kinesis records, %d units", len(a.Records), a.KinesisRecords, units[form])
				if a.distinct != n || a.doubled+a.foreign+len(a.Dropped) != 0 {
					t.Errorf("unexpected delivery; got %d different events of %d, %d doubled, %d foreign, %d that KCL drops", a.distinct, n, a.doubled, a.foreign, len(a.Dropped))
				}
			})
		}
		for _, form := range []string{"lines", "json_array"} {
			if all := units["off"]; all > 0 && units[form] > 0 && 3*units[form] > all {
				t.Errorf("unexpected units of combine %s with partition key %q; got %d; want less than a third of %d", form, key, units[form], all)
			}
		}
	}
}

// readCombined counts the events in records of many.
func readCombined(t *testing.T, srv *kinesistest.Server, form string, n int) account {
	t.Helper()
	if form == "off" {
		return consume(srv, "logs", n, nil)
	}
	a := account{Consumed: srv.Consume("logs")}
	d := combined.Decoder{Compression: combined.Zstd, Form: form}
	seen := make([]bool, n)
	for _, r := range a.Records {
		record, err := d.Decode(r.Data)
		if err != nil {
			t.Fatalf("cannot decode a record: %v", err)
		}
		last := -1
		for _, e := range record.Events {
			var v struct {
				Seq  int
				Path string
			}
			if err := json.Unmarshal(e, &v); err != nil || v.Seq >= n || !strings.HasPrefix(v.Path, "/api/") {
				a.foreign++
				continue
			}
			a.read++
			if seen[v.Seq] {
				a.doubled++
				continue
			}
			seen[v.Seq] = true
			a.distinct++
			if v.Seq < last {
				t.Fatalf("unexpected order in a record; got event %d behind %d", v.Seq, last)
			}
			last = v.Seq
		}
	}
	return a
}
