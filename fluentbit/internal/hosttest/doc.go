// SPDX-License-Identifier: Apache-2.0

// Package hosttest has no code: its tests build the plugin and the small host of
// fluentbit/internal/host, run one in the other against an in-process Kinesis, and count what
// arrives.
//
//	go test ./fluentbit/internal/hosttest
//	OUT_KPL_SO=/path/out_kpl.so FLB_HOST=/path/flb-host go test ./fluentbit/internal/hosttest
//
// They need a C compiler, or both variables; that of resharding needs Java and what
// "make jvm" makes, too. Without, they are skipped, but fail if CI is true.
package hosttest
