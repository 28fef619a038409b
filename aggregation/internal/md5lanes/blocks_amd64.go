// SPDX-License-Identifier: Apache-2.0

//go:build amd64 && !purego

package md5lanes

import "golang.org/x/sys/cpu"

//go:generate go run gen.go -out blocks_amd64.s

var wide = cpu.X86.HasAVX2

// blocks8 works n blocks of 64 bytes of each lane into the state. data[i] points
// to the blocks of lane i.
//
//go:noescape
func blocks8(s *state, data *[lanes]*byte, n int)
