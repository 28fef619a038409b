// SPDX-License-Identifier: Apache-2.0

package body

import (
	"testing"

	"go.uber.org/goleak"
)

// Decoders are kept in a pool that nobody closes, so they must not hold goroutines.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
