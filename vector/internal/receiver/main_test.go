// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc/encoding"
)

func TestMain(m *testing.M) {
	// Of the clients that tests have.
	encoding.RegisterCompressor(zstdCompressor{})
	encoding.RegisterCompressor(snappyCompressor{})
	goleak.VerifyTestMain(m)
}
