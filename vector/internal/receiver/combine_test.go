// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/combined"
	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// decoded are the events in a stream by key, in their order, and the number of user records.
func (r *rig) decoded(compression, form string) (byKey map[string][]string, records int) {
	r.t.Helper()
	byKey = map[string][]string{}
	d := combined.Decoder{Compression: compression, Form: form}
	got := r.kinesis.Consume("logs")
	for _, rec := range got.Records {
		one, err := d.Decode(rec.Data)
		if err != nil {
			r.t.Fatalf("cannot decode a record of %d bytes: %v", len(rec.Data), err)
		}
		for _, e := range one.Events {
			byKey[rec.PartitionKey] = append(byKey[rec.PartitionKey], string(e))
		}
	}
	return byKey, len(got.Records)
}

func TestEventsOfABodyAreCombinedInEveryFormat(t *testing.T) {
	var lines, array strings.Builder
	array.WriteString("[")
	for i := range 300 {
		fmt.Fprintf(&lines, `{"n":%d,"k":"key %d","m":"two\nlines"}`+"\n", i, i%7)
		if i > 0 {
			array.WriteString(",\n")
		}
		fmt.Fprintf(&array, "{\r\n\t\"n\": %d, \"k\" : \"key %d\", \"m\":\"two\\nlines\"\n}", i, i%7)
	}
	array.WriteString("]")
	for _, tt := range []struct {
		name, body, contentType string
		flags                   []string
	}{
		{"lines", lines.String(), "application/x-ndjson", []string{"--route.partition_key=k"}},
		{"array", array.String(), "application/json", []string{"--route.partition_key=k"}},
		{"array, no key", array.String(), "application/json", []string{"--route.partition_key=constant:one"}},
		{"array as it came", array.String(), "application/json", []string{"--route.partition_key=k", "--route.keep_layout=true"}},
		{"log key", array.String(), "application/json", []string{"--route.partition_key=k", "--route.log_key=m"}},
		{"data keys", lines.String(), "application/json", []string{"--route.partition_key=k", "--route.data_keys=m,n", "--route.append_newline=true"}},
		{"text", "[a]\n\"b\"\n" + strings.Repeat("plain text\n", 300), "text/plain", []string{"--route.format=lines", "--route.partition_key=constant:x"}},
		{"strings", `["a\nb","c",""]`, "application/json", []string{"--route.partition_key=constant:x"}},
		{"texts", `["a\nb","c",""]`, "application/json", []string{"--route.partition_key=constant:x", "--route.unquote_strings=true"}},
		{"msgpack", "\x92\x01\x82\xa1k\xa1a\xa1n\x02\x92\x01\x82\xa1k\xa1a\xa1n\x03", "application/msgpack", []string{"--route.partition_key=k"}},
	} {
		for _, form := range []string{"lines", "json_array"} {
			for _, compression := range []string{"none", "zstd", "gzip", "zlib", "snappy"} {
				t.Run(tt.name+"/"+form+"/"+compression, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						post := func(form string, flags ...string) (map[string][]string, int) {
							r := newRig(t, append(flags, tt.flags...)...)
							defer r.stop()
							r.post(t.Context(), "/", []byte(tt.body), "Content-Type", tt.contentType).want(t, 200, "")
							if form == combined.Single {
								return r.decoded(combined.None, form)
							}
							return r.decoded(compression, form)
						}
						want, n := post(combined.Single)
						for k, events := range want { // white space around the values of JSON goes, and so does the newline
							for i := range events {
								events[i] = strings.TrimSuffix(events[i], "\n")
								if form == "lines" && tt.name == "array as it came" {
									var one bytes.Buffer
									if err := json.Compact(&one, []byte(events[i])); err != nil {
										t.Fatal(err)
									}
									events[i] = one.String()
								}
							}
							want[k] = events
						}
						got, records := post(form, "--route.combine="+form, "--route.compression="+compression)
						if !maps.EqualFunc(got, want, slices.Equal) {
							t.Errorf("unexpected events; got %.300q; want %.300q", got, want)
						}
						if records != len(want) || n < records {
							t.Errorf("unexpected number of user records; got %d for %d events; want one for each of %d keys", records, n, len(want))
						}
					})
				})
			}
		}
	}
}

// A record is known by its number, so a body that is sent again must give the same records.
func TestCombinedRecordsThatFailedAreSentAgainAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--route.partition_key=k", "--route.combine=lines", "--route.compression=zstd", "--route.combine_count=10")
		defer r.stop()
		var body strings.Builder
		for i := range 1000 {
			fmt.Fprintf(&body, `{"n":%d,"k":"key %d"}`+"\n", i, i%7)
		}
		h := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Shard: "shardId-000000000001", Effect: kinesistest.ThrottleEntries()})
		if status := r.from(t.Context(), "10.0.0.1:1000", []byte(body.String())); status != 503 {
			t.Fatalf("unexpected answer while a shard takes nothing; got %d; want 503", status)
		}
		h.Remove()
		wait(t.Context(), 10*time.Second)
		if status := r.from(t.Context(), "10.0.0.1:1000", []byte(body.String())); status != 200 {
			t.Fatalf("unexpected answer; got %d; want 200", status)
		}
		got, _ := r.decoded("zstd", "lines")
		n := 0
		seen := map[string]bool{}
		for _, events := range got {
			for _, e := range events {
				n++
				seen[e] = true
			}
		}
		if n != 1000 || len(seen) != 1000 {
			t.Errorf("unexpected events; got %d, %d different ones; want 1000 once each", n, len(seen))
		}
	})
}

func TestAnEventThatIsTooLargeCostsNoneOfThoseItWouldBeCombinedWith(t *testing.T) {
	body := []byte(`{"n":0}` + "\n" + `{"n":1,"x":"` + incompressible(5000) + `"}` + "\n" + `{"n":2,"x":"` + strings.Repeat("x", 5000) + `"}` + "\n" + `{"n":3}`)
	for compression, want := range map[string]int{"none": 2, "zstd": 3} { // the third fits when it is compressed
		for policy, answer := range map[string]string{"drop": fmt.Sprintf(`{"events":4,"dropped":%d}`, 4-want), "dead_letter": fmt.Sprintf(`{"events":4,"dead_lettered":%d}`, 4-want), "reject": ""} {
			t.Run(compression+"/"+policy, func(t *testing.T) {
				want := want
				synctest.Test(t, func(t *testing.T) {
					m := &memory{}
					var deadLetters deadletter.Sink
					flags := []string{"--route.combine=json_array", "--route.compression=" + compression, "--route.record_max_size=2000", "--route.oversize=" + policy}
					if policy == "dead_letter" {
						deadLetters, flags = m, append(flags, "--dead_letter.stream=unused")
					}
					r := poisonRig(t, deadLetters, 1<<20, flags...)
					defer r.stop()
					if policy == "reject" {
						r.post(t.Context(), "/", body).want(t, 422, "event 1 can never be stored")
						want = 0
					} else {
						r.post(t.Context(), "/", body).want(t, 200, answer)
					}
					got, _ := r.decoded(compression, "json_array")
					n := 0
					for _, events := range got {
						n += len(events)
					}
					if n != want {
						t.Errorf("unexpected number of events; got %d; want %d", n, want)
					}
					for _, l := range m.deadLetters {
						d := combined.Decoder{Compression: compression}
						if rec, err := d.Decode(l.Data); err != nil || len(rec.Events) != 1 {
							t.Errorf("unexpected dead letter; got %d events and %v; want one", len(rec.Events), err)
						}
					}
				})
			})
		}
	}
}

// incompressible is text of n bytes.
func incompressible(n int) string {
	b := make([]byte, n)
	x := uint64(1)
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[x>>58]
	}
	return string(b)
}

func TestADeadLetterOfACombinedRecordSaysHowManyEventsItHolds(t *testing.T) {
	m := &memory{}
	c := recordsOf(3, config.DeadLetters, -1)
	c.counts, c.Events = []int32{1, 200, 30}, c
	attempts(t, c, m, func(int, int) answers { return answers{1: core.ReasonTooLarge, 2: core.ReasonTooLarge} }, 1)
	if len(m.deadLetters) != 2 || m.deadLetters[0].Events != 200 || m.deadLetters[1].Events != 30 {
		t.Errorf("unexpected dead letters; got %+v; want those of 200 and 30 events", m.deadLetters)
	}
	if n := c.s.counters.deadLettered[PoisonTooLarge].Load(); n != 230 {
		t.Errorf("unexpected number of events in dead letters; got %d; want 230", n)
	}

	c = recordsOf(3, config.Drop, -1)
	c.counts, c.Events = []int32{1, 200, 30}, c
	attempts(t, c, nil, func(int, int) answers { return answers{1: core.ReasonTooLarge, 2: core.ReasonTooLarge} }, 1)
	if n := c.s.counters.dropped[PoisonTooLarge].Load(); n != 230 {
		t.Errorf("unexpected number of dropped events; got %d; want 230", n)
	}
}

// The last records of a body that has grown hold other events than before.
func TestABodyOfCombinedEventsIsNotKnownByItsBeginning(t *testing.T) {
	c := recordsOf(3, config.Drop, -1)
	if c.Len() != 3 {
		t.Fatalf("unexpected parts; got %d; want 3", c.Len())
	}
	if c.counts = []int32{1, 1, 2}; c.Len() != 0 {
		t.Errorf("unexpected parts of combined records; got %d; want none", c.Len())
	}
}

// autoRig is a rig whose stream has record distribution AUTO once told so.
func autoRig(t *testing.T, flags ...string) *rig {
	t.Helper()
	return newRig(t, append([]string{"--route.combine=lines", "--producer.describe_interval=30s"}, flags...)...)
}

// becomesAuto changes the stream and waits until that is known.
func (r *rig) becomesAuto() {
	r.t.Helper()
	if err := r.kinesis.SetDistribution("logs", types.RecordDistributionStrategyAuto); err != nil {
		r.t.Fatal(err)
	}
	for i := range 100 {
		if r.producer.Auto("logs") {
			return
		}
		r.post(r.t.Context(), "/", fmt.Appendf(nil, `{"other":%d}`, i)).want(r.t, 200, "")
		wait(r.t.Context(), 5*time.Second)
	}
	r.t.Fatal("the stream is not known for AUTO")
}

func linesOf(n, padding int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"n":%d,"x":%q}`+"\n", i, strings.Repeat("x", padding))
	}
	return []byte(b.String())
}

func TestOnAnAutoStreamCombinedRecordsFillAMegabyte(t *testing.T) {
	for _, tt := range []struct {
		flags       []string
		least, most int // records for 4 MB
	}{
		{nil, 4, 5},
		{[]string{"--route.combine_size=512KiB"}, 8, 9},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := autoRig(t, tt.flags...)
			defer r.stop()
			r.becomesAuto()
			_, before := r.decoded(combined.None, "lines")
			r.post(t.Context(), "/", linesOf(4000, 1000)).want(t, 200, `{"events":4000}`)
			got, after := r.decoded(combined.None, "lines")
			if n := after - before; n < tt.least || n > tt.most {
				t.Errorf("unexpected number of records with %q; got %d; want %d to %d", tt.flags, n, tt.least, tt.most)
			}
			if n := strings.Count(fmt.Sprint(got), `"n":`); n != 4000 {
				t.Errorf("unexpected events; got %d; want 4000", n)
			}
		})
	}
}

// A body that was delivered in part before the stream became AUTO, or ceased to be, has the
// records that it had then.
func TestABodyKeepsItsRecordsWhenTheStreamBecomesAuto(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := autoRig(t, "--route.partition_key=n", "--ledger.age=1h")
		defer r.stop()
		var text strings.Builder
		for i := range 4000 {
			fmt.Fprintf(&text, `{"n":"key %d","all":%d,"x":%q}`+"\n", i%10, i, strings.Repeat("x", 1000))
		}
		body := []byte(text.String())
		h := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Shard: "shardId-000000000001", Effect: kinesistest.ThrottleEntries()})
		if status := r.from(t.Context(), "10.0.0.1:1000", body); status != 503 {
			t.Fatalf("unexpected answer while a shard takes nothing; got %d; want 503", status)
		}
		h.Remove()
		stored, _ := r.decoded(combined.None, "lines")
		if n := len(stored); n == 0 || n == 10 {
			t.Fatalf("unexpected keys in the stream; got %d; want some of 10", n)
		}
		r.becomesAuto()
		if status := r.from(t.Context(), "10.0.0.1:1000", body); status != 200 {
			t.Fatalf("unexpected answer; got %d; want 200", status)
		}
		got, _ := r.decoded(combined.None, "lines")
		seen, total := map[string]bool{}, 0
		for _, events := range got {
			for _, e := range events {
				if strings.Contains(e, `"all"`) {
					seen[e] = true
					total++
				}
			}
		}
		if total != 4000 || len(seen) != 4000 {
			t.Errorf("unexpected events; got %d, %d different ones; want 4000 once each", total, len(seen))
		}
	})
}
