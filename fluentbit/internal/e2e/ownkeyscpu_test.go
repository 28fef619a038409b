// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// TestOwnKeysCPU measures what combine costs where each event has a partition key of its own, so that
// nothing is combined: CPU seconds of the whole host beside those without combine, and of a second run
// without it, which shows what chance makes. Runs take turns. It takes E2E_CPU, an even number of
// rounds, and E2E_MB as TestCPU does.
func TestOwnKeysCPU(t *testing.T) {
	rounds := measuredRounds(t, "E2E_CPU", "E2E_CPU=20")
	path, events, _ := measuredFile(t, 100)
	modes := []struct {
		name    string
		options []string
	}{{"off", nil}, {"off again", nil}, {"combine lines", []string{"combine: lines"}}}
	runs, ratios := make([][]float64, len(modes)), make([][]float64, len(modes))
	records := make([]int64, len(modes))
	for round := range rounds {
		cpu := make([]float64, len(modes))
		for k := range modes {
			i := k
			if round%2 == 1 {
				i = len(modes) - 1 - k
			}
			srv := kinesistest.New(kinesistest.WithStream("logs", 16), kinesistest.WithTLS(), kinesistest.WithCountOnly(), kinesistest.WithLimits(kinesistest.Limits{}))
			run := runCPU(t, srv, filepath.Dir(path), events, true, "kpl", 2, append([]string{"partition_key: time", "rate_limit: 10000"}, modes[i].options...))
			cpu[i], records[i] = run.cpu, run.records
			runs[i] = append(runs[i], run.cpu)
		}
		for i := range modes {
			ratios[i] = append(ratios[i], cpu[i]/cpu[0])
		}
	}
	for i, m := range modes {
		slices.Sort(runs[i])
		slices.Sort(ratios[i])
		r := ratios[i]
		t.Logf("%-14s %5.2f CPU s, median; ratio to off %.3f (%.3f to %.3f); %d Kinesis records", m.name, runs[i][rounds/2], r[rounds/2], r[rounds/4], r[rounds*3/4], records[i])
	}
}
