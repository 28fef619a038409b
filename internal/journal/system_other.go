// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package journal

// bootOf is not known here, so that Config.Sync is needed.
func bootOf() (id [16]byte) { return id }

func networkFileSystem(string) string { return "" }
