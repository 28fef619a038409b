// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/outkpl/outkpl/core"
)

// Where hashes show that keys do not come again, to look them up says the same; and they
// show it where all are different.
func TestHashesOfTheSampleSayWhatALookUpSays(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 10))
	unique := func(i int) string { return "unique " + strconv.Itoa(i) }
	var notInSample []string
	for i := 0; len(notInSample) < 4500; i++ {
		if h, _ := stringHash(unique(i)); h >= 1<<64/sampledShare {
			notInSample = append(notInSample, unique(i))
		}
	}
	type pattern struct {
		name string
		n    int
		key  func(i int) string
		sure bool // that it must be
	}
	patterns := []pattern{
		{"all different", 9000, unique, true},
		{"all different, and a few", leastSampled, unique, true},
		{"all different, and short", 9000, strconv.Itoa, false},
		{"all different IDs", 100_000, func(i int) string { return fmt.Sprintf("%032x", i*7919) }, true},
		{"some have none", 9000, func(i int) string { return strings.Repeat(unique(i), min(i%3, 1)) }, true},
		{"neighbours", 9000, func(i int) string { return unique(i / 2) }, false},
		{"few neighbours", 9000, func(i int) string { return unique(i - i%600/599) }, true},
		{"more neighbours", 9000, func(i int) string { return unique(i - i%400/399) }, false},
		{"neighbours at the end", 9040, func(i int) string { return unique(i - i/9000*i%2) }, false},
		{"ends and middle in common", 9000, func(i int) string {
			return fmt.Sprintf("beginning/%08d/ and a middle %s tail", i, strings.Repeat("-", 20))
		}, false},
		{"twice, and none in the sample by its hash", 9000, func(i int) string { return notInSample[i%4500] }, false},
		{"10 keys", 9000, func(int) string { return unique(r.IntN(10)) }, false},
	}
	for range 40 { // near the number of keys from which on it is worth while
		drawn := make([]string, 600+r.IntN(9000))
		keys := len(drawn) * (4 + r.IntN(36))
		for i := range drawn {
			drawn[i] = unique(r.IntN(keys))
		}
		patterns = append(patterns, pattern{fmt.Sprintf("%d of %d keys", len(drawn), keys), len(drawn), func(i int) string { return drawn[i] }, false})
	}
	sure, again := 0, 0
	var w combiner
	for _, tt := range patterns {
		in := input{recs: make([]core.Record, tt.n)}
		for i := range in.recs {
			in.recs[i].PartitionKey = tt.key(i)
		}
		w.cleared = false
		marks := marksOf(in.recs)
		w.seen.surelyDifferent(marks) // the next time nothing of it counts
		differ, unkeyed := w.seen.surelyDifferent(marks), marks.unkeyed
		found, want := w.lookUpSample(&in)
		if differ && (found || unkeyed != want) {
			t.Errorf("%s: unexpected certainty that keys differ, unkeyed %t; want what a look-up finds: they come again %t, unkeyed %t", tt.name, unkeyed, found, want)
		}
		if tt.sure && !differ {
			t.Errorf("%s: unexpected uncertainty; want certainty that keys differ", tt.name)
		}
		if differ {
			sure++
		}
		if found {
			again++
		}
	}
	if sure < 10 || again < 10 {
		t.Errorf("unexpected outcome of %d patterns; got certainty in %d, and keys that come again in %d; want 10 or more of each", len(patterns), sure, again)
	}
}

// Keys that have one place in the table of hashes are looked up, so nobody can choose keys
// that cost more than that.
func TestHashesThatShareAPlaceAreNoCertainty(t *testing.T) {
	const size = 256
	in := input{recs: make([]core.Record, 1000)}
	for i, n := 0, 0; n < len(in.recs); i++ {
		r := core.Record{PartitionKey: "unique " + strconv.Itoa(i)}
		if sampleMark(&r).place(size) == 3 || n < 100 { // the first ones are as others
			in.recs[n], n = r, n+1
		}
	}
	var w combiner
	if w.seen.surelyDifferent(marksOf(in.recs)) {
		t.Error("unexpected certainty; want that there was no room")
	}
	if again, _ := w.keysComeAgain(&in); again {
		t.Error("unexpected keys that come again; want none")
	}
	if len(w.seen) != size {
		t.Errorf("unexpected size of the table; got %d; want %d, or the keys have several places", len(w.seen), size)
	}
}

func marksOf(recs []core.Record) *keyMarks {
	var k keyMarks
	for i := range recs {
		k.add(sampleMark(&recs[i]))
	}
	return &k
}

// A Builder marks keys while it reads a chunk. These are the marks of the keys that its
// records have, whatever became of the events.
func TestBuilderMarksTheKeysOfItsRecords(t *testing.T) {
	long := strings.Repeat("long ", 2000)
	for _, tt := range []struct {
		name string
		cfg  Config
		body func(i int) []byte

		again bool // keys seem to come again
	}{
		{name: "field", body: func(i int) []byte { return fixmap(str("k"), str(strconv.Itoa(i*i))) }},
		{name: "template", cfg: Config{PartitionKey: "$TAG-$k"}, body: func(i int) []byte { return fixmap(str("k"), str(strconv.Itoa(i))) }},
		{name: "neighbours", body: func(i int) []byte { return fixmap(str("k"), str("key "+strconv.Itoa(i/3))) }, again: true},
		{name: "neighbours that are marked one by one", body: func(i int) []byte {
			if i%markedTogether == 1 {
				i--
			}
			return fixmap(str("k"), str("key "+strconv.Itoa(i)))
		}},
		{name: "some have none", body: func(i int) []byte { return fixmap(str("kl"[i%2:i%2+1]), str(strconv.Itoa(i))) }},
		{name: "some have that of the tag", cfg: Config{PartitionKeyMissing: "tag"}, body: func(i int) []byte { return fixmap(str("kl"[i%2:i%2+1]), str(strconv.Itoa(i))) }},
		{name: "some are dropped", cfg: Config{PartitionKeyMissing: "drop"}, body: func(i int) []byte { return fixmap(str("kl"[i%2:i%2+1]), str(strconv.Itoa(i))) }},
		{name: "split", cfg: Config{Oversize: "split", MaxRecordBytes: 4 << 10}, body: func(i int) []byte {
			return fixmap(str("kl"[i%7/6:i%7/6+1]), str("key "+strconv.Itoa(i)), str("log"), str(long[:len(long)/(1+i%300*100)]))
		}},
		{name: "truncated", cfg: Config{Oversize: "truncate", MaxRecordBytes: 4 << 10}, body: func(i int) []byte {
			return fixmap(str("k"), str("key "+strconv.Itoa(i)), str("log"), str(long[:len(long)/(1+i%5*100)]))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.cfg.Combine = "lines"; tt.cfg.PartitionKey == "" {
				tt.cfg.PartitionKey = "k"
			}
			s := mustShaper(t, tt.cfg)
			var b Builder
			for _, n := range []int{1500, 600, 63, 64, 65} {
				b.Reset()
				b.Follow(s, &Plan{})
				for i := range n {
					ev := Event{Kind: KindRecord, Index: i, Body: tt.body(i)}
					if _, err := b.Add(s, "app", &ev); err != nil {
						t.Fatal(err)
					}
				}
				want := marksOf(b.listRecords(nil))
				if tt.again {
					if got := len(b.marks.all); n > 300 && (!b.marks.givenUp() || got > 200) {
						t.Errorf("unexpected marks where keys come again; got %d; want that they end early", got)
					}
					continue
				}
				if unmarked := b.Len() - len(b.marks.all); unmarked > markedTogether+3 {
					t.Errorf("unexpected keys without a mark before the end of the chunk; got %d; want %d, and the pieces of an event", unmarked, markedTogether)
				}
				b.Records()
				if got := &b.marks; !slices.Equal(got.all, want.all) || !slices.Equal(got.sample, want.sample) || got.neighbours != want.neighbours || got.unkeyed != want.unkeyed {
					t.Fatalf("unexpected marks of %d events; got %d, sample %v, neighbours %d, unkeyed %t; want %d, %v, %d, %t", n,
						len(got.all), got.sample, got.neighbours, got.unkeyed, len(want.all), want.sample, want.neighbours, want.unkeyed)
				}
			}
		})
	}
}

// Keys with equal marks beside each other are in the sample that is looked up, where they may be
// one too many for a fair one. Then all keys are looked up, and those that come again are found.
func TestNeighboursWithEqualMarksAreInTheSample(t *testing.T) {
	const n, first = 32768, 32768 / sampledShare
	// Of these keys, bytes 8 to 15 are in no mark.
	key := func(i int) string { return fmt.Sprintf("%08d%08d%08d%08d%08d", i, 0, i*7%99999999, 0, i*3%99999999) }
	var in, out []string
	for i := 0; len(in) < first/2 || len(out) < n; i++ {
		if h, _ := stringHash(key(i)); h < 1<<64/sampledShare {
			in = append(in, key(i))
		} else {
			out = append(out, key(i))
		}
	}
	recs := make([]core.Record, n)
	for i := range recs {
		recs[i].Data = []byte(`"x"`)
		switch {
		case i < first/2:
			recs[i].PartitionKey = in[i]
		case i < first/2+5:
			k := []byte(in[first/2-1])
			copy(k[8:16], fmt.Sprintf("%08d", i))
			recs[i].PartitionKey = string(k)
		case i < first:
			recs[i].PartitionKey = out[i]
		default: // each comes twice
			recs[i].PartitionKey = out[first+(i-first)%((n-first)/2)]
		}
	}
	c, err := NewCombine(CombineConfig{Combine: "lines"})
	if err != nil {
		t.Fatal(err)
	}
	if got := len(c.Records(recs, nil, false, 1<<20).Records); got > n*6/10 {
		t.Errorf("unexpected records; got %d of %d events; want about half", got, n)
	}
}
