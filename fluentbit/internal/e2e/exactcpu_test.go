// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// TestExactCPU measures what journal and read-back cost while nothing goes wrong, and prints a table:
// CPU seconds of the whole host, medians of runs that take turns, and calls besides PutRecords. It takes
// E2E_CPU, E2E_MB and E2E_CELLS as TestCPU does.
func TestExactCPU(t *testing.T) {
	rounds := measuredRounds(t, "E2E_CPU", "E2E_CPU=3")
	path, events, size := measuredFile(t, 100)
	rows := []struct {
		name    string
		options []string
	}{
		{"no key", nil},
		{"a key for each event", []string{"partition_key: time"}},
		{"combine lines, zstd", []string{"combine: lines", "compression: zstd"}},
	}
	modes := []struct {
		name    string
		options func() []string
	}{
		{"off", func() []string { return nil }},
		{"journal", func() []string { return []string{"journal_dir: " + t.TempDir()} }},
		{"journal_sync", func() []string { return []string{"journal_dir: " + t.TempDir(), "journal_sync: on"} }},
		{"read-back", func() []string { return []string{"verify_uncertain: on"} }},
		{"both", func() []string { return []string{"journal_dir: " + t.TempDir(), "verify_uncertain: on"} }},
	}
	wanted := regexp.MustCompile(os.Getenv("E2E_CELLS"))
	var report bytes.Buffer
	fmt.Fprintf(&report, "\n%d events, %.0f MB\n| mode | off, CPU s | journal | journal_sync | read-back | both |\n|---|---:|---:|---:|---:|---:|\n", events, float64(size)/1e6)
	for _, row := range rows {
		if !wanted.MatchString(row.name) {
			continue
		}
		runs := make([][]float64, len(modes))
		for range rounds {
			for i, mode := range modes {
				srv := kinesistest.New(kinesistest.WithStream("logs", 512), kinesistest.WithTLS(), kinesistest.WithCountOnly(), kinesistest.WithLimits(kinesistest.Limits{}))
				run := runCPU(t, srv, filepath.Dir(path), events, true, "kpl", 2, append(mode.options(), row.options...))
				runs[i] = append(runs[i], run.cpu)
				reads := srv.Calls("GetRecords") + srv.Calls("GetShardIterator")
				t.Logf("%-22s %-14s %5.2f CPU s (system %.2f), %4.1f s, %d Kinesis records, %d calls, %d reads", row.name, mode.name, run.cpu, run.system, run.took, run.records, run.calls, reads)
				if reads != 0 {
					t.Errorf("unexpected reads while nothing is uncertain; got %d; want 0", reads)
				}
			}
		}
		var off float64
		fmt.Fprintf(&report, "| %s |", row.name)
		for i, list := range runs {
			slices.Sort(list)
			if median := list[len(list)/2]; i == 0 {
				off = median
				fmt.Fprintf(&report, " %.2f |", median)
			} else {
				fmt.Fprintf(&report, " %.2f (%+.0f %%) |", median, 100*(median/off-1))
			}
		}
		report.WriteString("\n")
	}
	t.Log(report.String())
}
