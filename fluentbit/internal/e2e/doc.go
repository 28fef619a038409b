// SPDX-License-Identifier: Apache-2.0

// Package e2e has no code: its tests run the built plugin in a real Fluent Bit
// against an in-process Kinesis, and account for every event.
//
//	make e2e FLUENT_BIT=/path/to/fluent-bit         # correctness; prints a table
//	make e2e-bench FLUENT_BIT=/path/to/fluent-bit   # CPU seconds for each GB, beside the built-in output
//
// Without FLUENT_BIT they are skipped. The binary needs the inputs tail, dummy and
// opentelemetry, the HTTP server and the YAML configuration, which official builds
// have. What a cell of the table means is in the name of its test; the columns are
// events that went in, that the plugin counted as confirmed, that a consumer reads,
// and how many of these are lost or there more than once. Of resharding the consumer is
// the KCL's own class: without Java and what "make jvm" makes those cells are missing.
package e2e
