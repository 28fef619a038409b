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
