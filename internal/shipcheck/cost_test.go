// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/aggregation"
)

var update = flag.Bool("update", false, "write the tables in docs anew")

// What Kinesis charges for. Prices are those listed for US East (N. Virginia); they are
// inputs, and other regions have others.
// Source of the rules: https://aws.amazon.com/kinesis/data-streams/pricing/, of the prices, which that page shows by
// script only: https://caylent.com/blog/amazon-kinesis-data-streams-on-demand-vs.-provisioned-billing-mode-cost-comparison
// (of 2023-09-21; both checked 2026-11-24).
const (
	unitBytes      = 25 * 1024
	roundBytes     = 1024     // on-demand: each record counts in whole KiB
	unitPrice      = 0.014e-6 // a PUT payload unit
	shardHourPrice = 0.015
	gibPrice       = 0.08 // on-demand, data in
	streamHour     = 0.04 // on-demand
	hours          = 730  // a month
	shardBytes     = 1 << 20
	shardRecords   = 1000
	target         = 51200 // aggregation_max_size
	keys           = 20    // different partition keys in an aggregate
)

// mode is what a way of writing takes each second.
type mode struct{ records, bytes, units, billed float64 }

func (m mode) shards() float64 { return math.Ceil(max(m.records/shardRecords, m.bytes/shardBytes)) }

func (m mode) provisioned() float64 {
	return m.units*unitPrice*3600*hours + m.shards()*shardHourPrice*hours
}

func (m mode) onDemand() float64 { return m.billed*3600*hours/(1<<30)*gibPrice + streamHour*hours }

// add counts n records of size bytes.
func (m *mode) add(n float64, size int) {
	m.records += n
	m.bytes += n * float64(size)
	m.units += n * math.Ceil(float64(size)/unitBytes)
	m.billed += n * math.Ceil(float64(size)/roundBytes) * roundBytes
}

func key(i int) string { return fmt.Sprintf("pod-%012d", i%keys) }

// costs compares one record for each event with aggregates.
func costs(eventBytes int, rate float64) (single, packed mode) {
	single.add(rate, eventBytes+len(key(0)))
	var b aggregation.Builder
	data := make([]byte, eventBytes)
	for b.Len() == 0 || b.SizeWith(key(b.Len()), data) <= target {
		b.Add(key(b.Len()), data)
	}
	if b.Len() == 1 { // goes as it is
		return single, single
	}
	packed.add(rate/float64(b.Len()), b.Size()+len(key(0)))
	return single, packed
}

func costTable() string {
	var b strings.Builder
	b.WriteString("| event | events/s | | Kinesis records/s | units/s | shards | provisioned, $ a month | on-demand, $ a month |\n|---|---|---|---|---|---|---|---|\n")
	for _, c := range []struct {
		bytes int
		rate  float64
	}{{200, 10000}, {500, 10000}, {1000, 10000}, {5000, 2000}, {20000, 500}, {200, 1000000}} {
		single, packed := costs(c.bytes, c.rate)
		for i, m := range []mode{single, packed} {
			name := [...]string{"alone", "aggregated"}[i]
			fmt.Fprintf(&b, "| %d B | %.0f | %s | %.0f | %.0f | %.0f | %.0f | %.0f |\n", c.bytes, c.rate, name, m.records, m.units, m.shards(), m.provisioned(), m.onDemand())
		}
	}
	return b.String()
}

// table compares what is between the markers of a page with text, or writes it.
func table(t *testing.T, page, name, text string) {
	t.Helper()
	path := filepath.Join(root, "docs", page)
	old := read(t, "docs", page)
	begin, end := "<!-- begin "+name+", by internal/shipcheck -->\n", "<!-- end -->"
	head, rest, ok := strings.Cut(old, begin)
	got, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("docs/%s has no place for the table %q", page, name)
	}
	if got == text {
		return
	}
	if !*update {
		t.Fatalf("docs/%s: the table %q is out of date: go test ./internal/shipcheck -update\ngot:\n%s\nwant:\n%s", page, name, got, text)
	}
	if err := os.WriteFile(path, []byte(head+begin+text+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestTableOfCosts(t *testing.T) { table(t, "tuning.md", "costs", costTable()) }
