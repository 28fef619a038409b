// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"math/rand/v2"
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
		if h, _ := sampleHash(&core.Record{PartitionKey: unique(i)}); h >= 1<<64/sampledShare {
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
		w.surelyDifferent(&in) // the next time nothing of it counts
		differ, unkeyed := w.surelyDifferent(&in)
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
		if h, _ := sampleHash(&r); scatter(h)>>44%size == 3 || n < 100 { // the first ones are as others
			in.recs[n], n = r, n+1
		}
	}
	var w combiner
	if sure, _ := w.surelyDifferent(&in); sure {
		t.Error("unexpected certainty; want that there was no room")
	}
	if again, _ := w.keysComeAgain(&in); again {
		t.Error("unexpected keys that come again; want none")
	}
	if len(w.seen) != size {
		t.Errorf("unexpected size of the table; got %d; want %d, or the keys have several places", len(w.seen), size)
	}
}
