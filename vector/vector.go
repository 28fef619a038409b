// SPDX-License-Identifier: Apache-2.0

// Package vector is the HTTP receiver: it takes log events from Vector, and from any
// other shipper that can post over HTTP, and writes them to Kinesis Data Streams. Its
// parts are below internal/:
//
//	config    options, from flags, the environment and a file
//	receiver  listeners, requests, delivery, answers; doc.go has the guarantees
//	body      a body in any of its formats becomes events
//	status    the status page
package vector

import (
	"context"
	"io"

	"github.com/outkpl/outkpl/vector/internal/receiver"
)

// Main is the program kpl-http without its process: cmd/kpl-http adds signals and the
// exit. args are the arguments without the name of the program, environ is what
// os.Environ returns. Main serves until ctx ends, and returns the exit code: 0, 1 if
// something failed, 2 if the command line or the configuration is wrong.
func Main(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	return receiver.Main(ctx, args, environ, stdout, stderr)
}
