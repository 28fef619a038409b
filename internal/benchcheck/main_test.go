// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// check runs the program on a stored output, against the stored baseline.
func check(t *testing.T, output string, workflow bool) (lines []string, err error) {
	t.Helper()
	in, err := os.Open(filepath.Join("testdata", output))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var out strings.Builder
	err = run(in, &out, filepath.Join("testdata", "baseline.txt"), false, workflow)
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "regression:") || strings.HasPrefix(line, "missing:") || strings.HasPrefix(line, "::") || strings.HasPrefix(line, "compared") {
			lines = append(lines, line)
		}
	}
	return lines, err
}

func TestARegressionAboveATenthIsShownAndASmallerOneIsNot(t *testing.T) {
	const compared = "compared 4 ratios with testdata/baseline.txt"
	for _, c := range []struct {
		output   string
		workflow bool
		want     []string
	}{
		{"same.txt", true, []string{compared}},
		{"plus8.txt", true, []string{compared}},
		{"plus12.txt", false, []string{"regression: BenchmarkRatios distinct/yardstick 0.800 0.896 (+12 %)", compared}},
		{"plus12.txt", true, []string{
			"regression: BenchmarkRatios distinct/yardstick 0.800 0.896 (+12 %)",
			"::warning title=benchmarks::regression: BenchmarkRatios distinct/yardstick 0.800 0.896 (+12 %)", compared,
		}},
		{"missing.txt", false, []string{"missing: BenchmarkCombine/zstd x-zstd 1.100", compared}},
	} {
		got, err := check(t, c.output, c.workflow)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s, workflow %v: unexpected lines; got %q, %v; want %q", c.output, c.workflow, got, err, c.want)
		}
	}
}

func TestBenchmarksThatFailAreAnError(t *testing.T) {
	_, err := check(t, "failed.txt", true)
	if want := "the benchmarks have failed: --- FAIL: BenchmarkRatios"; err == nil || err.Error() != want {
		t.Errorf("unexpected error; got %v; want %s", err, want)
	}
}

func TestTheLeastOfSeveralRunsCounts(t *testing.T) {
	found, _, err := readOutput(strings.NewReader("BenchmarkA-16 1 1.30 ours/scan 5 ns/op\nBenchmarkA-16 1 1.10 ours/scan 5 ns/op\nBenchmarkA-16 1 1.20 ours/scan 5 ns/op\n"))
	if want := (ratios{{"BenchmarkA", "ours/scan"}: 1.1}); err != nil || len(found) != 1 || found[name{"BenchmarkA", "ours/scan"}] != 1.1 {
		t.Errorf("unexpected ratios; got %v, %v; want %v", found, err, want)
	}
}

func TestABadBaselineIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"BenchmarkA ours/scan":      "line 1 has 2 words; want a benchmark, a unit and a value",
		"\nBenchmarkA ours/scan 0":  `line 2 has the value "0"; want a number above 0`,
		"BenchmarkA ours/scan much": `line 1 has the value "much"; want a number above 0`,
	} {
		if _, err := readBaseline(strings.NewReader(text)); err == nil || err.Error() != want {
			t.Errorf("%q: unexpected error; got %v; want %s", text, err, want)
		}
	}
}

func TestAnUpdateKeepsTheRatiosThatTheFileNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "baseline.txt")
	const output = "BenchmarkA-2 1 1.5 ours/scan 1 other/scan 3 MB/s\n"
	for _, c := range []struct{ before, want string }{
		{"", "BenchmarkA other/scan 1.000\nBenchmarkA ours/scan 1.500\n"},
		{"BenchmarkA ours/scan 9\n", "BenchmarkA ours/scan 1.500\n"},
	} {
		if err := os.WriteFile(path, []byte(c.before), 0o600); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if err := run(strings.NewReader(output), &out, path, true, false); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != c.want {
			t.Errorf("unexpected baseline; got %q, %v; want %q", got, err, c.want)
		}
	}
}
