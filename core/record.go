// SPDX-License-Identifier: Apache-2.0

package core

// Record is one user record.
//
// A record with neither PartitionKey nor ExplicitHashKey is unkeyed: the producer
// chooses the shard. Data and PartitionKey are kept by reference and
// must not change until the batch that carries the record has settled.
type Record struct {
	// PartitionKey is 1 to 256 characters, or empty for an unkeyed record.
	PartitionKey string
	// ExplicitHashKey is a decimal number from 0 to 2^128-1 that overrides the
	// hash of PartitionKey, or empty.
	ExplicitHashKey string
	// Data is the payload. It may be empty.
	Data []byte
	// Value belongs to the caller: the producer only hands it back, in Outcome, Result
	// and Batch.Value. A pointer in it costs no allocation.
	Value any
}
