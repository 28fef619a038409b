// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestThreeProducersShareAShardFairlyAndUseIt(t *testing.T) {
	for _, m := range []model{tokenBucket, fixedSecond} {
		for _, size := range []int{aggregate, single} {
			sc := scenario{model: m, producers: 3, size: size, seconds: 300}
			s := sc.repeat()
			if s.used < 0.9 || s.throttled > 0.02 || s.fair < 0.95 {
				t.Errorf("unexpected outcome with %v and records of %d bytes; got %.1f %% used, %.2f %% throttled, fairness %.3f; want at least 90, at most 2, at least 0.95",
					m, size, 100*s.used, 100*s.throttled, s.fair)
			}
		}
	}
}

func TestCapacityThatIsFreedIsUsedAgain(t *testing.T) {
	sc := scenario{producers: 3, size: aggregate, join: 70, leave: 130, seconds: 220}
	o := sc.run(1)
	sum := 0.0
	for _, l := range o.lines {
		sum += l.y[len(l.y)-1]
	}
	if sum < 90 {
		t.Errorf("unexpected shares 90 s after a producer has left; got %.0f %% together; want at least 90", sum)
	}
}

func TestCommittedNumbersAreCurrent(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the last digits of floating point differ on other processors")
	}
	const doc = "../../docs/scaling"
	text, err := os.ReadFile(doc + ".md")
	if err != nil {
		t.Fatal(err)
	}
	quickNumbers, plots := quickTable()
	for name, table := range map[string]string{"quick": quickNumbers, "start": startTable()} {
		got, err := block(string(text), name)
		if err != nil {
			t.Fatal(err)
		}
		if want := begin(name) + table + end; got != want {
			t.Errorf("unexpected table %s; got %s; want %s; run go run ./core/fleetsim -out docs/scaling", name, got, want)
		}
	}
	for name, want := range plots {
		if got, err := os.ReadFile(filepath.Join(doc, name)); err != nil || string(got) != want {
			t.Errorf("unexpected plot %s (error %v): it is not what the simulation draws", name, err)
		}
	}
}
