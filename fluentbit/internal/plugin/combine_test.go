// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/combined"
	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// events splits the records of a stream, and counts how often each event is there.
func events(t *testing.T, s *kinesistest.Server) (seen map[string]int, total int) {
	t.Helper()
	seen = map[string]int{}
	var d combined.Decoder
	for _, data := range consumed(t, s, "logs") {
		r, err := d.Decode([]byte(data))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range r.Events {
			seen[string(e)]++
			total++
		}
	}
	return seen, total
}

// keyedChunk is a chunk of n events with one of some keys.
func keyedChunk(t *testing.T, n, keys, padding int) (chunk []byte) {
	t.Helper()
	for i := range n {
		chunk = append(chunk, eventOf(t, fields{"n": i, "k": fmt.Sprint("key ", i%keys), "x": strings.Repeat("x", padding)})...)
	}
	return chunk
}

// Only what failed is sent again, though the chunk is read a second time for it.
func TestCombinedEventsAreDeliveredOnce(t *testing.T) {
	for _, kv := range [][]string{
		{"combine", "lines", "compression", "zstd", "combine_count", "10"},
		{"combine", "json_array", "compression", "gzip", "combine_size", "1024"},
		{"simple_aggregation", "on", "aggregation", "off"},
	} {
		s := kinesistest.New(kinesistest.WithStream("logs", 4))
		in, _ := newReal(t, s, append(kv, "stream", "logs", "partition_key", "k", "flush_timeout", "300ms")...)
		h := s.Fault(kinesistest.Fault{Operation: "PutRecords", Shard: "shardId-000000000001", Effect: kinesistest.ThrottleEntries()})
		chunk := keyedChunk(t, 1000, 7, 20)
		if code := in.Flush("tag", chunk); code != Retry {
			t.Fatalf("unexpected answer with %v while a shard takes nothing; got %v; want RETRY", kv, code)
		}
		h.Remove()
		untilOK(t, in, "tag", chunk)
		if seen, total := events(t, s); total != 1000 || len(seen) != 1000 {
			t.Errorf("unexpected events with %v; got %d, %d different ones; want 1000 once each", kv, total, len(seen))
		}
	}
}

func TestTheSizeOfCombinedRecordsFitsTheStream(t *testing.T) {
	for _, tt := range []struct {
		kv    []string
		most  int // records for 4 MB
		least int
	}{
		{[]string{"aggregation", "off"}, 5, 4},
		{nil, 18, 15},
		{[]string{"aggregation", "off", "combine_size", "512k"}, 9, 8},
	} {
		s := kinesistest.New(kinesistest.WithStream("logs", 1))
		in, _ := newReal(t, s, append(tt.kv, "stream", "logs", "combine", "lines")...)
		untilOK(t, in, "tag", keyedChunk(t, 4000, 1, 1000))
		if n := len(consumed(t, s, "logs")); n > tt.most || n < tt.least {
			t.Errorf("unexpected number of user records with %v; got %d; want %d to %d", tt.kv, n, tt.least, tt.most)
		}
	}
}

func TestOnAStreamThatIsNotAggregatedCombinedRecordsFillAMegabyte(t *testing.T) {
	s := kinesistest.New()
	if err := s.CreateStream("logs", kinesistest.StreamConfig{Shards: 2, Distribution: types.RecordDistributionStrategyAuto}); err != nil {
		t.Fatal(err)
	}
	in, _ := newReal(t, s, "stream", "logs", "combine", "lines")
	untilOK(t, in, "tag", keyedChunk(t, 1, 1, 1)) // before that, nothing is known of the stream
	untilOK(t, in, "tag", keyedChunk(t, 4000, 1, 1000))
	records := consumed(t, s, "logs")
	for _, r := range records {
		if len(r) > 1<<20 {
			t.Errorf("unexpected size of a record; got %d; want at most 1 MiB", len(r))
		}
	}
	if _, total := events(t, s); total != 4001 || len(records) > 6 {
		t.Errorf("unexpected records; got %d with %d events; want at most 6 with 4001", len(records), total)
	}
}

func TestADeadLetterSaysHowManyEventsItHolds(t *testing.T) {
	for _, tt := range []struct {
		combine string
		want    int
	}{{"lines", 10}, {"off", 0}} {
		sink := &fakeSink{}
		in, _, _ := newWithSink(t, sink, refuseSome(core.ReasonTooLarge), "combine", tt.combine, "partition_key", "k")
		if code := in.Flush("tag", keyedChunk(t, 40, 4, 10)); code != OK {
			t.Fatalf("unexpected answer; got %v; want OK", code)
		}
		if len(sink.deadLetters) == 0 {
			t.Fatal("no dead letters")
		}
		for _, l := range sink.deadLetters {
			if l.Events != tt.want || strings.Count(string(l.Data), "\n") != tt.want {
				t.Errorf("unexpected dead letter with combine %s; got %d events; want %d", tt.combine, l.Events, tt.want)
			}
		}
	}
}

func TestSimpleAggregationAndCombineDoNotDisagreeInSilence(t *testing.T) {
	for _, tt := range []struct{ combine, want, err string }{
		{"lines", "lines", ""},
		{"json_array", "", `simple_aggregation: "on": combine is json_array; allowed: combine lines, or only one of the two`},
		{"off", "", "combine is off"},
	} {
		c, err := ParseConfig(with("simple_aggregation", "on", "combine", tt.combine), noEnv)
		if tt.err == "" && (err != nil || c.event.Combine != tt.want) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("unexpected result for combine %s; got %q and %v; want %q and an error with %q", tt.combine, c.event.Combine, err, tt.want, tt.err)
		}
	}
	for _, tt := range []struct{ key, value, err string }{
		{"combine_size", "1023", "1024 to 10485760"},
		{"combine_size", "11M", "1024 to 10485760"},
		{"combine_size", "64K", "has no use with combine off"},
		{"combine_count", "-1", "1 to 1000000"},
		{"combine", "line", `lines`},
	} {
		if _, err := ParseConfig(with(tt.key, tt.value), noEnv); err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("unexpected error for %s %s; got %v; want one with %q", tt.key, tt.value, err, tt.err)
		}
	}
}

// What users see counts events, however many of them are in a record.
func TestWhatIsReportedOfCombinedRecordsAreEvents(t *testing.T) {
	for _, tt := range []struct {
		combine string
		records uint64
		line    string
	}{
		{"lines", 4, "events=20 records=2 reason=invalid"},
		{"off", 40, "events=20 reason=invalid"},
	} {
		put := func(_ int, b *fakeBatch) error {
			for i, r := range b.records {
				reason := core.ReasonNone
				if strings.Contains(r, "key 1") || strings.Contains(r, "key 3") {
					reason = core.ReasonInvalid
				}
				b.settle(i, reason)
			}
			return nil
		}
		in, _, log := newTest(t, put, "combine", tt.combine, "partition_key", "k")
		if code := in.Flush("tag", keyedChunk(t, 40, 4, 10)); code != Error {
			t.Fatalf("unexpected answer; got %v; want ERROR", code)
		}
		if s := in.Stats(); s.Events != 40 || s.Records != tt.records || s.Refused != 20 {
			t.Errorf("unexpected counts with combine %s; got %d events in %d records, %d refused; want 40 in %d, 20", tt.combine, s.Events, s.Records, s.Refused, tt.records)
		}
		if !strings.Contains(log.String(), tt.line) || !strings.Contains(log.String(), "answered_with_error=20") {
			t.Errorf("unexpected log with combine %s; got\n%s; want %s", tt.combine, log, tt.line)
		}
	}
}
