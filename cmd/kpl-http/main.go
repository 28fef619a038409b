// SPDX-License-Identifier: Apache-2.0

// Command kpl-http takes log events over HTTP and writes them to Kinesis Data
// Streams; see package vector and docs/http.md.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/outkpl/outkpl/vector"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(vector.Main(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
