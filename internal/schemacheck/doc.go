// SPDX-License-Identifier: Apache-2.0

// Package schemacheck has no code: its tests read the manifests, rules and samples of the
// folders conf and docker with the libraries of those who define them, so that what they
// would refuse fails here.
//
//	cd internal/schemacheck && go test ./...
//
// It is a module of its own, so that nobody who uses the producer gets these libraries.
// What can be checked without them is in internal/shipcheck.
package schemacheck
