// SPDX-License-Identifier: Apache-2.0

package awsclient_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/internal/cbor"
)

// readAsSDK reads an answer as the SDK's own types do it.
func readAsSDK(b []byte) (out kinesis.PutRecordsOutput, err error) {
	r := cbor.NewShapeReader(b)
	if err = out.Deserialize(r); err == nil {
		err = r.End()
	}
	return out, err
}

// Entries are read by the form of the one before as far as they have it.
func TestEntriesOfManyFormsAreReadAsTheSDKReadsThem(t *testing.T) {
	text := func(s string) string { return string(cbor.AppendText(nil, s)) }
	pieces := func(s string) string { return "\x7f" + text(s[:1]) + text(s[1:]) + "\xff" }
	number := func(i int) string { return fmt.Sprintf("%056d", i) }
	shard := func(i int) string { return fmt.Sprintf("shardId-%012d", i%3) }
	seq, id := text("SequenceNumber"), text("ShardId")
	forms := []func(i int) string{
		func(i int) string { return "\xa2" + seq + text(number(i)) + id + text(shard(i)) },
		func(i int) string { return "\xa2" + id + text(shard(i)) + seq + text(number(i)) },
		func(i int) string { return "\xbf" + id + text(shard(i)) + seq + text(number(i)) + "\xff" },
		func(i int) string { return "\xa2" + seq + pieces(number(i)) + id + text(shard(i)) },
		func(i int) string { return "\xa2" + seq + text(number(i)) + id + pieces(shard(i)) },
		func(i int) string { return "\xa2" + seq + text(fmt.Sprint(i)) + id + text("s") }, // of other lengths
		func(i int) string { return "\xa2" + seq + text(strings.Repeat("9", 300+i)) + id + text(shard(i)) },
		func(i int) string { return "\xa2" + seq + text("") + id + text(shard(i)) },
		func(i int) string {
			return "\xa3" + seq + text(number(i)) + id + text(shard(i)) + text("Other") + text(number(i))
		},
		func(i int) string {
			return "\xa3" + seq + text(number(i)) + seq + text(number(i+1)) + id + text(shard(i))
		},
		func(i int) string {
			return "\xa3" + seq + text(number(i)) + id + text(shard(i)) + text("ErrorCode") + "\xf6"
		},
		func(i int) string {
			return "\xa2" + text("ErrorCode") + text("InternalFailure") + text("ErrorMessage") + text(number(i))
		},
		func(i int) string { return "\xa2" + seq + "\xf6" + id + text(shard(i)) },
		func(i int) string { return "\xa1" + seq + text(number(i)) },
		func(int) string { return "\xa0" },
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		form, entries := rng.IntN(len(forms)), ""
		for i := range 100 {
			if rng.IntN(8) == 0 {
				form = rng.IntN(len(forms))
			}
			entries += forms[form](i)
		}
		body := []byte("\xa1" + text("Records") + string(cbor.AppendArray(nil, 100)) + entries)
		want, err := readAsSDK(body)
		if err != nil {
			t.Fatal(err)
		}
		var got kinesis.PutRecordsOutput
		if err := awsclient.ReadPutRecords(body, 100, &got); err != nil || !reflect.DeepEqual(got.Records, want.Records) {
			t.Fatalf("round %d: unexpected answer; got %d records, %v; want those that the SDK reads", round, len(got.Records), err)
		}
	}
}

// The first entry has a form, and any byte of the second may differ.
func FuzzEntries(f *testing.F) {
	f.Add(answerOf(3))
	f.Add(openAnswerOf(3))
	f.Fuzz(func(t *testing.T, body []byte) {
		var got kinesis.PutRecordsOutput
		err := awsclient.ReadPutRecords(body, 3, &got)
		want, wantErr := readAsSDK(body)
		if err == nil && wantErr == nil && !reflect.DeepEqual(got.Records, want.Records) && len(want.Records) > 0 {
			t.Errorf("unexpected entries; got %+v; want %+v", got.Records, want.Records)
		}
	})
}
