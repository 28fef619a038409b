// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// These tests show behaviour in which the two other Kinesis outputs fail, each as
// a user would notice it.

func puts(c *kinesistest.Call) []types.PutRecordsRequestEntry {
	return c.Input.(*kinesis.PutRecordsInput).Records
}

func numbered(t *testing.T, from, n int) (chunk []byte, want []string) {
	t.Helper()
	for i := from; i < from+n; i++ {
		chunk = append(chunk, eventOf(t, fields{"n": i, "k": fmt.Sprintf("key-%d", i%50)})...)
		want = append(want, fmt.Sprintf(`{"k":"key-%d","n":%d}`, i%50, i))
	}
	return chunk, want
}

func wantExactly(t *testing.T, got, want []string) {
	t.Helper()
	count := map[string]int{}
	for _, p := range got {
		count[p]++
	}
	lost, doubled := 0, 0
	for _, p := range want {
		if count[p] == 0 {
			lost++
		} else {
			doubled += count[p] - 1
		}
	}
	if lost+doubled > 0 || len(got) != len(want) {
		t.Errorf("unexpected delivery of %d events; got %d, lost %d, doubled %d", len(want), len(got), lost, doubled)
	}
}

func TestEachEventOfAnAggregateKeepsItsOwnKey(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 8))
	in, _ := newReal(t, s, "partition_key", "k")
	chunk, want := numbered(t, 0, 2000)
	untilOK(t, in, "tag", chunk)
	wantExactly(t, consumed(t, s, "logs"), want)
	c := s.Consume("logs")
	if c.Aggregates == 0 {
		t.Error("unexpected records; got no aggregate")
	}
	for _, r := range c.Records {
		if !strings.Contains(string(r.Data), `"k":"`+r.PartitionKey+`"`) {
			t.Fatalf("unexpected key; got %q for %s", r.PartitionKey, r.Data)
		}
	}
	for _, r := range s.Records("logs") {
		if len(r.Data) > 51200 {
			t.Errorf("unexpected aggregate of %d bytes; want at most 51200, a small part of a shard's second", len(r.Data))
		}
	}
}

func TestFailedEntriesAloneAreSentAgain(t *testing.T) {
	for _, code := range []string{"InternalFailure", "ProvisionedThroughputExceededException"} {
		for _, aggregation := range []string{"on", "off"} {
			t.Run(code+", aggregation "+aggregation, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream("logs", 4), kinesistest.WithLimits(kinesistest.Limits{}))
				s.Fault(kinesistest.Fault{Operation: "PutRecords", Seed: 1, Effect: kinesistest.Effect{EntryCode: code, EntryShare: 0.02}})
				in, _ := newReal(t, s, "partition_key", "k", "aggregation", aggregation)
				chunk, want := numbered(t, 0, 2500)
				untilOK(t, in, "tag", chunk)
				wantExactly(t, consumed(t, s, "logs"), want)
			})
		}
	}
}

func TestTimeOfTheEventNotOfTheFlush(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 1))
	in, _ := newReal(t, s, "time_key", "t", "time_key_format", "%Y-%m-%dT%H:%M:%S.%LZ %3N %f %6N %9N")
	untilOK(t, in, "tag", eventAt(t, 1577934245, 123456789, fields{}, fields{"a": 1}))
	wantExactly(t, consumed(t, s, "logs"), []string{`{"a":1,"t":"2020-01-02T03:04:05.123Z 123 123456 123456 123456789"}`})
}

func TestGroupMarkersAreNoRecords(t *testing.T) {
	otlp := func(t *testing.T) []byte {
		return slices.Concat(
			eventAt(t, 0xffffffff, 0, fields{"schema": "otlp", "resource_id": 0}, fields{"resource": fields{"attributes": fields{"service.name": "shop"}}, "scope": fields{"name": "lib"}}),
			eventAt(t, 5, 0, fields{"otlp": fields{"trace_id": []byte("0123456789abcdef"), "severity_text": "INFO"}}, fields{"log": "hello"}),
			eventAt(t, 0xfffffffe, 0, fields{}, fields{}))
	}
	t.Run("by default only the event", func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("logs", 1))
		in, _ := newReal(t, s)
		untilOK(t, in, "tag", otlp(t))
		wantExactly(t, consumed(t, s, "logs"), []string{`{"log":"hello"}`})
	})
	t.Run("attributes and metadata on request, and in templates", func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("logs-shop", 1))
		in, _ := newReal(t, s, "metadata_key", "metadata", "group_key", "group",
			"stream", "logs-$group['resource']['attributes']['service.name']", "partition_key", "$metadata['otlp']['trace_id']")
		untilOK(t, in, "tag", otlp(t))
		id := "30313233343536373839616263646566"
		wantExactly(t, consumed(t, s, "logs-shop"), []string{`{"log":"hello","metadata":{"otlp":{"severity_text":"INFO","trace_id":"` + id +
			`"}},"group":{"resource":{"attributes":{"service.name":"shop"}},"scope":{"name":"lib"}}}`})
		if key := s.Consume("logs-shop").Records[0].PartitionKey; key != id {
			t.Errorf("unexpected partition key; got %q; want %q", key, id)
		}
	})
}

func TestBrokenEventsAreNotTheSilentEndOfTheChunk(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 1))
	in, log := newReal(t, s)
	chunk := slices.Concat(eventOf(t, fields{"n": 1}),
		[]byte{0x92, 0x92, 0xd7, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0x80, 0xa3, 'a', 'b', 'c'}, // the body is text
		[]byte{0xc0, 0x07}, // no events at all
		[]byte{0x92, 0x92, 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0, 0x80, 0x80}, // the time is NaN
		eventOf(t, fields{"n": 2}))
	wantCode(t, in.Flush("tag", chunk), OK)
	wantExactly(t, consumed(t, s, "logs"), []string{`{"n":1}`, `{"n":2}`})
	if st := in.Stats(); st.Broken != 4 || !strings.Contains(log.String(), "events=4") {
		t.Errorf("unexpected report; got %d broken; want 4; log:\n%s", st.Broken, log)
	}
	wantCode(t, in.Flush("tag", append(chunk, 0xc1, 1, 2)), Error)
}

func TestNothingIsAcknowledgedBeforeItIsStored(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 1))
	hold := make(chan struct{})
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Effect{Hold: hold}})
	in, log := newReal(t, s, "experimental_concurrency", "10", "flush_timeout", "100ms")
	chunk, want := numbered(t, 0, 10)
	wantCode(t, in.Flush("tag", chunk), Retry)
	close(hold)
	untilOK(t, in, "tag", chunk)
	wantExactly(t, consumed(t, s, "logs"), want)
	if !strings.Contains(log.String(), "option=experimental_concurrency") {
		t.Errorf("unexpected log; want a warning about experimental_concurrency:\n%s", log)
	}
}

func TestALongOutageDoesNotEndTheProcess(t *testing.T) {
	asked := false
	_, err := ParseConfig(with(), func(name string) string {
		asked = asked || name == "SEND_FAILURE_TIMEOUT"
		return "1ns"
	})
	if err != nil || asked {
		t.Errorf("unexpected use of SEND_FAILURE_TIMEOUT, after which the AWS plugin ends the host; error %v", err)
	}
	s := kinesistest.New(kinesistest.WithStream("logs", 1))
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 20, Effect: kinesistest.Status(500)})
	in, _ := newReal(t, s, "flush_timeout", "100ms")
	chunk, want := numbered(t, 0, 10)
	untilOK(t, in, "tag", chunk)
	wantExactly(t, consumed(t, s, "logs"), want)
}

// A chunk that waits for the list of shards says what keeps that away, not that nothing was heard.
func TestChunkThatWaitsForTheShardsSaysWhyTheyAreUnknown(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 1))
	s.Fault(kinesistest.Fault{Operation: "ListShards", Times: 1000, Effect: kinesistest.Effect{HTTPStatus: 400, ErrorCode: "UnrecognizedClientException", ErrorMessage: "The security token included in the request is invalid."}})
	in, log := newReal(t, s, "flush_timeout", "300ms", "startup_check", "off")
	chunk, _ := numbered(t, 0, 10)
	wantCode(t, in.Flush("tag", chunk), Retry)
	if got := log.String(); !strings.Contains(got, `reason=waiting code=UnrecognizedClientException`) || strings.Contains(got, "no answer within") {
		t.Errorf("unexpected log; want the error of ListShards in the line about the chunk:\n%s", got)
	}
}

func TestFlushesAtTheSameTimeDoNotMix(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 4), kinesistest.WithLimits(kinesistest.Limits{}))
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Seed: 2, Effect: kinesistest.Effect{EntryCode: "InternalFailure", EntryShare: 0.1}})
	in, _ := newReal(t, s, "partition_key", "$TAG")
	var wg sync.WaitGroup
	var all []string
	for i := range 8 {
		tag := fmt.Sprintf("tag-%d", i)
		var chunk []byte
		for n := range 500 {
			chunk = append(chunk, eventOf(t, fields{"n": n, "tag": tag})...)
			all = append(all, fmt.Sprintf(`{"n":%d,"tag":"%s"}`, n, tag))
		}
		wg.Go(func() {
			for range 100 {
				if in.Flush(tag, chunk) == OK {
					return
				}
			}
			t.Errorf("%s is not OK after 100 flushes", tag)
		})
	}
	wg.Wait()
	wantExactly(t, consumed(t, s, "logs"), all)
	for _, r := range s.Consume("logs").Records {
		if !strings.Contains(string(r.Data), r.PartitionKey) {
			t.Fatalf("unexpected key %q of %s", r.PartitionKey, r.Data)
		}
	}
}

func TestAFailedChunkDoesNotTravelWithTheNext(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 1), kinesistest.WithStream("other", 1))
	in, _ := newReal(t, s, "stream", "$s", "flush_timeout", "100ms")
	bad := eventOf(t, fields{"s": "none", "n": 1})
	wantCode(t, in.Flush("tag", bad), Retry)
	wantCode(t, in.Flush("tag", eventOf(t, fields{"s": "logs", "n": 2})), OK)
	wantExactly(t, consumed(t, s, "logs"), []string{`{"n":2,"s":"logs"}`})
}

func TestDataAndKeyTogetherMayReachTheLimit(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 1))
	in, _ := newReal(t, s, "partition_key", "k", "log_key", "log")
	key := strings.Repeat("k", 256)
	untilOK(t, in, "tag", eventOf(t, fields{"k": key, "log": strings.Repeat("x", 1<<20-256)}))
	if got := consumed(t, s, "logs"); len(got) != 1 || len(got[0]) != 1<<20-256 {
		t.Errorf("unexpected records; got %d", len(got))
	}
	wantCode(t, in.Flush("tag", eventOf(t, fields{"k": key, "log": strings.Repeat("x", 1<<20-255)})), Error)
}

func TestALargerLimitOfTheStreamIsUsed(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 1), kinesistest.WithLimits(kinesistest.Limits{}))
	if err := s.SetMaxRecordKiB("logs", 10240); err != nil {
		t.Fatal(err)
	}
	in, _ := newReal(t, s, "log_key", "log")
	untilOK(t, in, "tag", eventOf(t, fields{"log": strings.Repeat("x", 5<<20)}))
	if got := consumed(t, s, "logs"); len(got) != 1 || len(got[0]) != 5<<20 {
		t.Errorf("unexpected records; got %d", len(got))
	}
}

// truncate and split leave alone what a stream with a higher limit takes.
func TestOversizeGoesByTheLimitOfTheStream(t *testing.T) {
	for _, stream := range []string{"logs", "arn:aws:kinesis:us-east-1:123456789012:stream/logs", "$s"} {
		for _, policy := range []string{"truncate", "split"} {
			t.Run(stream+" "+policy, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { oversizeByLimit(t, stream, policy) })
			})
		}
	}
}

func oversizeByLimit(t *testing.T, stream, policy string) {
	s := kinesistest.New(kinesistest.WithStream("logs", 1), kinesistest.WithLimits(kinesistest.Limits{}))
	if err := s.SetMaxRecordKiB("logs", 4096); err != nil {
		t.Fatal(err)
	}
	in, log := newReal(t, s, "stream", stream, "region", "us-east-1", "oversize", policy)
	untilOK(t, in, "tag", eventOf(t, fields{"n": 1, "s": "logs"})) // from here on it is known
	untilOK(t, in, "tag", slices.Concat(eventOf(t, fields{"log": strings.Repeat("x", 3<<20), "s": "logs"}),
		eventOf(t, fields{"log": strings.Repeat("y", 5<<20), "s": "logs"})))
	want := map[string][2]uint64{"truncate": {1, 0}, "split": {0, 1}}[policy]
	if st := in.Stats(); st.Truncated != want[0] || st.Split != want[1] {
		t.Errorf("unexpected counters; got %+v; want %v; log:\n%s", st, want, log)
	}
	whole := 0
	for _, p := range consumed(t, s, "logs") {
		if strings.Contains(p, strings.Repeat("x", 3<<20)) {
			whole++
		}
	}
	if whole != 1 {
		t.Errorf("unexpected records; got the event %d times whole; want once", whole)
	}
}

func TestValuesThatJSONDoesNotHaveKeepTheirEvent(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 1))
	in, _ := newReal(t, s, "partition_key", "id")
	untilOK(t, in, "tag", slices.Concat(
		eventOf(t, fields{"a": math.NaN(), "b": math.Inf(1), "id": 7}),
		eventOf(t, fields{"id": uint64(math.MaxUint64), "z": "a\xffb"})))
	wantExactly(t, consumed(t, s, "logs"), []string{`{"a":null,"b":null,"id":7}`, `{"id":18446744073709551615,"z":"a` + "\uFFFD" + `b"}`})
	for _, r := range s.Consume("logs").Records {
		if !strings.Contains(string(r.Data), `"id":`+r.PartitionKey) {
			t.Errorf("unexpected key; got %q for %s; want the number", r.PartitionKey, r.Data)
		}
	}
}

func TestALongKeyIsCutAtACharacter(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 1))
	in, _ := newReal(t, s, "partition_key", "k")
	untilOK(t, in, "tag", eventOf(t, fields{"k": "x" + strings.Repeat("\u20ac", 300)}))
	if key := s.Consume("logs").Records[0].PartitionKey; key != "x"+strings.Repeat("\u20ac", 255) {
		t.Errorf("unexpected key of %d characters", utf8.RuneCountInString(key))
	}
}

func TestWhatIsTooLargeIsNeverDroppedInSilence(t *testing.T) {
	big := strings.Repeat("\u20ac\"<x>", 200000)
	for _, tt := range []struct {
		policy string
		code   Code
	}{{"", Error}, {"error", Error}, {"drop", OK}, {"truncate", OK}, {"split", OK}, {"dead_letter", OK}} {
		codecs := []string{"none"}
		if tt.policy == "truncate" { // the one that a codec can spare
			codecs = append(codecs, "gzip")
		}
		for _, codec := range codecs {
			t.Run(tt.policy+", compression "+codec, func(t *testing.T) {
				s := kinesistest.New(kinesistest.WithStream("logs", 1), kinesistest.WithLimits(kinesistest.Limits{}))
				file := filepath.Join(t.TempDir(), "dead.ndjson")
				kv := []string{"oversize", tt.policy, "compression", codec, "rate_limit", "1000"}
				if tt.policy == "dead_letter" {
					kv = append(kv, "dead_letter_file", file)
				}
				in, log := newReal(t, s, kv...)
				wantCode(t, in.Flush("tag", slices.Concat(eventOf(t, fields{"n": 1}), eventOf(t, fields{"log": big, "n": 2}), eventOf(t, fields{"n": 3}))), tt.code)
				st := in.Stats()
				said := strings.Contains(log.String(), "can never be accepted")
				switch tt.policy {
				case "truncate":
					if codec == "none" && st.Truncated != 1 {
						t.Errorf("unexpected counters: %+v", st)
					}
				case "split":
					if st.Split != 1 || len(consumed(t, s, "logs")) < 4 {
						t.Errorf("unexpected counters: %+v", st)
					}
				case "dead_letter":
					if st.DeadLetters != 1 || !said || len(readDeadLetters(t, file)) != 1 {
						t.Errorf("unexpected counters: %+v; log:\n%s", st, log)
					}
				default:
					if st.Refused != 1 || !said {
						t.Errorf("unexpected counters: %+v; log:\n%s", st, log)
					}
				}
				if codec != "none" {
					return
				}
				for _, p := range consumed(t, s, "logs") {
					if !json.Valid([]byte(p)) {
						t.Errorf("unexpected payload of %d bytes; want JSON", len(p))
					}
				}
			})
		}
	}
}

func TestPermanentFailureIsNamedOnce(t *testing.T) {
	s := kinesistest.New()
	in, log := newReal(t, s, "flush_timeout", "100ms")
	chunk, _ := numbered(t, 0, 500)
	for range 3 {
		wantCode(t, in.Flush("tag", chunk), Retry)
	}
	if n := strings.Count(log.String(), "reason=stream_not_found"); n != 1 || !strings.Contains(log.String(), "create the stream") {
		t.Errorf("unexpected lines about the missing stream; got %d; want 1 with advice; log:\n%s", n, log)
	}
}

func TestAMissingKeyIsNotALineForEachEvent(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 2))
	in, log := newReal(t, s, "partition_key", "none->there", "log_key", "none")
	chunk, want := numbered(t, 0, 1000)
	untilOK(t, in, "tag", chunk)
	wantExactly(t, consumed(t, s, "logs"), want)
	if n := strings.Count(log.String(), "level=WARN"); n != 2 || !strings.Contains(log.String(), "stream=logs count=1000") {
		t.Errorf("unexpected number of warnings; got %d; want 2; log:\n%s", n, log)
	}
}

func TestLogKeyMatchesItsNameExactlyAndOnce(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 1))
	in, _ := newReal(t, s, "log_key", "log")
	untilOK(t, in, "tag", slices.Concat(
		eventOf(t, fields{"abc": "same length", "log": "text \"as it is\"", "log_processed": fields{"a": 1}, "logs": "x"}),
		eventOf(t, fields{"log": fields{"m": []int{1, 2}}}),
		eventOf(t, fields{"log": 12345}),
		eventOf(t, fields{"log": true}),
		eventOf(t, fields{"lo": "x"})))
	wantExactly(t, consumed(t, s, "logs"), []string{`text "as it is"`, `{"m":[1,2]}`, `12345`, `true`, `{"lo":"x"}`})
}

func TestEveryShapingOptionDoesWhatItSays(t *testing.T) {
	body := fields{"a.b": []any{fields{"c.d": 1}}, "e": "<&>", "f": 2.0, "g": "gone"}
	s := kinesistest.New(kinesistest.WithStream("logs", 1))
	in, _ := newReal(t, s, "data_keys", "a.b, e ,f", "replace_dots", "-", "append_newline", "ON", "aggregation", "Yes")
	untilOK(t, in, "tag", slices.Concat(eventOf(t, body), eventOf(t, body)))
	want := `{"a-b":[{"c-d":1}],"e":"<&>","f":2.0}` + "\n"
	wantExactly(t, consumed(t, s, "logs")[:1], []string{want})
	if c := s.Consume("logs"); c.Aggregates != 1 || len(c.Records) != 2 {
		t.Errorf("unexpected records; got %d in %d aggregates; want 2 in 1", len(c.Records), c.Aggregates)
	}
}

func TestManyRecordsShareARequestAndTheKeysOfARetryAreTheSame(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 4), kinesistest.WithLimits(kinesistest.Limits{}))
	var mu sync.Mutex
	keys := map[string]map[string]bool{} // by payload
	s.Fault(kinesistest.Fault{
		Operation: "PutRecords", Seed: 3, Effect: kinesistest.Effect{EntryCode: "InternalFailure", EntryShare: 0.3},
		Match: func(c *kinesistest.Call) bool {
			mu.Lock()
			defer mu.Unlock()
			for _, r := range puts(c) {
				if keys[string(r.Data)] == nil {
					keys[string(r.Data)] = map[string]bool{}
				}
				keys[string(r.Data)][*r.PartitionKey] = true
			}
			return true
		},
	})
	in, _ := newReal(t, s, "aggregation", "off", "partition_key", "k")
	chunk, want := numbered(t, 0, 1000)
	untilOK(t, in, "tag", chunk)
	wantExactly(t, consumed(t, s, "logs"), want)
	mu.Lock()
	defer mu.Unlock()
	for p, k := range keys {
		if len(k) != 1 {
			t.Fatalf("unexpected keys for %s over its attempts; got %v; want one", p, k)
		}
	}
	// Few would do, but each retry has a moment of its own.
	if n := s.Calls("PutRecords"); n > 300 {
		t.Errorf("unexpected number of requests; got %d for 1000 records; want several records in each", n)
	}
}

func TestAPoisonRecordDoesNotHoldUpTheOthers(t *testing.T) {
	s := kinesistest.New(kinesistest.WithStream("logs", 1))
	s.Fault(kinesistest.Fault{
		Operation: "PutRecords", Effect: kinesistest.Fail("ValidationException", "no"),
		Match: func(c *kinesistest.Call) bool {
			return slices.ContainsFunc(puts(c), func(r types.PutRecordsRequestEntry) bool { return strings.Contains(string(r.Data), "poison") })
		},
	})
	file := filepath.Join(t.TempDir(), "dead.ndjson")
	in, _ := newReal(t, s, "dead_letter_file", file)
	untilOK(t, in, "tag", eventOf(t, fields{"n": 0})) // the stream works
	want := []string{`{"n":0}`, `{"n":1}`, `{"n":2}`}
	done := make(chan struct{})
	go func() {
		defer close(done)
		untilOK(t, in, "kube", slices.Concat(eventOf(t, fields{"n": 1}), eventOf(t, fields{"log": "poison"}), eventOf(t, fields{"n": 2})))
	}()
	for i, open := 3, true; open; i++ { // others pass, which proves that it is the record
		untilOK(t, in, "tag", eventOf(t, fields{"n": i}))
		want = append(want, fmt.Sprintf(`{"n":%d}`, i))
		select {
		case <-done:
			open = false
		case <-time.After(20 * time.Millisecond):
		}
	}
	wantExactly(t, consumed(t, s, "logs"), want)
	deadLetters := readDeadLetters(t, file)
	if len(deadLetters) != 1 || string(deadLetters[0].Data) != `{"log":"poison"}` || deadLetters[0].Reason != "invalid" || deadLetters[0].Source != "kube" || len(deadLetters[0].Attempts) == 0 {
		t.Errorf("unexpected dead letters: %+v", deadLetters)
	}
}
