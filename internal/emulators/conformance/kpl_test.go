// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
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
	kplcat := buildKplcat(t)
	for _, c := range []struct {
		name    string
		shards  int
		records int
		limits  kinesistest.Limits
	}{
		{"1 shard", 1, 20_000, kinesistest.Limits{}},
		{"16 shards", 16, 20_000, kinesistest.Limits{}},
		{"2 shards with throttles", 2, 3000, kinesistest.Limits{RecordsPerSecond: 1000, BytesPerSecond: 192 << 10}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := kinesistest.New(kinesistest.WithStream(kplStream, c.shards), kinesistest.WithTLS(), kinesistest.WithLimits(c.limits))
			if err := fake.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = fake.Close() }()
			sent := kplRecords(c.records)
			results, err := emulators.RunKPL(t.Context(), emulators.KPLConfig{
				Endpoint: fake.URL(), Stream: kplStream, Options: map[string]string{"RecordTtl": "600000", "LogLevel": "warning"},
			}, sent)
			if err != nil {
				t.Fatal(err)
			}
			st := fake.Stats()
			t.Logf("%d Kinesis records, %d throttled, calls %v", st.Records, st.Throttled, st.Calls)
			again := 0
			for _, r := range results {
				if slices.ContainsFunc(r.Errors, func(e string) bool { return strings.HasPrefix(e, "ProvisionedThroughputExceededException: ") }) {
					again++
				}
			}
			if throttled := c.limits != (kinesistest.Limits{}); throttled != (st.Throttled > 0) || throttled != (again > 0) {
				t.Errorf("unexpected throttles; got %d, which the KPL tells of %d user records", st.Throttled, again)
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
			check("kplcat", kplcat.read(t, fake))
			check("kplcat --kcl", kplcat.read(t, fake, "--kcl"))
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

// checkStoredByKPL takes apart what is stored, and puts it together again.
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

// kplcatProgram is the path of the built program.
type kplcatProgram string

func buildKplcat(t *testing.T) kplcatProgram {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kplcat")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/outkpl/outkpl/aggregation/cmd/kplcat").CombinedOutput(); err != nil {
		t.Fatalf("cannot build kplcat: %v: %s", err, out)
	}
	return kplcatProgram(path)
}

// read has the program read the stream to its end. It speaks to a door without TLS: what is
// stored is the same.
func (p kplcatProgram) read(t *testing.T, fake *kinesistest.Server, args ...string) []kplRead {
	t.Helper()
	door := httptest.NewServer(fake.Handler())
	defer door.Close()
	cmd := exec.CommandContext(t.Context(), string(p), append([]string{"--endpoint", door.URL, "--data", "base64", kplStream}, args...)...)
	cmd.Env = append(cmd.Environ(), "AWS_REGION="+region, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_EC2_METADATA_DISABLED=true")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("cannot run kplcat: %v: %s", err, stderr.String())
	}
	var got []kplRead
	for dec := json.NewDecoder(&stdout); ; {
		var line struct {
			Shard, Sequence, Key string
			Data                 string `json:"data_base64"`
		}
		if err := dec.Decode(&line); errors.Is(err, io.EOF) {
			return got
		} else if err != nil {
			t.Fatal(err)
		}
		data, err := base64.StdEncoding.DecodeString(line.Data)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, kplRead{line.Shard, line.Sequence, line.Key, string(data)})
	}
}
