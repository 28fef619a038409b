// SPDX-License-Identifier: Apache-2.0

//go:build kpltrial

package main

import (
	"fmt"
	"os"
	"runtime/pprof"
	"sync"
	"time"

	"go.uber.org/goleak"
)

// This file is for tests and measurements: go build -tags kpltrial.

// KPL_PANIC names an entry in which to panic; see entered.
func entered(entry string) {
	if os.Getenv("KPL_PANIC") == entry {
		panic("as KPL_PANIC says")
	}
}

// flushes has a line for each flush: begin and end in microseconds, and bytes. KPL_FLUSHES
// names the file.
var flushes = sync.OnceValue(func() *os.File {
	f, _ := os.OpenFile(os.Getenv("KPL_FLUSHES"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	return f // nil if there is no name
})

// traceFlush notes a flush; what it returns is called at the end.
func traceFlush(bytes int) func() {
	f, begin := flushes(), time.Now()
	return func() {
		if f != nil {
			fmt.Fprintln(f, begin.UnixMicro(), time.Now().UnixMicro(), bytes)
		}
	}
}

// A CPU profile of the time between the first Init and an Exit goes to the file that
// KPL_PROFILE names.
var startProfile = sync.OnceFunc(func() {
	if f, err := os.Create(os.Getenv("KPL_PROFILE")); err == nil {
		_ = pprof.StartCPUProfile(f)
	}
})

func stopProfile() { pprof.StopCPUProfile() }

// With KPL_LEAKS each Exit looks for goroutines that are still there. It is for hosts
// with one instance.
func leaks() {
	if os.Getenv("KPL_LEAKS") == "" {
		return
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, "goroutines left behind:", err)
		return
	}
	fmt.Fprintln(os.Stderr, "no goroutine left behind")
}
