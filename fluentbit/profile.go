// SPDX-License-Identifier: Apache-2.0

//go:build profile

package main

import (
	"os"
	"runtime/pprof"
	"sync"
)

// profile writes a CPU profile of the time between the first Init and an Exit to the
// file that KPL_PROFILE names. For measurements only: go build -tags profile.
var profile = struct {
	start, stop func()
}{
	start: sync.OnceFunc(func() {
		if f, err := os.Create(os.Getenv("KPL_PROFILE")); err == nil {
			_ = pprof.StartCPUProfile(f)
		}
	}),
	stop: pprof.StopCPUProfile,
}
