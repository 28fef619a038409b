// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
)

func TestRecordsGoToTheShardOfTheirHashKey(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		in := puts(entry("a", "1"), entry("\u00fc\u4e2d", "2"), entry(strings.Repeat("k", 256), "3"), entry("\"\\\n\t\x01", "4"))
		for _, sh := range s.Shards("demo") {
			in.Records = append(in.Records, entryAt(sh.StartingHashKey, "start"), entryAt(sh.EndingHashKey, "end"))
		}
		out := must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), in))
		equal(t, "failed", aws.ToInt32(out.FailedRecordCount), 0)
		equal(t, "results", len(out.Records), len(in.Records))
		for i, e := range in.Records {
			// The check's own arithmetic: big integers.
			k := new(big.Int)
			if e.ExplicitHashKey != nil {
				k.SetString(*e.ExplicitHashKey, 10)
			} else {
				k.SetString(md5Key(*e.PartitionKey).String(), 10)
			}
			var want string
			for _, sh := range s.Shards("demo") {
				lo, _ := new(big.Int).SetString(sh.StartingHashKey, 10)
				hi, _ := new(big.Int).SetString(sh.EndingHashKey, 10)
				if k.Cmp(lo) >= 0 && k.Cmp(hi) <= 0 {
					want = sh.ID
				}
			}
			equal(t, fmt.Sprintf("shard of entry %d", i), aws.ToString(out.Records[i].ShardId), want)
		}
		byShard := map[string][]string{}
		for _, r := range s.Records("demo") {
			byShard[r.ShardID] = append(byShard[r.ShardID], string(r.Data)+" "+r.SequenceNumber)
		}
		for i, e := range in.Records {
			id := *out.Records[i].ShardId
			equal(t, "stored record", byShard[id][0], string(e.Data)+" "+*out.Records[i].SequenceNumber)
			byShard[id] = byShard[id][1:]
		}
	}, WithStream("demo", 7))
}

func TestSequenceNumbersIncreaseInAShard(t *testing.T) {
	s := New(WithStream("demo", 3))
	pattern := regexp.MustCompile(`^[1-9][0-9]{55}$`)
	unique := map[string]bool{}
	last := map[string]string{}
	for range 20 {
		out := must[*kinesis.PutRecordsOutput](t)(s.Client().PutRecords(context.Background(), many(50, 1)))
		for _, r := range out.Records {
			if !pattern.MatchString(*r.SequenceNumber) || unique[*r.SequenceNumber] || *r.SequenceNumber <= last[*r.ShardId] {
				t.Fatalf("unexpected sequence number %s after %s", *r.SequenceNumber, last[*r.ShardId])
			}
			unique[*r.SequenceNumber] = true
			last[*r.ShardId] = *r.SequenceNumber
		}
	}
}

func TestNewStreamsHaveEvenRanges(t *testing.T) {
	two128 := new(big.Int).Lsh(big.NewInt(1), 128)
	for _, n := range []int{1, 2, 3, 4, 7, 16, 500, 1000} {
		s := New(WithStream("demo", n))
		step := new(big.Int).Div(two128, big.NewInt(int64(n)))
		for i, sh := range s.Shards("demo") {
			start := new(big.Int).Mul(step, big.NewInt(int64(i)))
			end := new(big.Int).Sub(new(big.Int).Add(start, step), big.NewInt(1))
			if i == n-1 {
				end.Sub(two128, big.NewInt(1))
			}
			equal(t, "id", sh.ID, fmt.Sprintf("shardId-%012d", i))
			equal(t, "start", sh.StartingHashKey, start.String())
			equal(t, "end", sh.EndingHashKey, end.String())
		}
	}
}

func TestPutsAreValidatedAsAWhole(t *testing.T) {
	const mib = 1 << 20
	tooBig := puts(entry("k", string(make([]byte, mib-1))))
	for range 9 {
		tooBig.Records = append(tooBig.Records, tooBig.Records[0])
	}
	tooBig.Records = append(tooBig.Records, entry("k", ""))
	over := "340282366920938463463374607431768211456"
	tests := []struct {
		name string
		in   *kinesis.PutRecordsInput
		code string // empty: accepted
	}{
		{"no records", puts([]types.PutRecordsRequestEntry{}...), "ValidationException"},
		{"500 records", many(500, 1), ""},
		{"501 records", many(501, 1), "ValidationException"},
		{"empty key", puts(entry("a", "x"), entry("", "x")), "ValidationException"},
		{"key of 256 two-byte characters", puts(entry(strings.Repeat("\u00fc", 256), "x")), ""},
		{"key of 257 characters", puts(entry(strings.Repeat("k", 257), "x")), "ValidationException"},
		{"largest hash key", puts(entryAt("340282366920938463463374607431768211455", "x")), ""},
		{"hash key 2^128", puts(entryAt(over, "x")), "InvalidArgumentException"},
		{"hash key of 39 nines", puts(entryAt(strings.Repeat("9", 39), "x")), "InvalidArgumentException"},
		{"hash key of 40 digits", puts(entryAt(strings.Repeat("1", 40), "x")), "ValidationException"},
		{"negative hash key", puts(entryAt("-1", "x")), "ValidationException"},
		{"hash key with a leading zero", puts(entryAt("007", "x")), "ValidationException"},
		{"hash key that is no number", puts(entryAt("abc", "x")), "ValidationException"},
		{"empty hash key", puts(entryAt("", "x")), "ValidationException"},
		{"data and key of 1 MiB", puts(entry("k", string(make([]byte, mib-1)))), ""},
		{"data and key of 1 MiB and a byte", puts(entry("k", string(make([]byte, mib)))), "ValidationException"},
		{"request of 10 MiB and a byte", tooBig, "InvalidArgumentException"},
		{"empty data", puts(types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: []byte{}}), ""},
	}
	bothClients(t, func(t *testing.T, s *Server, c api) {
		for _, tt := range tests {
			before := s.Stats().Records
			_, err := c.PutRecords(context.Background(), tt.in)
			var ae smithy.APIError
			code := ""
			if errors.As(err, &ae) {
				code = ae.ErrorCode()
			} else {
				noError(t, err)
			}
			equal(t, "code for "+tt.name, code, tt.code)
			if err != nil {
				equal(t, "records stored for "+tt.name, s.Stats().Records-before, 0)
			}
		}
	}, WithStream("demo", 2))
}

func TestNilDataIsRefusedAsTheSDKDoes(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		if _, err := c.PutRecords(context.Background(), puts(types.PutRecordsRequestEntry{PartitionKey: aws.String("k")})); err == nil {
			t.Fatal("unexpected success")
		}
		equal(t, "records", s.Stats().Records, 0)
	}, WithStream("demo", 1))
}

func TestOlderRequestLimitCanBeSet(t *testing.T) {
	s := New(WithStream("demo", 1), WithMaxRequestBytes(5<<20))
	_, err := s.Client().PutRecords(context.Background(), many(6, 1<<20-100))
	var ia *types.InvalidArgumentException
	if !errors.As(err, &ia) || ia.ErrorMessage() != "Records size exceeds 5 MB limit" {
		t.Fatalf("unexpected error; got %v; want InvalidArgumentException", err)
	}
}

func TestLargeRecordsAreAStreamsChoice(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		big := puts(entry("k", string(make([]byte, 10<<20-1))))
		_, err := c.PutRecords(context.Background(), big)
		var ve *types.ValidationException
		if !errors.As(err, &ve) {
			t.Fatalf("unexpected error; got %v; want ValidationException", err)
		}
		must[*kinesis.UpdateMaxRecordSizeOutput](t)(c.UpdateMaxRecordSize(context.Background(),
			&kinesis.UpdateMaxRecordSizeInput{StreamARN: aws.String(s.ARN("demo")), MaxRecordSizeInKiB: aws.Int32(10240)}))
		must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), big))
		sum := must[*kinesis.DescribeStreamSummaryOutput](t)(c.DescribeStreamSummary(context.Background(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("demo")}))
		equal(t, "max record size", aws.ToInt32(sum.StreamDescriptionSummary.MaxRecordSizeInKiB), 10240)
		equal(t, "payload units", s.Stats().PayloadUnits, 410)
	}, WithStream("demo", 1))
}

func TestStreamsAreFoundByNameOrARN(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		for _, tt := range []struct {
			name, arn *string
			code      string
		}{
			{aws.String("demo"), nil, ""},
			{nil, aws.String(s.ARN("demo")), ""},
			{aws.String("demo"), aws.String(s.ARN("demo")), ""},
			{aws.String("other"), aws.String(s.ARN("demo")), "InvalidArgumentException"},
			{aws.String("missing"), nil, "ResourceNotFoundException"},
			{nil, aws.String("arn:aws:kinesis:us-east-1:999999999999:stream/demo"), "ResourceNotFoundException"},
		} {
			in := puts(entry("a", "x"))
			in.StreamName, in.StreamARN = tt.name, tt.arn
			_, err := c.PutRecords(context.Background(), in)
			var ae smithy.APIError
			code := ""
			if errors.As(err, &ae) {
				code = ae.ErrorCode()
			}
			equal(t, fmt.Sprintf("code for %v %v", aws.ToString(tt.name), aws.ToString(tt.arn)), code, tt.code)
		}
	}, WithStream("demo", 1))
}

func TestCallersMayReuseTheirBuffers(t *testing.T) {
	s := New(WithStream("demo", 1))
	data := []byte("before")
	in := puts(types.PutRecordsRequestEntry{PartitionKey: aws.String("k"), Data: data})
	must[*kinesis.PutRecordsOutput](t)(s.Client().PutRecords(context.Background(), in))
	copy(data, "AFTER!")
	equal(t, "stored data", string(s.Records("demo")[0].Data), "before")
}

func TestCountOnlyCountsAndKeepsNothing(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		in := puts(entry("key", strings.Repeat("x", payloadUnitBytes-3)), entry("key", strings.Repeat("x", payloadUnitBytes-2)))
		must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), in))
		st := s.Stats()
		equal(t, "records", st.Records, 2)
		equal(t, "bytes", st.Bytes, 2*payloadUnitBytes+1)
		equal(t, "payload units", st.PayloadUnits, 3)
		equal(t, "calls", st.Calls["PutRecords"], 1)
		equal(t, "stored", len(s.Records("demo")), 0)
	}, WithStream("demo", 1), WithCountOnly())
}

func TestEncryptionTypeIsReported(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		for _, e := range []types.EncryptionType{"", types.EncryptionTypeNone, types.EncryptionTypeKms} {
			noError(t, s.SetEncryption("demo", e))
			out := must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), puts(entry("a", "x"))))
			equal(t, "encryption type", out.EncryptionType, e)
		}
	}, WithStream("demo", 1))
}

func TestAutoDistributionIgnoresKeys(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		summary := func() types.RecordDistributionStrategy {
			out := must[*kinesis.DescribeStreamSummaryOutput](t)(c.DescribeStreamSummary(context.Background(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String("demo")}))
			return out.StreamDescriptionSummary.RecordDistributionStrategy
		}
		shards := func() map[string]int {
			in := puts()
			for range 40 {
				in.Records = append(in.Records, entryAt("0", "x"))
			}
			ids := map[string]int{}
			for _, r := range must[*kinesis.PutRecordsOutput](t)(c.PutRecords(context.Background(), in)).Records {
				ids[*r.ShardId]++
			}
			return ids
		}
		equal(t, "strategy", summary(), "")
		equal(t, "shards", len(shards()), 1)
		must[*kinesis.UpdateStreamRecordDistributionStrategyOutput](t)(c.UpdateStreamRecordDistributionStrategy(context.Background(), &kinesis.UpdateStreamRecordDistributionStrategyInput{
			StreamARN: aws.String(s.ARN("demo")), RecordDistributionStrategy: types.RecordDistributionStrategyAuto,
		}))
		equal(t, "strategy", summary(), types.RecordDistributionStrategyAuto)
		equal(t, "shards", len(shards()), 4)
		noError(t, s.SetDistribution("demo", types.RecordDistributionStrategyUserPartitionKey))
		equal(t, "shards", len(shards()), 1)
	}, WithStream("demo", 4))
}

func TestPutRecordStoresOne(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		out := must[*kinesis.PutRecordOutput](t)(c.PutRecord(context.Background(), &kinesis.PutRecordInput{
			StreamName: aws.String("demo"), PartitionKey: aws.String("k"), ExplicitHashKey: aws.String("0"), Data: []byte{0, 1, 0xff},
		}))
		recs := s.ShardRecords("demo", "shardId-000000000000")
		if len(recs) != 1 || !bytes.Equal(recs[0].Data, []byte{0, 1, 0xff}) || recs[0].ExplicitHashKey != "0" || recs[0].SequenceNumber != *out.SequenceNumber {
			t.Fatalf("unexpected records; got %+v", recs)
		}
		s.Fault(Fault{Effect: ThrottleEntries()})
		_, err := c.PutRecord(context.Background(), &kinesis.PutRecordInput{StreamName: aws.String("demo"), PartitionKey: aws.String("k"), Data: []byte{0}})
		var te *types.ProvisionedThroughputExceededException
		if !errors.As(err, &te) {
			t.Fatalf("unexpected error; got %v; want ProvisionedThroughputExceededException", err)
		}
	}, WithStream("demo", 2))
}

func TestDryRunStoresNothing(t *testing.T) {
	bothClients(t, func(t *testing.T, s *Server, c api) {
		in := puts(entry("a", "x"))
		in.DryRun = aws.Bool(true)
		_, err := c.PutRecords(context.Background(), in)
		var de *types.DryRunOperationException
		if !errors.As(err, &de) {
			t.Fatalf("unexpected error; got %v; want DryRunOperationException", err)
		}
		equal(t, "records", s.Stats().Records, 0)
	}, WithStream("demo", 1))
}

func BenchmarkPutRecords(b *testing.B) {
	for _, bc := range []struct {
		name          string
		records, size int
		opts          []Option
	}{
		{"500 small, count only", 500, 200, []Option{WithCountOnly()}},
		{"500 small, stored", 500, 200, nil},
		{"80 aggregates, count only", 80, 50 << 10, []Option{WithCountOnly()}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			s := New(append(bc.opts, WithStream("demo", 16))...)
			in := many(bc.records, bc.size)
			for i := range in.Records {
				in.Records[i].ExplicitHashKey = aws.String(md5Key(*in.Records[i].PartitionKey).String())
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Client().PutRecords(context.Background(), in); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*bc.records), "ns/record")
		})
	}
}
