// SPDX-License-Identifier: Apache-2.0

// Package consumers runs the decoders of docs/consumers.md, in each of their languages,
// on what the producers write. It has tests only.
//
// Python comes from the environment in build/consumers that "make consumers" makes, the
// packages of JavaScript and Java from internal/emulators. Where something is missing the
// test is left out, and fails with CI=true. "make decoders CONSUMERS_LOGS=folder" takes the
// files of a folder besides, line by line and with several lines an event.
package consumers
