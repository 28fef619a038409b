// SPDX-License-Identifier: Apache-2.0

// Package invariants switches assertions on: with the race detector, or with the build
// tag "invariants". In other builds Enabled is a constant false, so that the compiler
// leaves out what depends on it.
//
//	if invariants.Enabled {
//		if broken := sums.check(); broken != "" {
//			invariants.Fail(broken)
//		}
//	}
//
// It is safe for concurrent use.
package invariants

import "runtime/debug"

// Fail ends the process with the message and the stack of the caller. It does not
// return. The panic comes in a goroutine of its own: callers, HTTP servers and tests
// guard themselves against panics, and an assertion that one of them swallows would be none.
func Fail(message string) {
	go panic(message + "\n\n" + string(debug.Stack()))
	select {}
}
