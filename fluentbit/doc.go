// SPDX-License-Identifier: Apache-2.0

// Command fluentbit is the Fluent Bit output plugin "kpl", built as a shared object:
//
//	go build -buildmode=c-shared -o out_kpl.so ./fluentbit
//	fluent-bit -e ./out_kpl.so -i dummy -o kpl -p stream=logs -p region=eu-west-1 -p workers=4
//
// It is only the shell: the host's binary interface (shim.h, abi.c), the passing of
// flushes from the host's threads to goroutines (flushpool.c), lines for the host's log
// (log.c, logger.go) and the glue between them (main.go). What the plugin does is in
// package plugin.
//
// # Stacks and threads
//
// The host calls a flush on the small stack of a coroutine, where Go must not run.
// FLBPluginFlushCtx is therefore C: it puts the request where a parked goroutine finds
// it, and sleeps until the answer is there. Register, Init and Exit are called on
// ordinary stacks of the host's threads, so C calls straight into Go there.
//
// # Guarantees
//
// Exit is safe for instances that were never initialised. A panic in Go becomes a
// failed Init or a retried flush. In a process forked after loading, Init fails with a
// clear message instead of hanging. Several instances and hot reload work: all state
// hangs off the instance, and ends with it.
//
// # Limits
//
// 64-bit Linux with glibc. Hosts since 2.0 are meant to work; what was tested is
// written in the documentation. The number of flushes at one time is bounded at 1024.
package main
