// SPDX-License-Identifier: Apache-2.0

// Package vectorpb holds what is needed of the messages of Vector's own protocol, for
// tests: package body reads them without generated types, and is compared with these.
package vectorpb
