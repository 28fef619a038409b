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
	"time"

	"github.com/outkpl/outkpl/internal/option"
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

func main() {
	// Writing to a pipe that nobody reads is then an error like any other.
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program. The end of ctx is a wish to end, not a failure.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	code, err := command(ctx, args, stdin, stdout, stderr)
	if err == nil || brokenPipe(err) {
		return code
	}
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(stderr, "%s\nkplcat%s --help says more.\n", prefixLines(err), usage.command)
		return exitUsage
	}
	fmt.Fprintln(stderr, prefixLines(err))
	return exitError
}

func command(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if len(args) > 0 && args[0] == "doctor" {
		return runDoctor(ctx, args[1:], stdout)
	}
	if len(args) > 0 && args[0] == "top" {
		return runTop(ctx, args[1:], stdin, stdout, stderr)
	}
	o, err := parseOptions(args)
	if err != nil {
		return exitUsage, err
	}
	switch {
	case o.help:
		return exitOK, writeString(stdout, manualHead+option.Help(option.Specs(readFlags))+manualTemplates+manualTail)
	case o.version:
		return exitOK, writeString(stdout, version()+"\n")
	case o.completion != "":
		return exitOK, writeString(stdout, completion(o.completion))
	}
	wait := newWaiting(o, stderr, time.Now())
	defer wait.end()
	warn := newWarner(wait.over(stderr))
	v, err := newView(o, stdout, wait)
	if err != nil {
		return exitError, err
	}
	if o.verify != "" {
		if v.given, err = readGiven(ctx, o.verify, stdin); err != nil {
			return exitError, err
		}
	}
	if o.files != nil {
		err = catFiles(ctx, o, v, stdin, warn)
	} else {
		err = catStream(ctx, o, v, warn)
	}
	if errors.Is(err, errLimit) || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	if brokenPipe(err) {
		return exitOK, err
	}
	verify := v.given
	if err != nil && verify != nil {
		v.given = nil // what was not read may be there
		err = errors.Join(err, errors.New("--verify: not everything was read, so it is not known what is missing"))
	}
	if err == nil || v.records > 0 {
		err = errors.Join(err, v.finish())
	}
	warn.flush()
	wait.end()
	if !o.quiet && !brokenPipe(err) && (err == nil || v.records > 0) {
		v.summary(stderr)
	}
	if err == nil && verify != nil && !verify.exact() {
		if hint := verify.hint(o); hint != "" {
			fmt.Fprintln(stderr, "kplcat: "+hint)
		}
		return exitError, nil
	}
	return exitOK, err
}

func writeString(w io.Writer, s string) error {
	_, err := io.WriteString(w, s)
	return err
}

// brokenPipe reports whether the reader of the output has gone, as head does when
// it has seen enough.
func brokenPipe(err error) bool {
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}
