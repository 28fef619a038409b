// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/cost"
	shaping "github.com/outkpl/outkpl/internal/event"
)

// TestCombineBench measures what combined events cost, beside the built-in output with
// simple_aggregation: 200,000 events with one tag and with 200, without a key and with
// 50, compressed and not, on 16 shards with the limits of AWS. Shown are medians. The
// built-in output has no partition keys, and is measured without them. With keys and 200
// tags the floor stands beside: the same chunks, combined by key, as many at a time as
// there are workers, in one batch. The prices are for 1,000 GB of lines, without the hours
// of shards and streams; on demand, without the rounding up of each record to KiB.
//
//	E2E_COMBINE numbers of workers, for instance 1,2,8,32; empty: the test is skipped
//	E2E_ROUNDS  default 3
//	E2E_CELLS   a regular expression for the names of the rows to measure
//	E2E_MORE    options for our output
func TestCombineBench(t *testing.T) {
	if os.Getenv("E2E_COMBINE") == "" {
		t.Skip("a measurement; set E2E_COMBINE=1,2,8,32")
	}
	rounds, _ := strconv.Atoi(os.Getenv("E2E_ROUNDS"))
	if rounds < 1 {
		rounds = 3
	}
	var more []string
	if v := os.Getenv("E2E_MORE"); v != "" {
		more = strings.Split(v, ";")
	}
	dir, chunks := fillFiles(t)
	whole := t.TempDir()
	size := float64(joinFiles(t, dir, filepath.Join(whole, "all.log")))

	type cell struct {
		name        string
		dir         string
		keyed       bool
		workers     int
		compression string
		lines       func(url, ca string) []string
		runs        []fillRun
	}
	wanted := regexp.MustCompile(os.Getenv("E2E_CELLS"))
	var cells []*cell
	add := func(c cell) {
		if wanted.MatchString(c.name) {
			cells = append(cells, &c)
		}
	}
	for _, tags := range []int{1, fillTags} {
		from := map[int]string{1: whole, fillTags: dir}[tags]
		add(cell{name: fmt.Sprintf("%s, null", map[bool]string{true: "1 tag", false: strconv.Itoa(tags) + " tags"}[tags == 1]), dir: from, lines: func(string, string) []string {
			return []string{"name: null", "match: '*'"}
		}})
		for _, keyed := range []bool{false, true} {
			for _, compression := range []string{"none", "zstd"} {
				for text := range strings.SplitSeq(os.Getenv("E2E_COMBINE"), ",") {
					workers, err := strconv.Atoi(text)
					if err != nil {
						t.Fatal(err)
					}
					name := fmt.Sprintf("%s, %s, %s, %d workers", map[bool]string{true: "1 tag", false: strconv.Itoa(tags) + " tags"}[tags == 1], map[bool]string{true: "50 keys", false: "no key"}[keyed], compression, workers)
					add(cell{name: name + ", kpl", dir: from, keyed: keyed, workers: workers, compression: compression, lines: func(url, ca string) []string {
						key := map[bool]string{true: "kubernetes->pod_name"}[keyed]
						return output(url, "logs", workers, append([]string{"ca_file: " + ca, "combine: lines", "compression: " + compression, "partition_key: " + key}, more...)...)
					}})
					if keyed {
						continue
					}
					add(cell{name: name + ", kinesis_streams", dir: from, workers: workers, compression: compression, lines: func(url, ca string) []string {
						host, port, _ := strings.Cut(strings.TrimPrefix(url, "https://"), ":")
						lines := []string{
							"name: kinesis_streams", "match: '*'", "region: eu-west-1", "endpoint: " + host, "port: " + port, "stream: logs",
							"workers: " + strconv.Itoa(workers), "retry_limit: no_limits", "tls.ca_file: " + ca, "simple_aggregation: on",
						}
						if compression != "none" {
							lines = append(lines, "compression: "+compression)
						}
						return lines
					}})
				}
			}
		}
	}
	for range rounds {
		for _, c := range cells {
			srv, ca := fillServer(t)
			r := runFill(t, srv, fillInput(c.dir, "512k"), c.lines(srv.URL(), ca))
			c.runs = append(c.runs, r)
			t.Logf("%-50s %5d units, %.2f MB, %.2f CPU s, %.1f s", c.name, r.units, float64(r.bytes)/1e6, r.cpu, r.took)
		}
	}
	var report bytes.Buffer
	fmt.Fprintf(&report, "\n| %-50s | units | × floor |    MB | × floor | calls | CPU s | seconds | RSS MB | $ provisioned | $ on demand |\n|%s|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n", "row", strings.Repeat("-", 52))
	for _, c := range cells {
		median := func(of func(fillRun) float64) float64 {
			list := make([]float64, len(c.runs))
			for i, r := range c.runs {
				list[i] = of(r)
			}
			slices.Sort(list)
			return list[len(list)/2]
		}
		units := median(func(r fillRun) float64 { return float64(r.units) })
		stored := median(func(r fillRun) float64 { return float64(r.bytes) })
		factor, factorStored := "", ""
		if c.keyed && c.dir == dir {
			flushes := int(median(func(r fillRun) float64 { return float64(r.flushes) }))
			floor, floorStored := fillFloor(t, combineParts(t, partsOf(chunks, flushes), c.compression), c.workers, true)
			factor, factorStored = fmt.Sprintf("%.3f", units/float64(floor)), fmt.Sprintf("%.3f", stored/float64(floorStored))
		}
		fmt.Fprintf(&report, "| %-50s | %5.0f | %7s | %6.2f | %7s | %5.0f | %5.2f | %7.1f | %6.0f | %13.3f | %11.2f |\n", c.name, units, factor, stored/1e6, factorStored,
			median(func(r fillRun) float64 { return float64(r.calls) }), median(func(r fillRun) float64 { return r.cpu }), median(func(r fillRun) float64 { return r.took }),
			median(func(r fillRun) float64 { return r.memory }), cost.ProvisionedUSD(int64(units*1e12/size)), cost.OnDemandUSD(int64(stored*1e12/size)))
	}
	t.Log(report.String())
}

// combineParts combines the events of each chunk by their keys.
func combineParts(t *testing.T, chunks [][]core.Record, compression string) (parts [][]core.Record) {
	t.Helper()
	c, err := shaping.NewCombine(shaping.CombineConfig{Combine: "lines", Compression: compression})
	if err != nil {
		t.Fatal(err)
	}
	for _, chunk := range chunks {
		parts = append(parts, c.Records(chunk, nil, false, 1<<20).Records)
	}
	return parts
}

// joinFiles writes the files of dir one behind the other, size bytes.
func joinFiles(t *testing.T, dir, to string) (size int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err == nil {
			_, err = f.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
		size += len(data)
	}
	return size
}
