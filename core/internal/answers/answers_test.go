// SPDX-License-Identifier: Apache-2.0

package answers

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

// The memory of a call has one user at most, and is used again only if that is known to have ended.
func TestMemoryHasOneUser(t *testing.T) {
	m := new(Memory)
	if Take(t.Context()) != nil {
		t.Error("unexpected memory of a context without any")
	}
	ctx := m.Lend(t.Context())
	if m.Reuse() {
		t.Error("unexpected use of memory that a call may still take")
	}
	if Take(ctx) != m || Take(ctx) != nil {
		t.Error("unexpected user; want the first one alone")
	}
	m.Entries, m.Texts = make([]types.PutRecordsResultEntry, 500), append(m.Texts, "shard")
	if m.Reuse() {
		t.Error("unexpected use of memory that a call writes to")
	}
	if m.Return(); Take(ctx) != nil {
		t.Error("unexpected second user, when the first has ended")
	}
	if !m.Reuse() || len(m.Entries) != 0 || cap(m.Entries) != 500 || m.Texts[:1][0] != "" {
		t.Errorf("unexpected memory; got %d entries of %d; want none of 500, and no texts", len(m.Entries), cap(m.Entries))
	}
	if Take(m.Lend(t.Context())) != m {
		t.Error("unexpected memory of the next call; want the same")
	}
	m.Entries = make([]types.PutRecordsResultEntry, maxKept+1)
	if m.Return(); m.Reuse() {
		t.Error("unexpected use of memory that is larger than any answer needs")
	}
}
