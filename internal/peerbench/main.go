// SPDX-License-Identifier: Apache-2.0

// Peerbench compares the producer with aiokpl, the port of the KPL to Python
// (https://pypi.org/project/aiokpl/), in one run. Each sends records of 200 bytes
// with distinct keys to the same in-process Kinesis of 16 shards over plain HTTP,
// from a process of its own, and waits until every record is confirmed. The
// settings are the same: aggregates of 51,200 bytes, 100 ms of buffering, no
// limit on the pace.
//
//	go run ./internal/peerbench [-records N] [-python PATH]
//
// With -kpl it compares with the real KPL instead, in as many rounds: over TLS, with 16
// shards, records that come one by one, the load of a producer, and its latency and memory.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/kinesistest"
)

//go:embed aiokpl_client.py
var aiokplClient string

const (
	stream    = "bench"
	shards    = 16
	dataBytes = 200
	batch     = 8192
)

func main() {
	records := flag.Int("records", 1_000_000, "records for this producer; aiokpl gets a thirtieth of them")
	python := flag.String("python", "", "python3 that has aiokpl; empty leaves aiokpl out")
	client := flag.String("client", "", "used by the program itself: send to this endpoint")
	rounds := flag.Int("kpl", 0, "rounds beside the real KPL; 0: none")
	loads := flag.String("loads", "", "beside the real KPL, only loads whose names contain this")
	load := flag.String("load", "", "used by the program itself: load this endpoint")
	batch := flag.Int("batch", 1, "likewise: records in a batch")
	flag.Parse()
	if err := credentials(); err != nil {
		fmt.Fprintln(os.Stderr, "peerbench:", err)
		os.Exit(1)
	}
	var err error
	switch {
	case *load != "":
		err = sendLoad(*load, *batch, flag.Args())
	case *rounds > 0:
		err = besideKPL(*rounds, *loads)
	default:
		err = run(*records, *python, *client)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peerbench:", err)
		os.Exit(1)
	}
}

// credentials sets some; the fake checks no signature.
func credentials() error {
	for _, kv := range [][2]string{{"AWS_ACCESS_KEY_ID", "test"}, {"AWS_SECRET_ACCESS_KEY", "test"}, {"AWS_REGION", "us-east-1"}} {
		if err := os.Setenv(kv[0], kv[1]); err != nil {
			return err
		}
	}
	return nil
}

func run(records int, python, client string) error {
	if client != "" {
		return send(client, records)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ours, err := measure(records, self, "-client", "{endpoint}", "-records", strconv.Itoa(records))
	if err != nil {
		return err
	}
	fmt.Printf("%-8s %10s %12s %14s %11s\n", "", "records", "records/s", "records/CPU-s", "records/KR")
	ours.print("out_kpl")
	if python == "" {
		fmt.Println("aiokpl   not measured: python3 with venv and pip, and its package, are needed")
		return nil
	}
	n := max(records/30, 1000)
	theirs, err := measure(n, python, "-c", aiokplClient, "{endpoint}", stream, strconv.Itoa(n), strconv.Itoa(dataBytes))
	if err != nil {
		return err
	}
	theirs.print("aiokpl")
	fmt.Printf("ratio    %10s %11.0fx %13.0fx\n", "", ours.rate()/theirs.rate(), ours.cpuRate()/theirs.cpuRate())
	return nil
}

// result is what a sender did.
type result struct {
	records, kinesisRecords int
	elapsed, cpu            time.Duration
}

func (r result) rate() float64    { return float64(r.records) / r.elapsed.Seconds() }
func (r result) cpuRate() float64 { return float64(r.records) / r.cpu.Seconds() }

func (r result) print(name string) {
	fmt.Printf("%-8s %10d %12.0f %14.0f %11.1f\n", name, r.records, r.rate(), r.cpuRate(), float64(r.records)/float64(r.kinesisRecords))
}

// measure runs a sender, which prints the seconds from its first record to the
// last confirmation, against a server of its own.
func measure(records int, name string, args ...string) (result, error) {
	s := kinesistest.New(kinesistest.WithStream(stream, shards), kinesistest.WithCountOnly())
	if err := s.Start(); err != nil {
		return result{}, err
	}
	defer func() { _ = s.Close() }()
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "{endpoint}", s.URL())
	}
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("cannot run %s: %w", name, err)
	}
	seconds, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		return result{}, fmt.Errorf("cannot read the answer of %s: %w", name, err)
	}
	st := s.Stats()
	return result{
		records: records, kinesisRecords: int(st.Records), elapsed: time.Duration(seconds * float64(time.Second)),
		cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
	}, nil
}

// send is the sender of this project.
func send(endpoint string, n int) error {
	ctx := context.Background()
	client, err := awsclient.New(ctx, awsclient.Config{Region: "us-east-1", Endpoint: endpoint})
	if err != nil {
		return err
	}
	p, err := core.New(client, core.WithRateLimit(1_000_000))
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, n*dataBytes)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	records := make([]core.Record, n)
	for i := range records {
		records[i] = core.Record{PartitionKey: fmt.Sprintf("%016x", rng.Uint64()), Data: data[i*dataBytes:][:dataBytes]}
	}
	start := time.Now()
	var last *core.Batch
	for at := 0; at < n; at += batch {
		b, err := p.PutBatch(ctx, stream, records[at:min(n, at+batch)])
		if err != nil {
			return err
		}
		last = b
	}
	if err := last.Wait(ctx); err != nil {
		return err
	}
	if err := p.Close(ctx); err != nil {
		return err
	}
	if st := p.Stats(); st.Confirmed != uint64(n) {
		return fmt.Errorf("cannot confirm all: %d of %d", st.Confirmed, n)
	}
	fmt.Println(time.Since(start).Seconds())
	return nil
}
