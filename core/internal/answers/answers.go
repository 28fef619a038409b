// SPDX-License-Identifier: Apache-2.0

// Package answers lets the producer lend its client the memory for the entries of an answer. There
// is one for each Kinesis record, which without aggregation is one for each user record, and all are
// done with when the answer is worked in.
package answers

import (
	"context"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// Memory is what an answer to PutRecords may be read into. It is lent for one call of the producer, and the
// first who takes it has it: a client may make several calls for one, and leave one of them behind.
type Memory struct {
	Entries []types.PutRecordsResultEntry
	// Texts are what the entries point to. Their bytes are not in here, so that a copy of a text can
	// be kept.
	Texts []string

	state atomic.Int32
}

const (
	lent = iota
	taken
	returned
)

// maxKept is how many entries and texts are kept; a call has at most 500 records.
const maxKept = 2048

type key struct{}

// Lend returns a context under which the memory can be taken, once.
func (m *Memory) Lend(ctx context.Context) context.Context {
	m.state.Store(lent)
	return context.WithValue(ctx, key{}, m)
}

// Take returns the memory that is lent with the context, for the caller alone until it calls Return. It
// returns nil if there is none, or if another has it or had it.
func Take(ctx context.Context) *Memory {
	m, _ := ctx.Value(key{}).(*Memory)
	if m == nil || !m.state.CompareAndSwap(lent, taken) {
		return nil
	}
	return m
}

// Return tells that nothing is written any more.
func (m *Memory) Return() { m.state.Store(returned) }

// Reuse lets go of what was read. It reports false if the memory must not be used again, since a call may
// still write to it, or is not worth it.
func (m *Memory) Reuse() bool {
	if m.state.Load() != returned || cap(m.Entries) > maxKept || cap(m.Texts) > maxKept {
		return false
	}
	m.Clear()
	return true
}

// Clear lets go of what was read, and keeps the memory.
func (m *Memory) Clear() {
	clear(m.Entries)
	clear(m.Texts)
	m.Entries, m.Texts = m.Entries[:0], m.Texts[:0]
}
