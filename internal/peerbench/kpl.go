// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/emulators"
)

// load is what a producer is to do. Each has a process of its own, and a Kinesis of its own
// over TLS.
type load struct {
	name string
	// mode is "full": as fast as it goes; "rate": so many records a second, beside a caller
	// that waits for a record ten times a second; or "overload": as fast as it goes, for some
	// seconds, into shards that take less.
	mode    string
	records int // with overload: seconds
	size    int
	rate    int
	batch   int // of ours; the KPL takes records one by one
	shards  int
	limits  kinesistest.Limits
}

// loaded is what became of it.
type loaded struct {
	seconds, cpu float64
	latency      [4]float64 // in ms: median and 99th percentile, and those of the caller that waits
	memory       float64    // most resident MB of the process and what it has started
	stats        kinesistest.Stats
}

// besideKPL prints a table: the producer beside the real KPL, in turns, with the loads whose
// names contain a word.
func besideKPL(rounds int, word string) error {
	if err := emulators.AvailableJVM(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	loads := slices.DeleteFunc([]load{
		{name: "200 B, full speed, one by one", mode: "full", records: 400_000, size: 200, batch: 1, shards: shards},
		{name: "200 B, full speed, in batches of 500", mode: "full", records: 400_000, size: 200, batch: 500, shards: shards},
		{name: "1 KB, full speed, one by one", mode: "full", records: 200_000, size: 1000, batch: 1, shards: shards},
		{name: "200 B, 1,000 a second", mode: "rate", records: 10_000, size: 200, rate: 1000, batch: 1, shards: shards, limits: kinesistest.AWSLimits},
		{name: "1 KB, overload of 2 shards, 10 s", mode: "overload", records: 10, size: 1000, batch: 1, shards: 2, limits: kinesistest.AWSLimits},
	}, func(l load) bool { return !strings.Contains(l.name, word) })
	if len(loads) == 0 {
		return fmt.Errorf("no load has %q in its name", word)
	}
	fmt.Println("| load | producer | records for each CPU second | Kinesis records | PUT units | seconds | latency p50, ms | p99 | of a caller that waits p50 | p99 | MB resident |")
	fmt.Println("|---|---|" + strings.Repeat("---:|", 9))
	for _, l := range loads {
		found := map[string][]loaded{}
		for range rounds {
			for _, who := range []string{"out_kpl", "KPL"} {
				r, err := l.run(self, who)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", l.name, who, err)
				}
				found[who] = append(found[who], r)
			}
		}
		for _, who := range []string{"out_kpl", "KPL"} {
			fmt.Println(l.row(who, found[who]))
		}
	}
	return nil
}

// row is the line of a producer, with medians of the rounds.
func (l *load) row(who string, rounds []loaded) string {
	median := func(of func(*loaded) float64) float64 {
		list := make([]float64, 0, len(rounds))
		for i := range rounds {
			list = append(list, of(&rounds[i]))
		}
		slices.Sort(list)
		return list[len(list)/2]
	}
	perCPU := "-"
	if l.mode != "overload" {
		perCPU = fmt.Sprintf("%.0f", median(func(r *loaded) float64 { return float64(l.records) / r.cpu }))
	}
	line := fmt.Sprintf("| %s | %s | %s | %.0f | %.0f | %.2f |", l.name, who, perCPU, median(func(r *loaded) float64 { return float64(r.stats.Records) }),
		median(func(r *loaded) float64 { return float64(r.stats.PayloadUnits) }), median(func(r *loaded) float64 { return r.seconds }))
	for i := range rounds[0].latency {
		text := "-"
		if v := median(func(r *loaded) float64 { return r.latency[i] }); v > 0 {
			text = fmt.Sprintf("%.1f", v)
		}
		line += " " + text + " |"
	}
	return line + fmt.Sprintf(" %.0f |", median(func(r *loaded) float64 { return r.memory }))
}

// run has one producer do it.
func (l *load) run(self, who string) (r loaded, err error) {
	s := kinesistest.New(kinesistest.WithStream(stream, l.shards), kinesistest.WithCountOnly(), kinesistest.WithTLS(), kinesistest.WithLimits(l.limits))
	if err := s.Start(); err != nil {
		return r, err
	}
	defer func() { _ = s.Close() }()
	args := []string{l.mode, strconv.Itoa(l.records), strconv.Itoa(l.size), strconv.Itoa(l.rate)}
	cmd := exec.Command(self, append([]string{"-load", s.URL(), "-batch", strconv.Itoa(l.batch)}, args...)...)
	if who == "KPL" {
		u, err := url.Parse(s.URL())
		if err != nil {
			return r, err
		}
		_, port, err := net.SplitHostPort(u.Host)
		if err != nil {
			return r, err
		}
		if cmd, err = emulators.BenchKPL(context.Background(), port, stream, args...); err != nil {
			return r, err
		}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Start(); err != nil {
		return r, err
	}
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() { r.memory = mostResident(cmd.Process.Pid, ended) })
	err = cmd.Wait()
	close(ended)
	watching.Wait()
	if err != nil {
		return r, err
	}
	list := []any{&r.seconds}
	for i := range r.latency {
		list = append(list, &r.latency[i])
	}
	if _, err := fmt.Sscan(out.String(), list...); err != nil {
		return r, fmt.Errorf("cannot read %q: %w", out.String(), err)
	}
	// A process counts those that it has waited for.
	r.cpu, r.stats = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), s.Stats()
	return r, nil
}

// mostResident is the most memory in MB that a process has until the end, and with it what it
// has started: the KPL is a program that a library starts.
func mostResident(pid int, ended <-chan struct{}) (mb float64) {
	most := map[int]float64{}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, p := range append(childrenOf(pid), pid) {
			most[p] = max(most[p], peakOf(p))
		}
		select {
		case <-ended:
			for _, v := range most {
				mb += v
			}
			return mb
		case <-tick.C:
		}
	}
}

// childrenOf lists what a process has started and what that has.
func childrenOf(pid int) (list []int) {
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range paths {
		b, _ := os.ReadFile(path) // a process may end at any time
		for word := range strings.FieldsSeq(string(b)) {
			if child, err := strconv.Atoi(word); err == nil {
				list = append(append(list, child), childrenOf(child)...)
			}
		}
	}
	return list
}

// peakOf is the most resident memory of a process so far.
func peakOf(pid int) (mb float64) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			return kb * 1024 / 1e6
		}
	}
	return 0
}

// sendLoad is the process of this producer. It does what BenchKPL.java does with the KPL.
func sendLoad(endpoint string, batch int, args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("got %d arguments behind -load; want mode, records, bytes and rate", len(args))
	}
	var numbers [3]int
	for i := range numbers {
		n, err := strconv.Atoi(args[i+1])
		if err != nil {
			return err
		}
		numbers[i] = n
	}
	ctx, mode, records, size, rate := context.Background(), args[0], numbers[0], numbers[1], numbers[2]
	client, err := awsclient.New(ctx, awsclient.Config{Region: "us-east-1", Endpoint: endpoint, SkipVerify: true})
	if err != nil {
		return err
	}
	var options []core.Option
	if mode == "full" {
		options = append(options, core.WithRateLimit(1_000_000)) // no limit on the pace
	}
	p, err := core.New(client, options...)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	record := func(i int) core.Record {
		return core.Record{PartitionKey: fmt.Sprintf("%016x", rng.Uint64()), Data: data[i*size%(len(data)-size):][:size]}
	}
	if _, err := p.PutSync(ctx, stream, core.Record{PartitionKey: "first", Data: data[:size]}); err != nil { // the start is not measured
		return err
	}
	measured := records
	if mode == "overload" {
		measured = 0
	}
	times := make([]float64, measured) // of each record, in ms
	var open sync.WaitGroup
	put := func(ctx context.Context, i, n int) error {
		list := make([]core.Record, n)
		for k := range list {
			list[k] = record(i + k)
		}
		begun := time.Now()
		b, err := p.PutBatch(ctx, stream, list)
		if err != nil {
			return err
		}
		if i < measured {
			open.Add(1)
			b.OnSettled(func(b *core.Batch) {
				if err := b.Err(); err != nil {
					fmt.Fprintln(os.Stderr, "peerbench:", err)
					os.Exit(1)
				}
				for k := range b.Len() {
					times[i+k] = float64(time.Since(begun)) / 1e6
				}
				open.Done()
			})
		}
		return nil
	}
	start := time.Now()
	var waited []float64
	switch mode {
	case "full":
		for i := 0; i < records; i += batch {
			if err := put(ctx, i, min(batch, records-i)); err != nil {
				return err
			}
		}
		if err := p.Flush(ctx); err != nil {
			return err
		}
		open.Wait()
	case "rate":
		var waiter sync.WaitGroup
		n := records / rate * 10
		waiter.Go(func() {
			for i := range n {
				begun := time.Now()
				if _, err := p.PutSync(ctx, stream, core.Record{PartitionKey: fmt.Sprint("waiter-", i), Data: data[i*size%(len(data)-size):][:size]}); err != nil {
					fmt.Fprintln(os.Stderr, "peerbench:", err)
					os.Exit(1)
				}
				waited = append(waited, float64(time.Since(begun))/1e6)
				time.Sleep(max(0, 100*time.Millisecond-time.Since(begun)))
			}
		})
		for i := range records {
			due := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
			for time.Now().Before(due) {
				time.Sleep(time.Millisecond)
			}
			if err := put(ctx, i, 1); err != nil {
				return err
			}
		}
		open.Wait()
		waiter.Wait()
	case "overload":
		until, cancel := context.WithTimeout(ctx, time.Duration(records)*time.Second)
		defer cancel()
		for i := 0; until.Err() == nil; i++ {
			if err := put(until, i, 1); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
		}
	default:
		return fmt.Errorf("unknown mode %q; want full, rate or overload", mode)
	}
	fmt.Printf("%.3f %.1f %.1f %.1f %.1f\n", time.Since(start).Seconds(), percentile(times, 50), percentile(times, 99), percentile(waited, 50), percentile(waited, 99))
	if mode == "overload" {
		return nil // the rest is not waited for
	}
	return p.Close(ctx)
}

// percentile sorts the list.
func percentile[T cmp.Ordered](list []T, p int) (v T) {
	if len(list) == 0 {
		return v
	}
	slices.Sort(list)
	return list[min(len(list)-1, len(list)*p/100)]
}
