// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// Chunks for several streams, among them one that does not exist yet, with broken
// events, events without a stream and events that are too large, go through several
// flushes at a time while requests and entries fail and dead letters cannot be
// written. In the end each event is in its stream or in a dead letter, once.
func TestEachEventIsAccountedForOnce(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { account(t, seed) })
		})
	}
}

func account(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	s := kinesistest.New(kinesistest.WithStream("s0", 1), kinesistest.WithStream("s1", 3), kinesistest.WithStream("s2", 8))
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 40, Probability: 0.3, Seed: seed, Effect: kinesistest.Status(500)})
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 60, Seed: seed, Effect: kinesistest.Effect{EntryCode: "InternalFailure", EntryShare: 0.3}})
	s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 60, Seed: seed, Effect: kinesistest.Effect{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.3}})
	sink := &fakeSink{fail: 5}
	kv := []string{"stream", "$s", "dead_letter_file", "given by the test", "flush_timeout", "500ms"}
	if seed%2 == 0 {
		kv = append(kv, "partition_key", "$s/$n")
	}
	if seed%3 == 0 {
		kv = append(kv, "aggregation", "off")
	}
	switch seed % 3 {
	case 1:
		kv = append(kv, "combine", "lines", "combine_size", "4k")
	case 2:
		kv = append(kv, "combine", "json_array", "combine_count", "7")
	}
	in, log := newRealWithSink(t, s, sink, kv...)

	want := map[string]string{} // where each event belongs, by its number
	var chunks [][]byte
	n := 0
	for range 8 {
		var chunk []byte
		for range 1 + rnd.IntN(120) {
			n++
			id := fmt.Sprintf("event-%d.", n)
			body := fields{"n": id, "s": fmt.Sprint("s", rnd.IntN(4))}
			want[id] = body["s"].(string)
			switch rnd.IntN(40) {
			case 0:
				body["s"], want[id] = "no/stream", "dead letter"
			case 1:
				delete(body, "s")
				want[id] = "dead letter"
			case 2:
				if rnd.IntN(5) == 0 {
					body["log"], want[id] = strings.Repeat("x", 1<<20), "dead letter"
				}
			case 3:
				chunk = append(chunk, pack(t, fields{"n": id})...) // an event that is no array
				want[id] = "dead letter"
				continue
			}
			chunk = append(chunk, eventOf(t, body)...)
		}
		chunks = append(chunks, chunk)
	}
	var wg sync.WaitGroup
	for i, chunk := range chunks {
		wg.Go(func() {
			for range 300 {
				switch in.Flush(fmt.Sprint("tag", i%3), chunk) {
				case OK:
					return
				case Error:
					t.Errorf("unexpected answer; got error; log:\n%s", log)
					return
				}
				<-time.After(time.Second)
			}
			t.Errorf("a chunk is not OK after 300 flushes; log:\n%s", log)
		})
	}
	wg.Go(func() {
		<-time.After(30 * time.Second)
		if err := s.CreateStream("s3", kinesistest.StreamConfig{Shards: 2}); err != nil {
			t.Error(err)
		}
	})
	wg.Wait()

	got := map[string][]string{}
	note := func(where, data string) { // a dead letter may be about several
		for at := strings.Index(data, "event-"); at >= 0; at = strings.Index(data, "event-") {
			end := at + strings.IndexByte(data[at:], '.') + 1
			got[data[at:end]] = append(got[data[at:end]], where)
			data = data[end:]
		}
	}
	for _, stream := range []string{"s0", "s1", "s2", "s3"} {
		for _, p := range consumed(t, s, stream) {
			note(stream, p)
		}
	}
	for _, data := range sink.data() {
		note("dead letter", data)
	}
	for id, where := range want {
		if !slices.Equal(got[id], []string{where}) {
			t.Errorf("unexpected places of %s; got %v; want %s, once", id, got[id], where)
		}
	}
	if len(got) != len(want) || n != len(want) {
		t.Errorf("unexpected number of events; got %d; want %d", len(got), len(want))
	}
	if in.deliverer.Ledger().Entries != 0 {
		t.Errorf("unexpected ledger; got %d entries; want 0", in.deliverer.Ledger().Entries)
	}
}
