// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const stream = "logs"

func newProducer(t testing.TB, client core.Client, opts ...core.Option) *core.Producer {
	t.Helper()
	p, err := core.New(client, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = p.Close(ctx) // a test that cares has closed it already
	})
	return p
}

func closeProducer(t testing.TB, p *core.Producer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Fatalf("unexpected error of Close: %v", err)
	}
}

// batchOf makes n records with distinct keys and data that name them.
func batchOf(prefix string, n int) []core.Record {
	records := make([]core.Record, n)
	for i := range records {
		records[i] = core.Record{
			PartitionKey: fmt.Sprintf("%s-key-%d", prefix, i),
			Data:         fmt.Appendf(nil, "%s-%d", prefix, i),
		}
	}
	return records
}

func wait(t testing.TB, b *core.Batch) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := b.WaitSettled(ctx); err != nil {
		t.Fatalf("cannot wait for batch: %v", err)
	}
}

func put(t testing.TB, p *core.Producer, records []core.Record) *core.Batch {
	t.Helper()
	b, err := p.PutBatch(context.Background(), stream, records)
	if err != nil {
		t.Fatalf("cannot put batch: %v", err)
	}
	return b
}

// seen counts how often a consumer sees each payload.
func seen(s *kinesistest.Server) map[string]int {
	m := map[string]int{}
	for _, r := range s.Consume(stream).Records {
		m[string(r.Data)]++
	}
	return m
}

// checkDelivered fails unless a consumer sees each record exactly once.
func checkDelivered(t testing.TB, s *kinesistest.Server, batches ...[]core.Record) {
	t.Helper()
	m := seen(s)
	total := 0
	for _, records := range batches {
		for _, r := range records {
			total++
			if n := m[string(r.Data)]; n != 1 {
				t.Fatalf("unexpected number of deliveries of %q; got %d; want 1", r.Data, n)
			}
		}
	}
	if len(m) != total {
		t.Fatalf("unexpected number of distinct records; got %d; want %d", len(m), total)
	}
}

// checkAccounts fails unless every accepted record is confirmed, failed with a
// reason, or pending.
func checkAccounts(t testing.TB, p *core.Producer) core.Stats {
	t.Helper()
	s := p.Stats()
	if s.Accepted != s.Confirmed+s.FailedTotal()+s.Pending {
		t.Fatalf("accounts do not add up: accepted %d, confirmed %d, failed %d, pending %d",
			s.Accepted, s.Confirmed, s.FailedTotal(), s.Pending)
	}
	return s
}
