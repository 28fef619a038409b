// SPDX-License-Identifier: Apache-2.0

// Package body turns the body of an HTTP request into events: it undoes the
// content encodings, checks everything, and splits.
package body
