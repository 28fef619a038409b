// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
)

// ticking is a clock that goes on by a second at each look.
type ticking struct{ at time.Time }

func (c *ticking) now() time.Time {
	c.at = c.at.Add(time.Second)
	return c.at
}

func newTicking() *ticking { return &ticking{at: time.Unix(1_800_000_000, 123).UTC()} }

// busy makes a server do everything that a journal holds, and returns the journal.
func busy(t *testing.T, clock *ticking) (*Server, []byte) {
	t.Helper()
	var b bytes.Buffer
	rng := rand.New(rand.NewPCG(1, 2))
	s := New(WithJournal(&b), WithClock(clock.now), WithStream("logs", 3))
	c := s.Client()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	put := func(n int) {
		t.Helper()
		in := &kinesis.PutRecordsInput{StreamName: aws.String("logs")}
		for i := range n {
			e := types.PutRecordsRequestEntry{PartitionKey: aws.String(fmt.Sprint("key-", rng.IntN(50))), Data: bytes.Repeat([]byte{byte(i), 0xff}, rng.IntN(40))}
			if i%5 == 0 {
				e.ExplicitHashKey = aws.String(fmt.Sprint(rng.Uint64()))
			}
			if i%7 == 0 {
				e.PartitionKey = aws.String("caf\xe9")
			}
			in.Records = append(in.Records, e)
		}
		out, err := c.PutRecords(t.Context(), in)
		must(err)
		if *out.FailedRecordCount != 0 {
			t.Fatal("unexpected failures")
		}
	}
	put(40)
	must(s.SplitEven("logs", "shardId-000000000001"))
	put(20)
	must(s.UpdateShardCount("logs", 5))
	must(s.SetMaxRecordKiB("logs", 10240))
	put(20)
	must(s.Merge("logs", "shardId-000000000005", "shardId-000000000006"))
	must(s.CreateStream("gone", StreamConfig{Shards: 2}))
	must(s.DeleteStream("gone"))
	must(s.CreateStream("gone", StreamConfig{Starts: []string{"0", "1000"}, OnDemand: true, Encryption: types.EncryptionTypeKms}))
	must(s.SetDistribution("gone", types.RecordDistributionStrategyAuto))
	_, err := c.UpdateMaxRecordSize(t.Context(), &kinesis.UpdateMaxRecordSizeInput{StreamARN: aws.String(s.ARN("gone")), MaxRecordSizeInKiB: aws.Int32(2048)})
	must(err)
	_, err = c.PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("gone"), PartitionKey: aws.String("k"), Data: []byte{}})
	must(err)
	put(20)
	return s, b.Bytes()
}

// contents is all that a client can see, as text: pointers and forms of time do not count.
func contents(t *testing.T, s *Server) []string {
	t.Helper()
	var all []string
	for _, name := range []string{"logs", "gone"} {
		sum, err := s.Client().DescribeStreamSummary(t.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: &name})
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.Client().ListShards(t.Context(), &kinesis.ListShardsInput{StreamName: &name})
		if err != nil {
			t.Fatal(err)
		}
		shards := s.Shards(name)
		for i := range shards {
			shards[i].PeakConcurrency = 0 // is of the process
		}
		for _, v := range []any{sum.StreamDescriptionSummary, list.Shards, shards, s.Records(name)} {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, string(b))
		}
	}
	return all
}

func sameContents(t *testing.T, got, want *Server) {
	t.Helper()
	a, b := contents(t, got), contents(t, want)
	for i := range a {
		if a[i] == b[i] {
			continue
		}
		at := 0
		for at < min(len(a[i]), len(b[i])) && a[i][at] == b[i][at] {
			at++
		}
		at = max(0, at-50)
		t.Errorf("unexpected contents, part %d; got ...%.120s; want ...%.120s", i, a[i][at:], b[i][at:])
	}
}

func TestRestoredServerIsTheSame(t *testing.T) {
	clock := newTicking() // goes on, as that of a machine does
	old, journal := busy(t, clock)
	var more bytes.Buffer
	s := New(WithJournal(&more), WithClock(clock.now))
	whole, err := s.Restore(bytes.NewReader(journal))
	if err != nil || whole != int64(len(journal)) {
		t.Fatalf("unexpected end of the restore; got %d of %d bytes, %v", whole, len(journal), err)
	}
	if more.Len() != 0 {
		t.Error("the restore wrote to the new journal")
	}
	sameContents(t, s, old)
	// It goes on: sequence numbers increase, and the next journal is the rest of the first.
	before := s.Records("logs")
	for i := range 50 {
		if _, err := s.Client().PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("logs"), PartitionKey: aws.String(fmt.Sprint(i)), Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	last := map[string]string{}
	for _, r := range s.Records("logs") {
		if r.SequenceNumber <= last[r.ShardID] {
			t.Errorf("unexpected sequence number in %s; got %s after %s", r.ShardID, r.SequenceNumber, last[r.ShardID])
		}
		last[r.ShardID] = r.SequenceNumber
	}
	if n := len(s.Records("logs")); n != len(before)+50 {
		t.Errorf("unexpected records; got %d; want %d", n, len(before)+50)
	}
	third := New(WithClock(clock.now))
	if _, err := third.Restore(bytes.NewReader(append(bytes.Clone(journal), more.Bytes()...))); err != nil {
		t.Fatal(err)
	}
	sameContents(t, third, s)
}

// A process that is killed while it writes leaves a part of a line, of a call that was
// not answered.
func TestTornJournalIsRestoredUpToItsLastWholeLine(t *testing.T) {
	_, journal := busy(t, newTicking())
	for cut := len(journal) - 2000; cut < len(journal); cut++ {
		whole, err := New().Restore(bytes.NewReader(journal[:cut]))
		if want := int64(bytes.LastIndexByte(journal[:cut], '\n') + 1); err != nil || whole != want {
			t.Fatalf("unexpected end of the restore of %d bytes; got %d, %v; want %d", cut, whole, err, want)
		}
	}
}

func TestDamagedJournalIsRefused(t *testing.T) {
	_, journal := busy(t, newTicking())
	lines := strings.SplitAfter(string(journal), "\n")
	for what, c := range map[string]struct{ text, want string }{
		"not JSON":            {lines[0] + "{\n" + lines[1], "line 2 of the journal"},
		"nothing":             {lines[0] + "{}\n", "it says nothing"},
		"a line twice":        {lines[0] + lines[1] + lines[1], "which is at"},
		"a stream twice":      {lines[0] + lines[0], "already exists"},
		"no such stream":      {lines[1], "not found"},
		"no such shard":       {lines[0] + strings.Replace(lines[1], "shardId-00000000000", "shardId-99999999999", 1), "has no shard"},
		"impossible hash key": {lines[0] + `{"reshard":"logs","parents":["shardId-000000000000"],"ranges":[["x","1"]]}` + "\n", "not a range"},
		"no such parent":      {lines[0] + `{"reshard":"logs","parents":["shardId-000000000009"],"ranges":[["0","1"]]}` + "\n", "has no open shard"},
		"no such stream gone": {`{"delete":"logs"}` + "\n", "not found"},
	} {
		if _, err := New().Restore(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: unexpected error; got %v; want %q", what, err, c.want)
		}
	}
}

// full is a disk that has room for some writes.
type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if f.room--; f.room < 0 {
		return len(p) / 2, errors.New("no space left on device")
	}
	return len(p), nil
}

func TestNothingIsConfirmedThatIsNotInTheJournal(t *testing.T) {
	s := New(WithJournal(&full{room: 2}), WithStream("logs", 1))
	for i := range 4 {
		_, err := s.Client().PutRecord(t.Context(), &kinesis.PutRecordInput{StreamName: aws.String("logs"), PartitionKey: aws.String("k"), Data: []byte("x")})
		var api smithy.APIError
		if failed := errors.As(err, &api) && api.ErrorCode() == "InternalFailure" && strings.Contains(api.ErrorMessage(), "no space left"); failed != (i >= 2) {
			t.Errorf("unexpected result of put %d; got %v", i, err)
		}
	}
}

func TestServerWithoutAJournalWritesNone(t *testing.T) {
	s := New(WithStream("logs", 1))
	if s.journal != nil || s.journal.flush() != nil {
		t.Error("unexpected journal")
	}
}
