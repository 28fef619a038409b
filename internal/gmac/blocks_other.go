// SPDX-License-Identifier: Apache-2.0

//go:build !amd64 || purego

package gmac

const wide = false

var widest bool

func hashBlocks(*table, *[Size]byte, *byte, int) {
	panic("gmac: no wide implementation on this architecture")
}
