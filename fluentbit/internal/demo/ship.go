// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/outkpl/outkpl/internal/plural"
)

// unknown is the number of confirmed events where the host does not tell it.
const unknown = -1

// ship runs the files through the plugin, in a real Fluent Bit if there is one,
// and returns how many events the plugin reported as confirmed.
func ship(ctx context.Context, in *inputs, m mode, k *local, dir string) (confirmed int, err error) {
	if bin := fluentBit(); bin != "" {
		return unknown, shipByFluentBit(ctx, bin, in, m, k, dir)
	}
	return shipByHost(ctx, in, m, k)
}

// fluentBit is the path of a real Fluent Bit, empty if there is none.
func fluentBit() string {
	if bin := os.Getenv("FLUENT_BIT"); bin != "" {
		return bin
	}
	bin, _ := exec.LookPath("fluent-bit")
	return bin
}

// hostCommand is the command that runs the host program, with further options.
func hostCommand(ctx context.Context, in *inputs, m mode, k *local, options ...string) *exec.Cmd {
	args := append([]string{"--workers", "4"}, options...)
	for _, p := range properties(in, m, k) {
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
	return exec.CommandContext(ctx, os.Getenv("FLB_HOST"), args...)
}

func shipByHost(ctx context.Context, in *inputs, m mode, k *local) (confirmed int, err error) {
	cmd := hostCommand(ctx, in, m, k, "--progress", "--max-seconds", "300")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("the host program failed: %w\n%s", err, out.Bytes())
	}
	var sum struct{ Events, Chunks, OK, Dropped, Left int }
	if err := json.Unmarshal(out.Bytes(), &sum); err != nil {
		return 0, fmt.Errorf("cannot read the sum of the host program: %w", err)
	}
	if sum.OK != sum.Chunks {
		return 0, fmt.Errorf("of %s %d %s confirmed, %d dropped, %d left", plural.Count(sum.Chunks, "chunk"), sum.OK, plural.Verb(sum.OK, "was", "were"), sum.Dropped, sum.Left)
	}
	return sum.Events, nil
}

// properties are the options of the output. One record an event takes some seconds, in which
// nobody is to be warned.
func properties(in *inputs, m mode, k *local) [][2]string {
	list := append([][2]string{{"region", "us-east-1"}, {"endpoint", k.url}, {"stream", m.stream}, {"flush_timeout", "20s"}}, m.properties...)
	for _, f := range in.files {
		if f.json {
			return append(list, [2]string{"partition_key", "kubernetes->pod_name"})
		}
	}
	return list // lines of text have no key; they are unkeyed
}

// fluentBitCommand makes the configuration and returns the command that runs it. service are
// further lines of the section of the service.
func fluentBitCommand(ctx context.Context, bin string, in *inputs, m mode, k *local, dir, service string) (*exec.Cmd, error) {
	var c strings.Builder
	parsers := filepath.Join(dir, "parsers.conf")
	if err := os.WriteFile(parsers, []byte("[PARSER]\n    Name json\n    Format json\n"), 0o600); err != nil {
		return nil, err
	}
	fmt.Fprintf(&c, "[SERVICE]\n    flush 1\n    grace 30\n    log_level warn\n    parsers_file %s\n%s", parsers, service)
	for i, f := range in.files {
		fmt.Fprintf(&c, "[INPUT]\n    name tail\n    path %s\n    tag file.%d\n    read_from_head on\n    refresh_interval 1\n    buffer_max_size 12M\n", f.path, i)
		if f.json {
			c.WriteString("    parser json\n")
		}
	}
	c.WriteString("[OUTPUT]\n    name kpl\n    match *\n    workers 4\n    retry_limit no_limits\n")
	for _, p := range properties(in, m, k) {
		fmt.Fprintf(&c, "    %s %s\n", p[0], p[1])
	}
	conf := filepath.Join(dir, "fluent-bit.conf")
	if err := os.WriteFile(conf, []byte(c.String()), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, bin, "-q", "-e", os.Getenv("OUT_KPL_SO"), "-c", conf)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd, nil
}

func shipByFluentBit(ctx context.Context, bin string, in *inputs, m mode, k *local, dir string) error {
	cmd, err := fluentBitCommand(ctx, bin, in, m, k, dir, "")
	if err != nil {
		return err
	}
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
			return fmt.Errorf("fluent bit ended by itself: %w", cmp.Or(err, errors.New("exit code 0")))
		case <-tick.C:
		}
		got, err := k.read(ctx, m.stream)
		if err != nil {
			_ = cmd.Process.Kill()
			return errors.Join(err, <-ended)
		}
		if n := len(got.events); n > seen {
			seen, progress = n, time.Now()
			fmt.Fprintf(os.Stderr, "  %d of %s in the stream\n", seen, plural.Count(in.count, "event"))
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
