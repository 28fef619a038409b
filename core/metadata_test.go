// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// sized makes a record of which data and key have n bytes together.
func sized(key string, n int) core.Record {
	data := make([]byte, n-len(key))
	copy(data, key)
	return core.Record{PartitionKey: key, Data: data}
}

// The limits of a record and of a request are both 10 MiB, key included.
func TestLargestRecordsPassAmongSmallOnes(t *testing.T) {
	const limit = 10 << 20
	s := kinesistest.New()
	if err := s.CreateStream(stream, kinesistest.StreamConfig{Shards: 1, MaxRecordKiB: limit >> 10}); err != nil {
		t.Fatal(err)
	}
	p := newProducer(t, s.Client(), core.WithRateLimit(10_000))
	records := []core.Record{
		sized("a", limit), sized("small-1", 100), sized("b", limit), sized("small-2", 100),
		sized("half-1", limit/2), sized("half-2", limit/2), sized("mib", 1<<20), sized("small-3", 100),
	}
	b := put(t, p, records)
	wait(t, b)
	if err := b.Err(); err != nil {
		t.Fatal(err)
	}
	if c := s.Consume(stream); len(c.Records) != len(records) {
		t.Errorf("unexpected number of records; got %d; want %d", len(c.Records), len(records))
	}
	if st := p.Stats(); st.RequestErrors != 0 {
		t.Errorf("unexpected number of requests that failed; got %d; want 0", st.RequestErrors)
	}
	_, err := p.PutSync(context.Background(), stream, sized("c", limit+1))
	if e, ok := err.(*core.RecordError); !ok || e.Reason != core.ReasonTooLarge {
		t.Errorf("unexpected error %v; want reason too_large", err)
	}
}

func TestLargestRecordsPassThroughTheSDK(t *testing.T) {
	const limit = 10 << 20
	s := kinesistest.New()
	if err := s.CreateStream(stream, kinesistest.StreamConfig{Shards: 2, MaxRecordKiB: limit >> 10}); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	p := newProducer(t, s.SDK(), core.WithRateLimit(10_000), core.WithRequestTimeout(time.Minute))
	b := put(t, p, []core.Record{sized("a", limit), sized("small", 100), sized("b", limit)})
	wait(t, b)
	if err := b.Err(); err != nil {
		t.Fatal(err)
	}
	if c := s.Consume(stream); len(c.Records) != 3 {
		t.Errorf("unexpected number of records; got %d; want 3", len(c.Records))
	}
	closeProducer(t, p)
}

// What an answer leaves open is counted, and nothing else: credentials that
// expire in mid-run cost time, a lost reply costs a duplicate.
func TestWhatMayBeDoubledIsCounted(t *testing.T) {
	const n = 100
	for _, c := range []struct {
		name             string
		effect           kinesistest.Effect
		again, uncertain int // for each record
	}{
		{"credentials expired", kinesistest.Fail("ExpiredTokenException", "no"), 0, 0},
		{"request signed too long ago", kinesistest.Fail("RequestExpired", "no"), 0, 0},
		{"credentials unknown for a moment", kinesistest.Fail("UnrecognizedClientException", "no"), 0, 0},
		{"signature does not match", kinesistest.Fail("InvalidSignatureException", "no"), 0, 0},
		{"throttled as a whole", kinesistest.Fail("ProvisionedThroughputExceededException", "no"), 0, 0},
		{"entries throttled", kinesistest.ThrottleEntries(), 0, 0},
		{"entries failed", kinesistest.FailEntries("InternalFailure", ""), 0, 0},
		{"internal failure of the call", kinesistest.Fail("InternalFailure", "no"), 0, 1},
		{"gateway error", kinesistest.Status(502), 0, 1},
		{"connection broken before", kinesistest.Reset(), 0, 1},
		{"hang", kinesistest.Hang(), 0, 1},
		{"hang after the call was carried out", kinesistest.Effect{HangReply: true}, 1, 1},
		{"reply lost", kinesistest.LoseReply(), 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const times = 3
				s := kinesistest.New(kinesistest.WithStream(stream, 1))
				p := newProducer(t, s.Client(), core.WithRequestTimeout(time.Second))
				wait(t, put(t, p, batchOf("before", n)))
				f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: times, Effect: c.effect})
				b := put(t, p, batchOf("during", n))
				wait(t, b)
				if err := b.Err(); err != nil {
					t.Fatal(err)
				}
				wait(t, put(t, p, batchOf("after", n)))
				closeProducer(t, p)
				if f.Hits() != times {
					t.Fatalf("unexpected number of faults; got %d; want %d", f.Hits(), times)
				}
				m := seen(s)
				for prefix, want := range map[string]int{"before": 1, "during": 1 + times*c.again, "after": 1} {
					for i := range n {
						if got := m[fmt.Sprintf("%s-%d", prefix, i)]; got != want {
							t.Fatalf("unexpected number of deliveries of %s-%d; got %d; want %d", prefix, i, got, want)
						}
					}
				}
				if st := checkAccounts(t, p); st.Uncertain != uint64(times*n*c.uncertain) {
					t.Errorf("unexpected number of uncertain records; got %d; want %d", st.Uncertain, times*n*c.uncertain)
				}
			})
		})
	}
}

func TestStreamIsDescribedAsOftenAsAsked(t *testing.T) {
	for _, every := range []time.Duration{0, 20 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s := kinesistest.New(kinesistest.WithStream(stream, 1))
			opts := []core.Option{core.WithStreamIdle(24 * time.Hour)}
			if every > 0 {
				opts = append(opts, core.WithDescribeInterval(every))
			} else {
				every = 10 * time.Minute
			}
			p := newProducer(t, s.Client(), opts...)
			wait(t, put(t, p, batchOf("a", 1)))
			time.Sleep(20 * every)
			if got := s.Calls("DescribeStreamSummary"); got < 17 || got > 26 {
				t.Errorf("unexpected number of calls in 20 times %v; got %d; want 21 give or take a fifth", every, got)
			}
			closeProducer(t, p)
		})
	}
}
