// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ship runs the files through the plugin, in a real Fluent Bit if there is one.
func ship(ctx context.Context, in *inputs, k *local, dir string) error {
	fluentBit := os.Getenv("FLUENT_BIT")
	if fluentBit == "" {
		fluentBit, _ = exec.LookPath("fluent-bit")
	}
	if fluentBit != "" {
		return shipByFluentBit(ctx, fluentBit, in, k, dir)
	}
	return shipByHost(ctx, in, k)
}

func shipByHost(ctx context.Context, in *inputs, k *local) error {
	fmt.Println("host       flb-host, 4 workers (no fluent-bit on PATH or in FLUENT_BIT)")
	args := []string{"--workers", "4", "--progress", "--max-seconds", "300"}
	for _, p := range properties(k) {
		args = append(args, "-p", p[0]+"="+p[1])
	}
	args = append(args, os.Getenv("OUT_KPL_SO"))
	for _, f := range in.files {
		format := "lines"
		if f.json {
			format = "json"
		}
		args = append(args, "--format", format, f.path)
	}
	cmd := exec.CommandContext(ctx, os.Getenv("FLB_HOST"), args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the host program failed: %w", err)
	}
	return nil
}

// properties are the options of the output.
func properties(k *local) [][2]string {
	return [][2]string{
		{"region", "us-east-1"}, {"endpoint", k.url}, {"stream", streamName},
		{"partition_key", "kubernetes->pod_name"}, {"partition_key_missing", "spread"},
	}
}

func shipByFluentBit(ctx context.Context, bin string, in *inputs, k *local, dir string) error {
	fmt.Printf("host       %s, 4 workers\n", bin)
	var c strings.Builder
	parsers := filepath.Join(dir, "parsers.conf")
	if err := os.WriteFile(parsers, []byte("[PARSER]\n    Name json\n    Format json\n"), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(&c, "[SERVICE]\n    flush 1\n    grace 10\n    log_level warn\n    parsers_file %s\n", parsers)
	for i, f := range in.files {
		fmt.Fprintf(&c, "[INPUT]\n    name tail\n    path %s\n    tag file.%d\n    read_from_head on\n    refresh_interval 1\n    buffer_max_size 12M\n", f.path, i)
		if f.json {
			c.WriteString("    parser json\n")
		}
	}
	c.WriteString("[OUTPUT]\n    name kpl\n    match *\n    workers 4\n    retry_limit no_limits\n")
	for _, p := range properties(k) {
		fmt.Fprintf(&c, "    %s %s\n", p[0], p[1])
	}
	conf := filepath.Join(dir, "fluent-bit.conf")
	if err := os.WriteFile(conf, []byte(c.String()), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, bin, "-q", "-e", os.Getenv("OUT_KPL_SO"), "-c", conf)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	seen, progress := 0, time.Now()
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("fluent bit ended by itself: %v", err)
		case <-tick.C:
		}
		got, err := k.read(ctx)
		if err != nil {
			_ = cmd.Process.Kill()
			<-ended
			return err
		}
		if n := len(got.Records); n > seen {
			seen, progress = n, time.Now()
			fmt.Fprintf(os.Stderr, "  %d of %d events in the stream\n", seen, in.count)
		}
		if seen >= in.count || time.Since(progress) > 30*time.Second {
			break
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return <-ended
}
