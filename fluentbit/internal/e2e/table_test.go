// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fluentBit and library are the binary and the plugin under test.
var fluentBit, library = os.Getenv("FLUENT_BIT"), os.Getenv("OUT_KPL_SO")

func TestMain(m *testing.M) {
	flag.Parse()
	if fluentBit == "" || library == "" {
		_ = flag.Set("test.run", "^TestFluentBitIsThere$") // one skip says it all
	}
	code := m.Run()
	table.print()
	os.Exit(code)
}

func TestFluentBitIsThere(t *testing.T) {
	if fluentBit == "" || library == "" {
		t.Skip("NOT TESTED: the plugin in a real Fluent Bit; use make e2e FLUENT_BIT=/path/to/fluent-bit")
	}
	for _, path := range []string{fluentBit, library} {
		if _, err := os.Stat(path); err != nil {
			t.Fatal(err)
		}
	}
}

// row is one line of the table. A count below 0 is not shown.
type row struct {
	cell                      string
	in, confirmed, read, lost int
	doubled                   int
	note                      string
	failed                    bool
}

type rows struct {
	mu   sync.Mutex // guards list
	list []row
}

// table is what the tests add to.
var table rows

// add shows a row when its test has ended.
func (r *rows) add(t *testing.T, one *row) {
	one.cell = strings.TrimPrefix(t.Name(), "Test")
	t.Cleanup(func() {
		one.failed = t.Failed()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.list = append(r.list, *one)
	})
}

func (r *rows) print() {
	if len(r.list) == 0 {
		return
	}
	slices.SortStableFunc(r.list, func(a, b row) int { return strings.Compare(a.cell, b.cell) })
	number := func(n int) string {
		if n < 0 {
			return "-"
		}
		return fmt.Sprint(n)
	}
	fmt.Printf("\n%-58s %8s %9s %9s %6s %7s  %s\n", "cell", "in", "confirmed", "read back", "lost", "doubled", "notes")
	for _, c := range r.list {
		state := ""
		if c.failed {
			state = "FAILED "
		}
		fmt.Printf("%-58s %8s %9s %9s %6s %7s  %s%s\n", c.cell, number(c.in), number(c.confirmed), number(c.read), number(c.lost), number(c.doubled), state, c.note)
	}
}
