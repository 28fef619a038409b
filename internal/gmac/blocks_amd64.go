// SPDX-License-Identifier: Apache-2.0

//go:build amd64 && !purego

package gmac

import "golang.org/x/sys/cpu"

// wide tells whether the processor multiplies two blocks at once. The package cpu tells of VPCLMULQDQ only
// where there is AVX-512 too, which this does not need.
var wide = cpu.X86.HasAVX2 && cpu.X86.HasPCLMULQDQ && hasVPCLMULQDQ()

// hasVPCLMULQDQ asks the processor. AVX2 says that it answers this question.
func hasVPCLMULQDQ() bool

// widest tells whether it multiplies four.
var widest = wide && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VPCLMULQDQ

// hashBlocks hashes n times strideLen bytes behind what state is the hash of.
func hashBlocks(t *table, state *[Size]byte, data *byte, n int) {
	if widest {
		hashBlocks4(t, state, data, n)
		return
	}
	hashBlocks2(t, state, data, n)
}

//go:noescape
func hashBlocks2(t *table, state *[Size]byte, data *byte, n int)

//go:noescape
func hashBlocks4(t *table, state *[Size]byte, data *byte, n int)
