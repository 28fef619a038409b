// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestTheDefaultSizeIsThatOfTheStream(t *testing.T) {
	chunk := kubernetesChunk(3 << 20)
	cfg := Config{Combine: "lines", Stream: "s-$stream"}
	plan := func(own bool) *Plan {
		return &Plan{OwnRecords: func(name string) bool { return own && name == "s-stdout" }}
	}
	few, _ := readChunk(t, mustShaper(t, cfg), plan(true), chunk)
	many, _ := readChunk(t, mustShaper(t, cfg), plan(false), chunk)
	for _, tt := range []struct {
		got         []shaped
		least, most int
	}{{few, DefaultCombineSizeAlone - 2000, DefaultCombineSizeAlone - 1}, {many, DefaultCombineSize - 2000, DefaultCombineSize}} {
		for i, r := range tt.got[:len(tt.got)-1] {
			if len(r.data) < tt.least || len(r.data) > tt.most {
				t.Errorf("unexpected size of record %d; got %d; want %d to %d", i, len(r.data), tt.least, tt.most)
			}
		}
	}
}

func TestRecordsKeepToTheLimitWhateverCombineSizeSays(t *testing.T) {
	noise := rand.New(rand.NewPCG(3, 4))
	var chunk []byte
	for i := range 300 {
		text := make([]byte, 1000+noise.IntN(9000))
		for k := range text {
			text[k] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[noise.IntN(64)]
		}
		chunk = append(chunk, v2(1, uint32(i), fixmap(str("log"), str(string(text)), str("k"), str(strings.Repeat("k", 1+i%3*100))))...)
	}
	for _, base := range []Config{{}, {PartitionKey: "k"}, {LogKey: "log"}} {
		plain, _ := readChunk(t, mustShaper(t, base), &Plan{}, chunk)
		want := byKey(t, &base, plain)
		for _, compression := range codecNames {
			for _, learned := range []int{0, 1 << 20, 2 << 20} {
				for _, most := range []int{0, 64 << 10} {
					cfg := base
					cfg.Combine, cfg.CombineSize, cfg.Compression, cfg.MaxRecordBytes = "lines", 8<<20, compression, most
					got, _ := readChunk(t, mustShaper(t, cfg), &Plan{RecordLimit: func(string) int { return learned }}, chunk)
					limit := mustShaper(t, cfg).recordLimit(learned)
					for i, r := range got {
						if n := len(r.data) + max(len(r.key), 1); n > limit {
							t.Fatalf("unexpected size of record %d with %+v; got %d; want at most %d", i, cfg, n, limit)
						}
					}
					equalByKey(t, byKey(t, &cfg, got), want)
					if least := 1600 << 10 / limit; len(got) > 4*least+8 {
						t.Errorf("unexpected number of records with %s and a limit of %d; got %d; want at most %d", compression, limit, len(got), 4*least+8)
					}
				}
			}
		}
	}
}

func TestALargerEventIsARecordOfItsOwn(t *testing.T) {
	text := func(n int) []byte {
		return v2(1, 2, fixmap(str("log"), str(strings.Repeat("x", n)), str("k"), str("a")))
	}
	chunk := cat(text(10), text(20), text(3000), text(30), text(40))
	cfg := Config{Combine: "lines", CombineSize: 2048, PartitionKey: "k"}
	got, _ := readChunk(t, mustShaper(t, cfg), &Plan{}, chunk)
	var counts []int
	for _, r := range got {
		counts = append(counts, r.events)
	}
	// What comes behind it does not go before it.
	if !slices.Equal(counts, []int{2, 1, 2}) {
		t.Errorf("unexpected events of the records; got %v; want 2, 1 and 2", counts)
	}
}

func TestOversizeAppliesToAnEventThatIsARecordOfItsOwn(t *testing.T) {
	noise := rand.New(rand.NewPCG(5, 6))
	long := make([]byte, 30_000)
	for i := range long {
		long[i] = byte('!' + noise.IntN(90))
	}
	small := fixmap(str("log"), str("small"))
	chunk := cat(v2(1, 1, small), v2(1, 2, fixmap(str("log"), str(string(long)))), v2(1, 3, small),
		v2(1, 4, fixmap(str("log"), str(strings.Repeat("compressible ", 2000)))), v2(1, 5, small))
	for _, oversize := range []string{"truncate", "split"} {
		for _, form := range []string{"lines", "json_array"} {
			for _, compression := range codecNames {
				for _, logKey := range []string{"", "log"} {
					cfg := Config{Combine: form, Compression: compression, Oversize: oversize, MaxRecordBytes: 8192, LogKey: logKey}
					got, _ := readChunk(t, mustShaper(t, cfg), &Plan{}, chunk)
					var all [][]byte
					for i, r := range got {
						if n := len(r.data) + max(len(r.key), 1); n > 8192 {
							t.Fatalf("unexpected size of record %d with %+v; got %d; want at most 8192", i, cfg, n)
						}
						all = append(all, eventsOf(t, form, compression, r.data)...)
					}
					smalls, text := 0, ""
					for _, e := range all {
						if !bytes.Contains(e, []byte("compressible")) && bytes.Contains(e, []byte("small")) {
							smalls++
							continue
						}
						if logKey != "" {
							text += string(e)
							continue
						}
						var m struct {
							Log string `json:"log"`
						}
						if err := json.Unmarshal(e, &m); err != nil {
							t.Fatalf("unexpected event with %+v; got %.80q; want JSON", cfg, e)
						}
						text += m.Log
					}
					if smalls != 3 {
						t.Errorf("unexpected neighbours with %+v; got %d; want 3", cfg, smalls)
					}
					if oversize == "split" && !strings.Contains(text, string(long)) {
						t.Errorf("unexpected text of the pieces with %+v; got %d bytes without the %d of the event", cfg, len(text), len(long))
					}
					if oversize == "truncate" && !strings.Contains(text, truncationMark) {
						t.Errorf("unexpected text with %+v; got no mark", cfg)
					}
				}
			}
		}
	}
}
