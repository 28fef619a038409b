// SPDX-License-Identifier: Apache-2.0

//go:build amd64 && !purego

#include "textflag.h"

DATA mirror<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA mirror<>+8(SB)/8, $0x0001020304050607
DATA mirror<>+16(SB)/8, $0x08090a0b0c0d0e0f
DATA mirror<>+24(SB)/8, $0x0001020304050607
GLOBL mirror<>(SB), (NOPTR+RODATA), $32

DATA reduction<>+0(SB)/8, $0xc200000000000000
DATA reduction<>+8(SB)/8, $0xc200000000000000
GLOBL reduction<>(SB), (NOPTR+RODATA), $16

// func hasVPCLMULQDQ() bool
TEXT ·hasVPCLMULQDQ(SB), NOSPLIT, $0-1
	MOVL $7, AX
	XORL CX, CX
	CPUID
	SHRL $10, CX
	ANDL $1, CX
	MOVB CX, ret+0(FP)
	RET

// MULTIPLY adds the products of the two blocks in Y0 with their powers to low (Y4), middle (Y5) and high (Y6).
#define MULTIPLY(i) \
	VPSHUFD    $0x4e, Y0, Y1            \
	VPXOR      Y0, Y1, Y1               \
	VMOVDQU    (32*i)(AX), Y2           \
	VPCLMULQDQ $0x00, Y2, Y0, Y3        \
	VPXOR      Y3, Y4, Y4               \
	VPCLMULQDQ $0x11, Y2, Y0, Y3        \
	VPXOR      Y3, Y6, Y6               \
	VPCLMULQDQ $0x00, (256+32*i)(AX), Y1, Y3 \
	VPXOR      Y3, Y5, Y5

#define LOAD(i) \
	VMOVDQU (32*i)(SI), Y0 \
	VPSHUFB Y7, Y0, Y0

// func hashBlocks(t *table, state *[Size]byte, data *byte, n int)
TEXT ·hashBlocks(SB), NOSPLIT, $0-32
	MOVQ t+0(FP), AX
	MOVQ state+8(FP), DI
	MOVQ data+16(FP), SI
	MOVQ n+24(FP), CX

	VMOVDQU mirror<>(SB), Y7
	VMOVDQU reduction<>(SB), X9
	VMOVDQU (DI), X8            // the other half of Y8 is 0 from here on
	VPSHUFB X7, X8, X8

loop:
	VPXOR Y4, Y4, Y4
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	LOAD(1)
	MULTIPLY(1)
	LOAD(2)
	MULTIPLY(2)
	LOAD(3)
	MULTIPLY(3)
	LOAD(4)
	MULTIPLY(4)
	LOAD(5)
	MULTIPLY(5)
	LOAD(6)
	MULTIPLY(6)
	LOAD(7)
	MULTIPLY(7)
	LOAD(0)                     // last, as it needs the sum of the blocks before
	VPXOR Y8, Y0, Y0
	MULTIPLY(0)

	// The even blocks and the odd ones.
	VEXTRACTI128 $1, Y4, X0
	VPXOR X0, X4, X4
	VEXTRACTI128 $1, Y5, X0
	VPXOR X0, X5, X5
	VEXTRACTI128 $1, Y6, X0
	VPXOR X0, X6, X6

	// The middle belongs to the upper half of low and the lower half of high.
	VPXOR X4, X5, X5
	VPXOR X6, X5, X5
	VPSLLDQ $8, X5, X0
	VPXOR X0, X4, X4
	VPSRLDQ $8, X5, X5
	VPXOR X5, X6, X6

	// Low is reduced, half by half, into high.
	VPCLMULQDQ $0x00, X9, X4, X0
	VPSHUFD $0x4e, X4, X4
	VPXOR X0, X4, X4
	VPCLMULQDQ $0x00, X9, X4, X0
	VPSHUFD $0x4e, X4, X4
	VPXOR X0, X4, X4
	VPXOR X4, X6, X8

	ADDQ $256, SI
	SUBQ $1, CX
	JNZ loop

	VPSHUFB X7, X8, X8
	VMOVDQU X8, (DI)
	VZEROUPPER
	RET
