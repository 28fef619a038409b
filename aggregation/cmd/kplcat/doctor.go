// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
)

func runDoctor(ctx context.Context, args []string, stdout io.Writer) (int, error) {
	return exitUsage, usagef("not yet")
}
