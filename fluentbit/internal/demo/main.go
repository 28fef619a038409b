// SPDX-License-Identifier: Apache-2.0

// Command demo ships log lines through out_kpl.so into a Kinesis on this
// machine: one Kinesis record for each event, then aggregated, then combined and
// compressed. It reads the streams back as a consumer would, accounts for every
// event, and says what each way costs. It needs neither AWS nor Fluent Bit.
// `make demo` builds what it needs and starts it.
//
// Environment:
//
//	LOGS        files to ship, as copies, separated by blanks; patterns allowed. Default:
//	            logs under /var/log, or a generated sample if there are few;
//	            LOGS=sample always takes the sample
//	KINESIS     embedded (default), kinesalite or kinesis-local
//	FLUENT_BIT  a Fluent Bit binary. Default: fluent-bit on PATH, else the host
//	            program of this repository
//	OUT_KPL_SO, FLB_HOST  the built plugin and host program
//
// The exit code is 1 if anything was lost.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/outkpl/outkpl/internal/emulators"
	"github.com/outkpl/outkpl/internal/plural"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := demo(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

var errNotAll = errors.New("not every event arrived exactly once")

func demo(ctx context.Context) error {
	kind := os.Getenv("KINESIS")
	if err := check(kind, os.Getenv("FLUENT_BIT")); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "kpl-demo")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for k, v := range account(dir) {
		os.Setenv(k, v)
	}
	in, err := findInputs(os.Getenv("LOGS"), dir, kind == "kinesis-local")
	if err != nil {
		return err
	}
	fmt.Printf("events     %d from %s\n", in.count, in.describe())

	k, err := startKinesis(ctx, kind, in.count)
	if err != nil {
		return err
	}
	defer k.stop()
	fmt.Printf("kinesis    %s\n", k.name)
	if bin := fluentBit(); bin != "" {
		fmt.Printf("host       %s, 4 workers\n", bin)
	} else {
		fmt.Println("host       flb-host, 4 workers (no fluent-bit on PATH or in FLUENT_BIT)")
	}

	ran := make([]outcome, 0, len(modes))
	for _, m := range modes {
		fmt.Printf("ships      %s; into %s\n", m, plural.Count(m.shards(in.count), "shard"))
		start := time.Now()
		confirmed, err := ship(ctx, in, m, k, dir)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		took := time.Since(start)
		got, err := k.read(ctx, m.stream)
		if err != nil {
			return fmt.Errorf("%s: cannot read the stream back: %w", m.name, err)
		}
		ran = append(ran, outcome{mode: m, contents: got, confirmed: confirmed, took: took, found: in.compare(got)})
	}
	return report(in, ran)
}

// check refuses what could not be started, before anything takes time.
func check(kinesis, fluentBit string) error {
	switch kinesis {
	case "", embedded, string(emulators.Kinesalite), string(emulators.KinesisLocal):
	default:
		return fmt.Errorf("KINESIS: %q: not known; allowed: %s, %s or %s", kinesis, embedded, emulators.Kinesalite, emulators.KinesisLocal)
	}
	if fluentBit != "" {
		if _, err := exec.LookPath(fluentBit); err != nil {
			return fmt.Errorf("FLUENT_BIT: %q: cannot be run: %w; allowed: the path of a fluent-bit, such as /opt/fluent-bit/bin/fluent-bit, or nothing", fluentBit, errors.Unwrap(err))
		}
	}
	return nil
}

// account is the environment in which the plugin does not meet the account of the user. dir is
// an empty folder.
func account(dir string) map[string]string {
	none := filepath.Join(dir, "none")
	return map[string]string{
		"AWS_PROFILE": "", "AWS_SESSION_TOKEN": "", "AWS_CA_BUNDLE": "", "AWS_WEB_IDENTITY_TOKEN_FILE": "", "AWS_ENDPOINT_URL": "",
		"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo", "AWS_REGION": "us-east-1",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": none, "AWS_SHARED_CREDENTIALS_FILE": none,
	}
}
