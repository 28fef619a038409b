// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/emulators"
	"github.com/outkpl/outkpl/internal/emulators/emulatorstest"
)

// Servers that are not of this project, before and after a split and a merge, and at two
// times to end.
func TestAgainstEmulators(t *testing.T) {
	for _, kind := range []emulators.Kind{emulators.Kinesalite, emulators.KinesisLocal} {
		t.Run(string(kind), func(t *testing.T) {
			s := emulatorstest.Start(t, kind, emulators.Config{})
			em := &emulated{t: t, url: s.URL(), api: kinesistest.New().SDK(func(o *kinesis.Options) { o.BaseEndpoint = aws.String(s.URL()) })}
			em.do(em.api.CreateStream(t.Context(), &kinesis.CreateStreamInput{StreamName: aws.String(stream), ShardCount: aws.Int32(2)}))
			em.active()
			em.put()
			em.do(em.api.SplitShard(t.Context(), &kinesis.SplitShardInput{
				StreamName: aws.String(stream), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("12345678901234567890123456789012345678"),
			}))
			em.active()
			em.put()
			em.do(em.api.MergeShards(t.Context(), &kinesis.MergeShardsInput{
				StreamName: aws.String(stream), ShardToMerge: aws.String("shardId-000000000003"), AdjacentShardToMerge: aws.String("shardId-000000000001"),
			}))
			em.active()
			em.put()
			slices.Sort(em.want)
			for _, args := range [][]string{nil, {"--from", "-1h"}, {"--until", time.Now().Add(2 * time.Second).Format(time.RFC3339)}} {
				var got []string
				for _, l := range kplcat(t, "", append([]string{"--endpoint", s.URL(), stream}, args...)...).ok(t).lines(t) {
					got = append(got, fmt.Sprint(l.Key, " ", l.Misplaced, " ", l.OutOfRange))
				}
				slices.Sort(got)
				if !slices.Equal(got, em.want) {
					t.Errorf("unexpected records with %v; got %q; want %q", args, got, em.want)
				}
			}
			<-time.After(5 * time.Millisecond) // the smallest time ago there is
			if r := kplcat(t, "", "--endpoint", s.URL(), stream, "--from", "-1ms").ok(t); r.stdout != "" {
				t.Errorf("unexpected records of the last millisecond; got %s; want none", r.stdout)
			}
			if r := kplcat(t, "", "doctor", "--endpoint", s.URL(), stream); r.code != exitOK || !strings.Contains(r.stdout, "ok    kinesis:GetRecords") {
				t.Errorf("unexpected result of doctor; got %+v", r)
			}
		})
	}
}

// emulated is a stream of an emulator, and what should be in it.
type emulated struct {
	t    *testing.T
	url  string
	api  *kinesis.Client
	n    int
	want []string
}

// do checks an operation whose answer does not matter.
func (em *emulated) do(_ any, err error) {
	em.t.Helper()
	if err != nil {
		em.t.Fatal(err)
	}
}

// active waits until a change of the stream is done.
func (em *emulated) active() {
	em.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
		out, err := em.api.DescribeStreamSummary(em.t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: aws.String(stream)})
		if err == nil && out.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return
		}
	}
	em.t.Fatal("the stream does not become active")
}

// put stores an aggregate with a misplaced record and a plain record in each open shard.
func (em *emulated) put() {
	em.t.Helper()
	out, err := em.api.ListShards(em.t.Context(), &kinesis.ListShardsInput{StreamName: aws.String(stream)})
	if err != nil {
		em.t.Fatal(err)
	}
	for _, s := range out.Shards {
		if s.SequenceNumberRange.EndingSequenceNumber != nil {
			continue
		}
		em.n++
		first, err := aggregation.ParseHashKey(*s.HashKeyRange.StartingHashKey)
		if err != nil {
			em.t.Fatal(err)
		}
		outside := aggregation.HashKey{}
		if first == outside {
			outside = aggregation.MaxHashKey
		}
		key := fmt.Sprint("key-", em.n)
		em.do(em.api.PutRecords(em.t.Context(), &kinesis.PutRecordsInput{StreamName: aws.String(stream), Records: []types.PutRecordsRequestEntry{
			{PartitionKey: aws.String("a"), ExplicitHashKey: s.HashKeyRange.StartingHashKey, Data: aggregate(em.t,
				ur{key + "-in", first.String(), "x"}, ur{key + "-out", outside.String(), "y"})},
			{PartitionKey: aws.String(key + "-plain"), ExplicitHashKey: s.HashKeyRange.StartingHashKey, Data: []byte("z")},
		}}))
		em.want = append(em.want, key+"-in true false", key+"-out true true", key+"-plain false false")
	}
}
