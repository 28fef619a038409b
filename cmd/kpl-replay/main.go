// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/outkpl/outkpl/internal/option"
)

const (
	exitOK    = 0
	exitRest  = 1
	exitUsage = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the process.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parse(args)
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "kpl-replay: %v\nkpl-replay --help lists the flags\n", err)
		return exitUsage
	case o.help:
		fmt.Fprint(stdout, usage+option.Help(option.Specs(flags())))
		return exitOK
	case o.completion != "":
		p := option.Program{Name: "kpl-replay", Use: "kpl-replay --completion", Flags: option.Specs(flags())}
		fmt.Fprint(stdout, p.Completion(o.completion))
		return exitOK
	}
	job := replay
	switch {
	case o.list:
		job = list
	case o.dryRun:
		job = dryRun
	}
	complete, err := job(ctx, o, stdin, stdout, stderr)
	if err != nil {
		fmt.Fprintf(stderr, "kpl-replay: %v\n", err)
	}
	if err != nil || !complete {
		return exitRest
	}
	return exitOK
}
