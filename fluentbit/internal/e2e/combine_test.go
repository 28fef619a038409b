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
				srv := newServer(t, kinesistest.WithStream("wide", shards))
				lines := []string{"combine: " + form, "partition_key: " + key}
				if form != "off" {
					lines = append(lines, "compression: zstd")
				}
				units[form] = runCombine(t, srv, form, n, lines...)
			})
		}
		for _, form := range []string{"lines", "json_array"} {
			if all := units["off"]; all > 0 && units[form] > 0 && 3*units[form] > all {
				t.Errorf("unexpected units of combine %s with partition key %q; got %d; want less than a third of %d", form, key, units[form], all)
			}
		}
	}
}

// What fails is sent again, and nothing else of its chunk.
func TestCombineWithFaults(t *testing.T) {
	const n = 20_000
	for _, key := range []string{"", "path"} {
		t.Run(map[string]string{"": "no key", "path": "100 keys"}[key], func(t *testing.T) {
			srv := newServer(t, kinesistest.WithStream("wide", 16))
			for i, code := range []string{"ProvisionedThroughputExceededException", "InternalFailure"} {
				srv.Fault(kinesistest.Fault{Operation: "PutRecords", Seed: uint64(i), Effect: kinesistest.Effect{EntryCode: code, EntryShare: 0.1}})
			}
			srv.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 4, Probability: 0.5, Seed: 3, Effect: kinesistest.Status(500)})
			// Records of two or three events, so that there are enough that fail.
			runCombine(t, srv, "lines", n, "combine: lines", "combine_count: 3", "compression: zstd", "partition_key: "+key, "flush_timeout: 300ms")
		})
	}
}

// runCombine ships n events, and returns the PUT units. The events are in srv once each.
func runCombine(t *testing.T, srv *kinesistest.Server, form string, n int, lines ...string) (units int) {
	t.Helper()
	r := row{confirmed: -1}
	table.add(t, &r)
	h := newHost(t, settings{
		inputs:  [][]string{tail(newLogFile(t, n), "buffer_chunk_size: 2M", "buffer_max_size: 8M")},
		outputs: [][]string{output(srv.URL(), "wide", 8, lines...)},
	})
	h.start()
	h.until("delivery", func() bool {
		return h.metric("kpl_events_total", "") == n && readCombined(t, srv, form, n).distinct >= n
	})
	h.until("the metric of units", func() bool { return h.metric(confirmedMetric, confirmedLabel) >= len(srv.Consume("wide").Records) })
	units = h.metric("kpl_put_payload_units_total", "")
	h.stop()
	a := readCombined(t, srv, form, n)
	r.in, r.read, r.lost, r.doubled = n, a.read, n-a.distinct, a.doubled
	r.note = fmt.Sprintf("%d user records, %d Kinesis records, %d units", len(a.Records), a.KinesisRecords, units)
	if a.distinct != n || a.doubled+a.foreign+len(a.Dropped) != 0 {
		t.Errorf("unexpected delivery; got %d different events of %d, %d doubled, %d foreign, %d that KCL drops", a.distinct, n, a.doubled, a.foreign, len(a.Dropped))
	}
	return units
}

// readCombined counts the events in records of many.
func readCombined(t *testing.T, srv *kinesistest.Server, form string, n int) account {
	t.Helper()
	if form == "off" {
		return consume(srv, "wide", n, nil)
	}
	a := account{Consumed: srv.Consume("wide")}
	d := combined.Decoder{Form: form} // zstd is known by its first bytes
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
