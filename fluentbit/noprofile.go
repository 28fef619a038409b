// SPDX-License-Identifier: Apache-2.0

//go:build !profile

package main

// profile does nothing in an ordinary build; see profile.go.
var profile = struct {
	start, stop func()
}{func() {}, func() {}}
