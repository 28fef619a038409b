// SPDX-License-Identifier: Apache-2.0

//go:build !amd64 || purego

package md5lanes

const wide = false

func blocks8(*state, *[lanes]*byte, int) {
	panic("md5lanes: no wide implementation on this architecture")
}
