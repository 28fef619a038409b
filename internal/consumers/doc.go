// SPDX-License-Identifier: Apache-2.0

// Package consumers runs the decoders of docs/consumers.md, in each of their languages,
// on what the producers write. It has tests only.
//
// Python comes from the environment in build/consumers that "make consumers" makes, the
// packages of JavaScript and Java from internal/emulators. Where something is missing the
// test is left out, and fails with CI=true.
package consumers
