// SPDX-License-Identifier: Apache-2.0

// Package answers lets the producer lend its client the memory for the entries of an answer. There
// is one for each Kinesis record, which without aggregation is one for each user record, and all are
// done with when the answer is worked in.
package answers

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// Memory is what a client may read an answer to PutRecords into. It belongs to one call at a time.
type Memory struct {
	Entries []types.PutRecordsResultEntry
	// Texts are what the entries point to. Their bytes are not in here, so that a copy of a text can
	// be kept.
	Texts []string
}

// Clear lets go of what was read, and keeps the memory.
func (m *Memory) Clear() {
	clear(m.Entries)
	clear(m.Texts)
	m.Entries, m.Texts = m.Entries[:0], m.Texts[:0]
}

type key struct{}

// With returns a context under which a client may use m until the call has returned, and what it
// returns is in there.
func With(ctx context.Context, m *Memory) context.Context { return context.WithValue(ctx, key{}, m) }

// From returns the memory lent with the context, or nil.
func From(ctx context.Context) *Memory {
	m, _ := ctx.Value(key{}).(*Memory)
	return m
}
