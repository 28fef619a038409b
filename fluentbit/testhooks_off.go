// SPDX-License-Identifier: Apache-2.0

//go:build !kpltrial

package main

// These do nothing in an ordinary build; see testhooks_on.go.

func entered(string)        {}
func traceFlush(int) func() { return func() {} }
func startProfile()         {}
func stopProfile()          {}
func leaks()                {}
