// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"testing"

	"github.com/outkpl/outkpl/core"
)

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
