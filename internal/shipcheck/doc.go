// SPDX-License-Identifier: Apache-2.0

// Package shipcheck has no code: its tests look at what is shipped beside the programs
// (docker, conf, the pages of docs that name code, the workflows), and compare it with the
// code, so that a file that is broken or out of date fails.
//
//	go test ./internal/shipcheck
//
// What takes the libraries of others is in internal/schemacheck. Links and the table of
// docs/parity.md are checked by internal/docscheck, the configurations that ship files by
// fluentbit/internal/conftest.
package shipcheck
