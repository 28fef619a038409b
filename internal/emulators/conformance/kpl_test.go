// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/emulators"
	"github.com/outkpl/outkpl/internal/emulators/emulatorstest"
	"github.com/outkpl/outkpl/internal/emulators/kcltest"
)

const kplStream = "kpl"

// What the real KPL writes into kinesistest is read by every reader there is: package
// aggregation, the KCL and kplcat. And what we would have written for the same user records
// in the same order is the same, byte by byte.
func TestAllReadWhatTheKPLWrites(t *testing.T) {
	emulatorstest.RequireJVM(t)
	kplcat := kcltest.BuildKplcat(t)
	for _, c := range []struct {
		name    string
		shards  int
		records int
		faults  []kinesistest.Effect
	}{
		{"1 shard", 1, 20_000, nil},
		{"16 shards", 16, 20_000, nil},
		// The KPL takes what was refused apart and packs it anew.
		{"2 shards with throttles and failures", 2, 3000, []kinesistest.Effect{kinesistest.ThrottleEntries(), kinesistest.FailEntries("InternalFailure", "")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := kinesistest.New(kinesistest.WithStream(kplStream, c.shards), kinesistest.WithTLS())
			if err := fake.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = fake.Close() }()
			for _, effect := range c.faults {
				fake.Fault(kinesistest.Fault{Operation: "PutRecords", Shard: "shardId-000000000000", Times: 2, Effect: effect})
			}
			sent := kplRecords(c.records)
			results, err := emulators.RunKPL(t.Context(), emulators.KPLConfig{
				Endpoint: fake.URL(), Stream: kplStream, Options: map[string]string{
					// A slow machine must not make it give up or write twice.
					"RecordTtl": "600000", "RequestTimeout": "60000", "ConnectTimeout": "60000", "LogLevel": "warning",
				},
			}, sent)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d Kinesis records, calls %v", fake.Stats().Records, fake.Stats().Calls)
			refused := map[string]bool{}
			for _, r := range results {
				for _, e := range r.Errors {
					code, _, _ := strings.Cut(e, ":")
					refused[code] = true
				}
			}
			if len(refused) != len(c.faults) {
				t.Errorf("unexpected codes of attempts; got %v; want %d of them", refused, len(c.faults))
			}
			checkStoredByKPL(t, fake, sent, results)
			check := func(reader string, got []kplRead) {
				t.Helper()
				checkReadOfKPL(t, reader, sent, results, got)
			}
			var got []kplRead
			for _, u := range kcltest.Consume(t, fake, kplStream) {
				got = append(got, kplRead{u.ShardID, u.SequenceNumber, u.PartitionKey, string(u.Data)})
			}
			check("the KCL", got)
			for _, args := range [][]string{nil, {"--kcl"}} {
				got = nil
				for _, u := range kplcat.Read(t, fake, kplStream, args...) {
					got = append(got, kplRead{u.ShardID, u.SequenceNumber, u.PartitionKey, string(u.Data)})
				}
				check(fmt.Sprint("kplcat ", args), got)
			}
		})
	}
}

// kplRecords makes user records whose data begin with their number.
func kplRecords(n int) []emulators.Record {
	rnd := rand.New(rand.NewPCG(kclSeed, 7))
	odd := []string{"a", "10", " ", "caf\u00e9", "\U0001f600", "tab\tnew\nline", strings.Repeat("k", 127), strings.Repeat("k", 128), strings.Repeat("\u00e9", 256)}
	records := make([]emulators.Record, n)
	for i := range records {
		r := &records[i]
		r.PartitionKey = fmt.Sprint("key-", rnd.IntN(2000))
		if rnd.IntN(5) == 0 {
			r.PartitionKey = odd[rnd.IntN(len(odd))]
		}
		if rnd.IntN(3) == 0 {
			k := aggregation.HashKey{Hi: rnd.Uint64(), Lo: rnd.Uint64()}
			switch rnd.IntN(10) {
			case 0:
				k = aggregation.HashKey{}
			case 1:
				k = aggregation.MaxHashKey
			}
			r.ExplicitHashKey = k.String()
		}
		size := rnd.IntN(400)
		switch rnd.IntN(100) {
		case 0:
			size = 16_370 + rnd.IntN(20)
		case 1:
			size = 100 + rnd.IntN(60)
		}
		r.Data = append(fmt.Appendf(nil, "%d ", i), bytes.Repeat([]byte{byte(rnd.IntN(256))}, size)...)
	}
	return records
}

// kplNumber is the number of a user record.
func kplNumber(t *testing.T, data string, n int) int {
	t.Helper()
	digits, _, _ := strings.Cut(data, " ")
	i, err := strconv.Atoi(digits)
	if err != nil || i < 0 || i >= n {
		t.Fatalf("unexpected data; got %.40q; want a number first", data)
	}
	return i
}

// checkStoredByKPL disaggregates what is stored, and puts it together again.
func checkStoredByKPL(t *testing.T, fake *kinesistest.Server, sent []emulators.Record, results []emulators.KPLResult) {
	t.Helper()
	seen := make([]int, len(sent))
	aggregates := 0
	for _, r := range fake.Records(kplStream) {
		users, aggregated := aggregation.Deaggregate(r.PartitionKey, r.ExplicitHashKey, r.Data)
		var b aggregation.Builder
		for _, u := range users {
			i := kplNumber(t, string(u.Data), len(sent))
			seen[i]++
			want := sent[i]
			if u.PartitionKey != want.PartitionKey || !bytes.Equal(u.Data, want.Data) {
				t.Fatalf("record %d: unexpected key or data; got %q, %d bytes; want %q, %d bytes", i, u.PartitionKey, len(u.Data), want.PartitionKey, len(want.Data))
			}
			if res := results[i]; res.Error != "" || res.ShardID != r.ShardID || res.SequenceNumber != r.SequenceNumber {
				t.Fatalf("record %d: unexpected result of the KPL; got %+v; want shard %s, sequence number %s", i, res, r.ShardID, r.SequenceNumber)
			}
			// A plain record has its hash as explicit hash key.
			if aggregated && u.ExplicitHashKey != want.ExplicitHashKey {
				t.Fatalf("record %d: unexpected explicit hash key; got %q; want %q", i, u.ExplicitHashKey, want.ExplicitHashKey)
			}
			if want.ExplicitHashKey == "" {
				b.Add(want.PartitionKey, want.Data)
				continue
			}
			k, err := aggregation.ParseHashKey(want.ExplicitHashKey)
			if err != nil {
				t.Fatal(err)
			}
			b.AddExplicit(want.PartitionKey, k, want.Data)
		}
		if !aggregated {
			continue
		}
		aggregates++
		if ours := b.AppendTo(nil); !bytes.Equal(ours, r.Data) {
			t.Fatalf("the encodings of %d user records differ; got %d bytes from us, %d from the KPL", len(users), len(ours), len(r.Data))
		}
	}
	for i, n := range seen {
		if n != 1 {
			t.Fatalf("record %d: unexpected number of copies; got %d; want 1", i, n)
		}
	}
	if aggregates < 10 {
		t.Errorf("unexpected number of aggregates; got %d; want 10 at least", aggregates)
	}
}

// kplRead is a user record as a reader shows it.
type kplRead struct{ shard, sequence, key, data string }

// checkReadOfKPL fails unless the reader has got each record once.
func checkReadOfKPL(t *testing.T, reader string, sent []emulators.Record, results []emulators.KPLResult, got []kplRead) {
	t.Helper()
	seen := make([]int, len(sent))
	for _, g := range got {
		i := kplNumber(t, g.data, len(sent))
		seen[i]++
		if want := (kplRead{results[i].ShardID, results[i].SequenceNumber, sent[i].PartitionKey, string(sent[i].Data)}); g != want {
			t.Fatalf("%s, record %d: got %.200q; want %.200q", reader, i, g, want)
		}
	}
	for i, n := range seen {
		if n != 1 {
			t.Fatalf("%s, record %d: unexpected number of copies; got %d; want 1", reader, i, n)
		}
	}
}
