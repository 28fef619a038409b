// SPDX-License-Identifier: Apache-2.0

// Benchcheck looks for regressions in the output of benchmarks. It compares ratios, in which a
// benchmark puts our work into relation to a yardstick in the same run, since these hardly
// depend on the machine, with those of a file:
//
//	go test -run '^$' -bench Ratio ./... | go run ./internal/benchcheck [-baseline FILE] [-update]
//
// The file has a line for each ratio: the benchmark, the unit, the value. Of several runs of a
// benchmark the least counts, since whatever disturbs a run makes it slower. A ratio that is
// more than a tenth above the file's is a line "regression: NAME OLD NEW" and, in a workflow
// of GitHub, a warning. One that the output lacks is told of in the same way. Neither is an
// error: no test depends on the time.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// tolerance is how much above the old value a ratio may be.
const tolerance = 1.10

func main() {
	path := flag.String("baseline", "internal/benchcheck/baseline.txt", "file of the ratios to compare with")
	update := flag.Bool("update", false, "write the file anew, with the ratios that it names or all if it is empty")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *path, *update, os.Getenv("GITHUB_ACTIONS") == "true"); err != nil {
		fmt.Fprintln(os.Stderr, "benchcheck:", err)
		os.Exit(1)
	}
}

// run repeats the output of benchmarks, and says behind it what has become worse.
func run(in io.Reader, out io.Writer, path string, update, workflow bool) error {
	baseline := ratios{}
	f, err := os.Open(path)
	if err == nil {
		baseline, err = readBaseline(f)
		_ = f.Close()
	}
	if err != nil && (!update || !errors.Is(err, os.ErrNotExist)) {
		return fmt.Errorf("cannot read the baseline %s: %w", path, err)
	}
	found, failed, err := readOutput(io.TeeReader(in, out))
	if err != nil {
		return fmt.Errorf("cannot read the output of the benchmarks: %w", err)
	}
	if failed != "" {
		return fmt.Errorf("the benchmarks have failed: %s", failed)
	}
	if update {
		for k := range found {
			if _, named := baseline[k]; len(baseline) > 0 && !named {
				delete(found, k)
			}
		}
		return os.WriteFile(path, found.format(), 0o600)
	}
	for _, line := range compare(baseline, found) {
		fmt.Fprintln(out, line)
		if workflow {
			fmt.Fprintln(out, "::warning title=benchmarks::"+line)
		}
	}
	fmt.Fprintf(out, "compared %d ratios with %s\n", len(baseline), path)
	return nil
}

// name is which ratio of which benchmark. Names are without the number of processors.
type name struct{ benchmark, unit string }

func (n name) String() string { return n.benchmark + " " + n.unit }

type ratios map[name]float64

func (r ratios) sorted() []name {
	return slices.SortedFunc(maps.Keys(r), func(a, b name) int { return strings.Compare(a.String(), b.String()) })
}

func (r ratios) format() []byte {
	var b []byte
	for _, k := range r.sorted() {
		b = fmt.Appendf(b, "%s %.3f\n", k, r[k])
	}
	return b
}

// compare says what has become worse or is missing.
func compare(old, found ratios) (lines []string) {
	for _, k := range old.sorted() {
		now, ok := found[k]
		switch {
		case !ok:
			lines = append(lines, fmt.Sprintf("missing: %s %.3f", k, old[k]))
		case now > tolerance*old[k]:
			lines = append(lines, fmt.Sprintf("regression: %s %.3f %.3f (%+.0f %%)", k, old[k], now, 100*(now/old[k]-1)))
		}
	}
	return lines
}

func readBaseline(in io.Reader) (ratios, error) {
	r := ratios{}
	s := bufio.NewScanner(in)
	for n := 1; s.Scan(); n++ {
		fields := strings.Fields(s.Text())
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 3 {
			return nil, fmt.Errorf("line %d has %d words; want a benchmark, a unit and a value", n, len(fields))
		}
		v, err := strconv.ParseFloat(fields[2], 64)
		if err != nil || v <= 0 {
			return nil, fmt.Errorf("line %d has the value %q; want a number above 0", n, fields[2])
		}
		r[name{fields[0], fields[1]}] = v
	}
	return r, s.Err()
}

var processors = regexp.MustCompile(`-\d+$`)

// notRatios are units with a slash, or without a meaning of their own, that are no ratios.
var notRatios = regexp.MustCompile(`/(op|s|cpu-s|MiB|GB|B|key|event|record)$`)

// ratioUnit are the units in which our benchmarks give ratios: ours/yardstick, x/scan, x-zstd.
var ratioUnit = regexp.MustCompile(`^[\w.]+/[\w.]+$|^x-`)

// readOutput finds the ratios of the output of "go test -bench", and a line that says that it
// has failed.
func readOutput(in io.Reader) (found ratios, failed string, err error) {
	found = ratios{}
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, "", err
		}
		fields := strings.Fields(line)
		if len(fields) > 0 && (fields[0] == "FAIL" || strings.HasPrefix(line, "--- FAIL")) && failed == "" {
			failed = strings.TrimSpace(line)
		}
		if len(fields) >= 4 && strings.HasPrefix(fields[0], "Benchmark") {
			for i := 2; i+1 < len(fields); i += 2 {
				unit := fields[i+1]
				v, parseErr := strconv.ParseFloat(fields[i], 64)
				if parseErr != nil || !ratioUnit.MatchString(unit) || notRatios.MatchString(unit) {
					continue
				}
				k := name{processors.ReplaceAllString(fields[0], ""), unit}
				if old, ok := found[k]; !ok || v < old {
					found[k] = v
				}
			}
		}
		if err != nil {
			return found, failed, nil
		}
	}
}
