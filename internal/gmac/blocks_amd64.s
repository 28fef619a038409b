// SPDX-License-Identifier: Apache-2.0

//go:build amd64 && !purego

#include "textflag.h"

DATA mirror<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA mirror<>+8(SB)/8, $0x0001020304050607
DATA mirror<>+16(SB)/8, $0x08090a0b0c0d0e0f
DATA mirror<>+24(SB)/8, $0x0001020304050607
DATA mirror<>+32(SB)/8, $0x08090a0b0c0d0e0f
DATA mirror<>+40(SB)/8, $0x0001020304050607
DATA mirror<>+48(SB)/8, $0x08090a0b0c0d0e0f
DATA mirror<>+56(SB)/8, $0x0001020304050607
GLOBL mirror<>(SB), (NOPTR+RODATA), $64

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

// The offset of table.sums.
#define SUMS 1024

// REDUCE makes the new state, in X8, of the sums of the products in X4 (low), X5 (middle) and X6 (high).
// The middle belongs to the upper half of low and the lower half of high. Then low is reduced, half by half, into high.
#define REDUCE \
	VPXOR X4, X5, X5   \
	VPXOR X6, X5, X5   \
	VPSLLDQ $8, X5, X0 \
	VPXOR X0, X4, X4   \
	VPSRLDQ $8, X5, X5 \
	VPXOR X5, X6, X6   \
	VPCLMULQDQ $0x00, X9, X4, X0 \
	VPSHUFD $0x4e, X4, X4        \
	VPXOR X0, X4, X4             \
	VPCLMULQDQ $0x00, X9, X4, X0 \
	VPSHUFD $0x4e, X4, X4        \
	VPXOR X0, X4, X4             \
	VPXOR X4, X6, X8

// HALVES adds the two halves of Y4, Y5 and Y6.
#define HALVES \
	VEXTRACTI128 $1, Y4, X0 \
	VPXOR X0, X4, X4        \
	VEXTRACTI128 $1, Y5, X0 \
	VPXOR X0, X5, X5        \
	VEXTRACTI128 $1, Y6, X0 \
	VPXOR X0, X6, X6

// REPEAT ends a round, and after the last one the function. What is added in a round is in Y4, Y5 and Y6.
#define REPEAT \
	HALVES     \
	REDUCE     \
	ADDQ $1024, SI \
	SUBQ $1, CX    \
	JNZ  loop      \
	VPSHUFB X7, X8, X8 \
	VMOVDQU X8, (DI)   \
	VZEROUPPER         \
	RET

// LOAD2 and MULTIPLY2 take two blocks at once, and add the products with their powers to Y4 (low), Y5 (middle) and Y6 (high).
#define LOAD2(i) \
	VMOVDQU (32*i)(SI), Y0 \
	VPSHUFB Y7, Y0, Y0

#define MULTIPLY2(i) \
	VPSHUFD    $0x4e, Y0, Y1            \
	VPXOR      Y0, Y1, Y1               \
	VMOVDQU    (32*i)(AX), Y2           \
	VPCLMULQDQ $0x00, Y2, Y0, Y3        \
	VPXOR      Y3, Y4, Y4               \
	VPCLMULQDQ $0x11, Y2, Y0, Y3        \
	VPXOR      Y3, Y6, Y6               \
	VPCLMULQDQ $0x00, (SUMS+32*i)(AX), Y1, Y3 \
	VPXOR      Y3, Y5, Y5

#define STEP2(i) \
	LOAD2(i)     \
	MULTIPLY2(i)

// func hashBlocks2(t *table, state *[Size]byte, data *byte, n int)
TEXT ·hashBlocks2(SB), NOSPLIT, $0-32
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
	STEP2(1)
	STEP2(2)
	STEP2(3)
	STEP2(4)
	STEP2(5)
	STEP2(6)
	STEP2(7)
	STEP2(8)
	STEP2(9)
	STEP2(10)
	STEP2(11)
	STEP2(12)
	STEP2(13)
	STEP2(14)
	STEP2(15)
	STEP2(16)
	STEP2(17)
	STEP2(18)
	STEP2(19)
	STEP2(20)
	STEP2(21)
	STEP2(22)
	STEP2(23)
	STEP2(24)
	STEP2(25)
	STEP2(26)
	STEP2(27)
	STEP2(28)
	STEP2(29)
	STEP2(30)
	STEP2(31)
	LOAD2(0)                    // last, as it needs the sum of the blocks before
	VPXOR Y8, Y0, Y0
	MULTIPLY2(0)
	REPEAT

// LOAD4 and MULTIPLY4 take four blocks at once. This is about as fast as memory: what comes a page later is fetched
// ahead, as processors themselves stop at the end of a page. That may be behind the data, which does no harm.
#define LOAD4(i) \
	PREFETCHT0 (4096+64*i)(SI) \
	VMOVDQU64 (64*i)(SI), Z0 \
	VPSHUFB Z7, Z0, Z0

#define MULTIPLY4(i) \
	VPSHUFD    $0x4e, Z0, Z1            \
	VPXORQ     Z0, Z1, Z1               \
	VMOVDQU64  (64*i)(AX), Z2           \
	VPCLMULQDQ $0x00, Z2, Z0, Z3        \
	VPXORQ     Z3, Z4, Z4               \
	VPCLMULQDQ $0x11, Z2, Z0, Z3        \
	VPXORQ     Z3, Z6, Z6               \
	VPCLMULQDQ $0x00, (SUMS+64*i)(AX), Z1, Z3 \
	VPXORQ     Z3, Z5, Z5

#define STEP4(i) \
	LOAD4(i)     \
	MULTIPLY4(i)

// func hashBlocks4(t *table, state *[Size]byte, data *byte, n int)
TEXT ·hashBlocks4(SB), NOSPLIT, $0-32
	MOVQ t+0(FP), AX
	MOVQ state+8(FP), DI
	MOVQ data+16(FP), SI
	MOVQ n+24(FP), CX

	VMOVDQU64 mirror<>(SB), Z7
	VMOVDQU reduction<>(SB), X9
	VMOVDQU (DI), X8            // the rest of Z8 is 0 from here on
	VPSHUFB X7, X8, X8

loop:
	VPXOR Y4, Y4, Y4            // of Z4, too
	VPXOR Y5, Y5, Y5
	VPXOR Y6, Y6, Y6
	STEP4(1)
	STEP4(2)
	STEP4(3)
	STEP4(4)
	STEP4(5)
	STEP4(6)
	STEP4(7)
	STEP4(8)
	STEP4(9)
	STEP4(10)
	STEP4(11)
	STEP4(12)
	STEP4(13)
	STEP4(14)
	STEP4(15)
	LOAD4(0)
	VPXORQ Z8, Z0, Z0
	MULTIPLY4(0)
	VEXTRACTI64X4 $1, Z4, Y0
	VPXOR Y0, Y4, Y4
	VEXTRACTI64X4 $1, Z5, Y0
	VPXOR Y0, Y5, Y5
	VEXTRACTI64X4 $1, Z6, Y0
	VPXOR Y0, Y6, Y6
	REPEAT
