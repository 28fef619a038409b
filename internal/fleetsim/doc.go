// SPDX-License-Identifier: Apache-2.0

// Command fleetsim simulates many producers that write to one stream. The
// producers' limiter is the one of the producer itself (internal/pace); the
// shards, the network and the demand are models. Nothing waits: time is a number.
//
//	go run ./internal/fleetsim                         # tables on standard output
//	go run ./internal/fleetsim -out docs/scaling       # plots into docs/scaling, tables into docs/scaling.md
//
// The same seed gives the same bytes, on one kind of processor.
package main
