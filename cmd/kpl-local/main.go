// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/outkpl/outkpl/internal/option"
	"github.com/outkpl/outkpl/internal/plural"
	"github.com/outkpl/outkpl/internal/version"
)

const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `kpl-local is a Kinesis Data Streams on this machine, for trials and tests without an AWS
account: shards with the limits of AWS, hash keys, resharding, iterators. It takes any
credentials and checks no signature. All records are kept, in memory, and with --data in
a folder, too; none is ever dropped, so it is not for days of traffic.

Usage:
  kpl-local [flags]

Examples:
  kpl-local --streams logs:4,audit:1
  kpl-local --streams logs:4 --data ./kinesis
  AWS_REGION=eu-west-1 AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local \
    kplcat --endpoint http://127.0.0.1:4567 --follow logs

`

// run is main without the process.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := &options{}
	given, rest, problems := option.ReadArgs(flags, args, o)
	switch {
	case o.help:
		fmt.Fprint(stdout, usage+option.Help(option.Specs(flags)))
		return exitOK
	case o.version:
		fmt.Fprintln(stdout, "kpl-local "+version.Version())
		return exitOK
	case given.Has("completion") && len(problems) == 0:
		p := option.Program{Name: "kpl-local", Use: "kpl-local --completion", Flags: option.Specs(flags)}
		fmt.Fprint(stdout, p.Completion(o.completion))
		return exitOK
	}
	if len(rest) > 0 {
		problems = append(problems, &option.Problem{What: fmt.Sprintf("%s %s given: %q", plural.Count(len(rest), "argument"), plural.Verb(len(rest), "is", "are"), rest), Allowed: "flags only"})
	}
	if err := errors.Join(problems...); err != nil {
		fmt.Fprintf(stderr, "kpl-local: %v\nkpl-local --help lists the flags\n", err)
		return exitUsage
	}
	if err := serve(ctx, o, stdout); err != nil {
		fmt.Fprintf(stderr, "kpl-local: %v\n", err)
		return exitError
	}
	return exitOK
}
