// SPDX-License-Identifier: Apache-2.0

package shipcheck

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/internal/cost"
)

var update = flag.Bool("update", false, "write the tables in docs anew")

const (
	target = 51200 // aggregation_max_size
	keys   = 20    // different partition keys in an aggregate
	// filled is how much of its units an aggregate of combined records uses at least
	// (roomAfter in core/aggregate.go).
	filled = 0.96
)

// ratios are how many times smaller combined records are, for the table: with 10 events
// in a record and with hundreds, see the measured ones in docs/tuning.md.
var ratios = []float64{4, 10}

func key(i int) string { return fmt.Sprintf("pod-%012d", i%keys) }

// costs compares one record for each event with aggregates.
func costs(eventBytes int, rate float64) (single, packed cost.Writes) {
	single.Add(rate, eventBytes+len(key(0)))
	var b aggregation.Builder
	data := make([]byte, eventBytes)
	for b.Len() == 0 || b.SizeWith(key(b.Len()), data) <= target {
		b.Add(key(b.Len()), data)
	}
	if b.Len() == 1 { // goes as it is
		return single, single
	}
	packed.Add(rate/float64(b.Len()), b.Size()+len(key(0)))
	return single, packed
}

// combinedCost is that of events which are combined as lines and compressed, in aggregates
// that are full.
func combinedCost(eventBytes int, rate, ratio float64) (w cost.Writes) {
	size := int(filled * target)
	w.Add(rate*float64(eventBytes+1)/ratio/float64(size), size)
	return w
}

func costTable() string {
	var b strings.Builder
	b.WriteString("| event | events/s | | Kinesis records/s | units/s | shards | provisioned, $ a month | on-demand, $ a month |\n|---|---|---|---|---|---|---|---|\n")
	for _, c := range []struct {
		bytes int
		rate  float64
	}{{200, 10000}, {500, 10000}, {1000, 10000}, {5000, 2000}, {20000, 500}, {200, 1000000}} {
		single, packed := costs(c.bytes, c.rate)
		row := func(name string, m cost.Writes) {
			fmt.Fprintf(&b, "| %d B | %.0f | %s | %.0f | %.0f | %.0f | %.0f | %.0f |\n", c.bytes, c.rate, name, m.Records, m.Units, m.Shards(), m.Provisioned(), m.OnDemand())
		}
		row("alone", single)
		row("aggregated", packed)
		for _, ratio := range ratios {
			row(fmt.Sprintf("combined, %.0f : 1", ratio), combinedCost(c.bytes, c.rate, ratio))
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
