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

func TestCombinedEventsComeBackInTheOrderOfTheirKey(t *testing.T) {
	chunk := kubernetesChunk(700 << 10)
	for _, base := range []Config{
		{},
		{PartitionKey: "kubernetes->pod_name"},
		{PartitionKey: "$TAG"},
		{PartitionKey: "$kubernetes['pod_name']", Stream: "logs-$kubernetes['namespace_name'].$logtag"},
		{LogKey: "log", PartitionKey: "kubernetes->pod_name"},
		{TimeKey: "time", DataKeys: []string{"log", "kubernetes"}},
	} {
		plain, _ := readChunk(t, mustShaper(t, base), &Plan{}, chunk)
		want := byKey(t, &base, plain)
		for _, form := range []string{"lines", "json_array"} {
			for _, compression := range codecNames {
				cfg := base
				cfg.Combine, cfg.Compression, cfg.CombineSize = form, compression, 100<<10
				got, _ := readChunk(t, mustShaper(t, cfg), &Plan{}, chunk)
				equalByKey(t, byKey(t, &cfg, got), want)
				if least := max(len(want), 700>>7); len(got) < least || len(got) > 2*least+8 {
					t.Errorf("unexpected number of records with %s, %s and %+v; got %d; want about %d", form, compression, base, len(got), least)
				}
			}
		}
	}
}

func TestManyTinyEventsAndManyKeys(t *testing.T) {
	var tiny, keys []byte
	for i := range 1_000_000 {
		tiny = append(tiny, v2(1, 0, []byte{0x81, 0xa1, 'a', byte(i & 127)})...)
	}
	for i := range 100_000 {
		keys = append(keys, v2(1, 0, fixmap(str("k"), str("key "+strconv.Itoa(i))))...)
	}
	for _, tt := range []struct {
		name        string
		chunk       []byte
		cfg         Config
		least, most int
		events      int
	}{
		{"tiny", tiny, Config{Combine: "lines", Compression: "zstd"}, 30, 40, 1_000_000},
		{"tiny, counted", tiny, Config{Combine: "json_array", CombineCount: 10_000}, 100, 100, 1_000_000},
		{"keys", keys, Config{Combine: "lines", PartitionKey: "k"}, 100_000, 100_000, 100_000},
		{"keys twice", append(slices.Clip(keys), keys...), Config{Combine: "lines", Compression: "snappy", PartitionKey: "k"}, 100_000, 180_000, 200_000},
	} {
		got, _ := readChunk(t, mustShaper(t, tt.cfg), &Plan{}, tt.chunk)
		n := 0
		for _, r := range got {
			n += len(eventsOf(t, tt.cfg.Combine, tt.cfg.Compression, r.data))
		}
		if n != tt.events || len(got) < tt.least || len(got) > tt.most {
			t.Errorf("unexpected result of %s; got %d events in %d records; want %d in %d to %d", tt.name, n, len(got), tt.events, tt.least, tt.most)
		}
	}
}

func TestKeysThatShareAPlaceInTheTableLoseNothing(t *testing.T) {
	// All of them have one bucket, which has no room for half of them.
	w := combiner{}
	var names []string
	in := input{recs: make([]core.Record, 1000)}
	for i := 0; len(names) < 2*ways; i++ {
		r := core.Record{PartitionKey: strconv.Itoa(i)}
		if slot, _ := w.find(&in, &r, 0, keyHash(&r, 0), 1000); slot/ways == 3 {
			names = append(names, r.PartitionKey)
		}
		clear(w.table)
	}
	recs := make([]core.Record, 1000)
	want := map[string][]string{}
	for i := range recs {
		recs[i] = core.Record{PartitionKey: names[i%len(names)], Data: []byte(strconv.Itoa(i))}
		want["/"+recs[i].PartitionKey] = append(want["/"+recs[i].PartitionKey], strconv.Itoa(i))
	}
	c, err := NewCombine(CombineConfig{Combine: "lines"})
	if err != nil {
		t.Fatal(err)
	}
	var got []shaped
	out := c.Records(recs, nil, false, 1<<20)
	for i, r := range out.Records {
		got = append(got, shaped{key: r.PartitionKey, data: r.Data, events: int(out.Events[i])})
	}
	equalByKey(t, byKey(t, &Config{Combine: "lines"}, got), want)
	if len(got) < 500 {
		t.Errorf("unexpected number of records; got %d; want most keys to have lost their place", len(got))
	}
}

// Looking for keys that do not come again would cost more than it saves; those that do come
// again are found wherever they are.
func TestKeysAreLookedForWhereTheyComeAgain(t *testing.T) {
	const n = 9000
	r := rand.New(rand.NewPCG(9, 9))
	unique := func(i int) string { return "unique " + strconv.Itoa(i) }
	for _, tt := range []struct {
		name        string
		key         func(i int) string
		least, most int // records
	}{
		{"all different", unique, n, n},
		{"hardly any twice", func(i int) string { return unique(i - i%1000/999*500) }, n, n},
		{"neighbours", func(i int) string { return unique(i / 2) }, n / 2, n / 2},
		{"10 keys", func(int) string { return unique(r.IntN(10)) }, 10, 10},
		{"1 of 40 keys at each place", func(i int) string { return unique(i % 40) }, 40, 40},
		{"a round of 1,200 keys", func(i int) string { return unique(i % 1200) }, 1200, 1300},
		{"a round of 4,500 keys", func(i int) string { return unique(i % 4500) }, 4500, 5500},
		{"a round of 4,500 keys with ends and middle in common", func(i int) string {
			return fmt.Sprintf("beginning/%08d/ and a middle %s tail", i%4500, strings.Repeat("-", 20))
		}, 4500, 5500},
		{"4,500 keys at random", func(int) string { return unique(r.IntN(4500)) }, 3800, 5000},
		{"every other event has one key", func(i int) string {
			if i%2 == 0 {
				return "often"
			}
			return unique(i)
		}, n/2 + 1, n/2 + 1},
		{"first all different", func(i int) string {
			if i >= n/2 {
				i = n + i%100
			}
			return unique(i)
		}, n/2 + 100, n/2 + 100},
		{"a round of 900 short keys", func(i int) string { return strconv.Itoa(i % 900) }, 900, 1000},
		{"no key", func(int) string { return "" }, 1, 1},
	} {
		recs := make([]core.Record, n)
		want := map[string][]string{}
		for i := range recs {
			recs[i] = core.Record{PartitionKey: tt.key(i), Data: []byte(strconv.Itoa(i))}
			want["/"+recs[i].PartitionKey] = append(want["/"+recs[i].PartitionKey], strconv.Itoa(i))
		}
		c, err := NewCombine(CombineConfig{Combine: "lines"})
		if err != nil {
			t.Fatal(err)
		}
		var got []shaped
		out := c.Records(recs, nil, false, 1<<20)
		for i, r := range out.Records {
			got = append(got, shaped{key: r.PartitionKey, data: r.Data, events: int(out.Events[i])})
		}
		equalByKey(t, byKey(t, &Config{Combine: "lines"}, got), want)
		if len(got) < tt.least || len(got) > tt.most {
			t.Errorf("unexpected number of records with %s; got %d; want %d to %d", tt.name, len(got), tt.least, tt.most)
		}
	}
}
