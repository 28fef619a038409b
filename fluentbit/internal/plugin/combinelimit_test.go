// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// noiseChunk is a chunk of n events of about size bytes that do not compress.
func noiseChunk(t *testing.T, from, n, size int) (chunk []byte) {
	t.Helper()
	r := rand.New(rand.NewPCG(4, uint64(from)))
	text := make([]byte, size)
	for i := range n {
		for k := range text {
			text[k] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[r.IntN(64)]
		}
		chunk = append(chunk, eventOf(t, fields{"n": from + i, "x": string(text)})...)
	}
	return chunk
}

func largestOf(s *kinesistest.Server) (most int) {
	for _, r := range s.Records("logs") {
		most = max(most, len(r.Data)+len(r.PartitionKey))
	}
	return most
}

// Whatever combine_size says, records are as large as the stream takes, and no event is lost.
func TestCombineSizeAboveTheLimitOfTheStreamLosesNothing(t *testing.T) {
	for _, compression := range []string{"none", "zstd"} {
		for _, limit := range []int{1024, 2048} { // KiB
			s := kinesistest.New(kinesistest.WithStreamConfig("logs", kinesistest.StreamConfig{MaxRecordKiB: limit}))
			in, _ := newReal(t, s, "stream", "logs", "combine", "lines", "combine_size", "10m", "compression", compression, "rate_limit", "1000000")
			untilOK(t, in, "tag", noiseChunk(t, 0, 1, 100)) // before that, nothing is known of the stream
			untilOK(t, in, "tag", noiseChunk(t, 1, 500, 10_000))
			if seen, total := events(t, s); total != 501 || len(seen) != 501 {
				t.Errorf("unexpected events with %s and a limit of %d KiB; got %d, %d different ones; want 501 once each", compression, limit, total, len(seen))
			}
			if most := largestOf(s); most > limit<<10 || most < limit<<9 {
				t.Errorf("unexpected largest record with %s; got %d; want at most the limit of %d KiB and more than half of it", compression, most, limit)
			}
		}
	}
}

// A chunk whose records were made for a limit that is lowered before they are stored: those
// above it are dead letters that say why and hold their events, and the others are stored.
func TestALimitThatIsLoweredUnderWayCostsNoEvent(t *testing.T) {
	for _, compression := range []string{"none", "zstd"} {
		s := kinesistest.New(kinesistest.WithStreamConfig("logs", kinesistest.StreamConfig{Shards: 2, MaxRecordKiB: 2048}))
		sink := &fakeSink{}
		in, log := newRealWithSink(t, s, sink, "stream", "logs", "combine", "lines", "combine_size", "10m", "compression", compression,
			"partition_key", "k", "partition_key_missing", "unkeyed", "rate_limit", "1000000")
		untilOK(t, in, "tag", noiseChunk(t, 0, 1, 100))
		// What is combined next is for the limit that the plugin knows.
		if err := s.SetMaxRecordKiB("logs", 1024); err != nil {
			t.Fatal(err)
		}
		large, small := noiseChunk(t, 1, 300, 10_000), keyedChunk(t, 200, 4, 100)
		untilOK(t, in, "tag", slices.Concat(large, small))
		seen, total := events(t, s)
		kept := 0
		for _, l := range sink.deadLetters {
			if l.Reason != "too_large" || l.Events < 2 || !strings.Contains(l.Detail, "at most") && !strings.Contains(l.Detail, "less than or equal to") {
				t.Errorf("unexpected dead letter with %s; got reason %s, %d events, %s; want too_large with the limit", compression, l.Reason, l.Events, l.Detail)
			}
			kept += l.Events
		}
		if total != len(seen) || total+kept != 501 || kept == 0 || total < 201 {
			t.Errorf("unexpected events with %s; got %d stored, %d different ones, %d in dead letters; want 501 together; log\n%s", compression, total, len(seen), kept, log)
		}
		// From then on records are made for the new limit.
		untilOK(t, in, "tag", noiseChunk(t, 1000, 300, 10_000))
		if seen, again := events(t, s); again != total+300 || len(seen) != again {
			t.Errorf("unexpected events with %s after the limit was learned; got %d more; want 300", compression, again-total)
		}
	}
}

// One event above the limit is a record of its own; its neighbours are stored, and it is kept.
func TestAnEventAboveTheLimitCostsNoneOfItsNeighboursInAStream(t *testing.T) {
	for _, compression := range []string{"none", "zstd"} {
		s := kinesistest.New(kinesistest.WithStream("logs", 1))
		sink := &fakeSink{}
		in, _ := newRealWithSink(t, s, sink, "stream", "logs", "combine", "lines", "compression", compression)
		untilOK(t, in, "tag", slices.Concat(noiseChunk(t, 0, 10, 100), noiseChunk(t, 10, 1, 1_500_000), noiseChunk(t, 11, 10, 100)))
		if seen, total := events(t, s); total != 20 || len(seen) != 20 {
			t.Errorf("unexpected events with %s; got %d; want the 20 neighbours once each", compression, total)
		}
		if len(sink.deadLetters) != 1 || sink.deadLetters[0].Events != 1 {
			t.Errorf("unexpected dead letters with %s; got %d; want one of one event", compression, len(sink.deadLetters))
		}
	}
}
