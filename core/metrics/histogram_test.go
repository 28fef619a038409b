// SPDX-License-Identifier: Apache-2.0

package metrics_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
)

// distribution observes values, each once.
func distribution(values ...float64) metrics.Stat {
	w := metrics.NewWindow(metrics.WindowConfig{Histograms: true, Bounds: metrics.Bounds})
	for _, v := range values {
		w.Observe([]core.Observation{obs(core.MetricRetriesPerRecord, "s", "", 1, v)})
	}
	return w.Take()[0].Stat
}

// TestBucketsAreThoseOfPrometheus: bucket i holds what is above 2^((i-1)/8), up to
// and including 2^(i/8).
func TestBucketsAreThoseOfPrometheus(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		v := math.Exp2(rng.Float64()*60 - 25)
		b := distribution(v).Histogram.Buckets()
		if len(b) != 1 {
			t.Fatalf("unexpected buckets of %v: %+v", v, b)
		}
		// The bounds are powers of two with rounding; a hair of room for it.
		lo, hi := math.Exp2(float64(b[0].Index-1)/8), math.Exp2(float64(b[0].Index)/8)
		if v < lo*(1-1e-15) || v > hi*(1+1e-15) || b[0].Sum != v || b[0].Count != 1 {
			t.Fatalf("unexpected bucket of %v: %+v", v, b[0])
		}
	}
	for v, want := range map[float64]int{1: 0, 2: 8, math.Nextafter(1, 2): 1, 0.5: -8, 1e300: 320, math.Inf(1): 320} {
		if b := distribution(v).Histogram.Buckets(); len(b) != 1 || b[0].Index != want {
			t.Errorf("unexpected bucket of %v; got %+v; want index %d", v, b, want)
		}
	}
	for _, v := range []float64{0, -3, metrics.ZeroThreshold, math.NaN()} {
		if h := distribution(v).Histogram; h.Zero() != 1 || len(h.Buckets()) != 0 {
			t.Errorf("unexpected buckets of %v; want it to count as zero", v)
		}
	}
}

func TestClassicBucketsAreCumulative(t *testing.T) {
	bounds, counts := distribution(0, 0, 1, 2, 2.5, 7, 1000).Histogram.Classic()
	if !slices.Equal(bounds, []float64{0, 1, 2, 3, 5, 10, 30, 100}) || !slices.Equal(counts, []uint64{2, 3, 4, 5, 5, 6, 6, 6}) {
		t.Errorf("unexpected classic buckets: %v %v", bounds, counts)
	}
}

func TestValuesKeepCountSumMinimumAndMaximum(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for name, draw := range map[string]func() float64{
		"wide":   func() float64 { return math.Exp(rng.NormFloat64() * 5) },
		"narrow": func() float64 { return 20 + rng.Float64() },
		"counts": func() float64 { return float64(rng.IntN(6)) },
		"same":   func() float64 { return 0.1 },
		"zero":   func() float64 { return 0 },
	} {
		for _, limit := range []int{150, 8} {
			for _, n := range []int{1, 2, 1000} {
				var all []float64
				sum := 0.0
				for range n {
					all = append(all, draw())
					sum += all[len(all)-1]
				}
				values := distribution(all...).Values(limit)
				var count uint64
				got := 0.0
				for _, v := range values {
					count += v.Count
					got += v.Value * float64(v.Count)
				}
				if len(values) > limit || count != uint64(n) || math.Abs(got-sum) > 1e-9*sum {
					t.Errorf("unexpected values of %d %s in %d; got %d values, count %d, sum %v; want %v", n, name, limit, len(values), count, got, sum)
				}
				if lo, hi := values[0].Value, values[len(values)-1].Value; hi != slices.Max(all) || math.Abs(lo-slices.Min(all)) > 1e-9 {
					t.Errorf("unexpected extremes of %d %s; got %v to %v; want %v to %v", n, name, lo, hi, slices.Min(all), slices.Max(all))
				}
				if !slices.IsSortedFunc(values, func(a, b metrics.Value) int { return int(math.Copysign(1, a.Value-b.Value)) }) {
					t.Errorf("values of %d %s are not in order: %v", n, name, values)
				}
				if limit == 150 {
					slices.Sort(all)
					for _, q := range []float64{0.5, 0.9, 0.99} {
						want, at := all[int(q*float64(n-1))], uint64(q*float64(n-1))
						seen, have := uint64(0), 0.0
						for _, v := range values {
							if have = v.Value; seen+v.Count > at {
								break
							}
							seen += v.Count
						}
						if math.Abs(have-want) > 0.1*want+1e-9 && name != "wide" {
							t.Errorf("unexpected %v quantile of %d %s; got %v; want %v", q, n, name, have, want)
						}
					}
				}
			}
		}
	}
	// Small whole numbers stay what they are.
	if got := distribution(0, 0, 0, 1, 1, 2, 3).Values(150); !slices.Equal(got, []metrics.Value{{0, 3}, {1, 2}, {2, 1}, {3, 1}}) {
		t.Errorf("unexpected values; got %v", got)
	}
}

func TestMergeIsTheSumOfBoth(t *testing.T) {
	a, b := distribution(0, 1, 5), distribution(0.001, 4000)
	before := len(b.Histogram.Buckets())
	var sum metrics.Stat
	sum.Merge(a)
	sum.Merge(b)
	sum.Merge(metrics.Stat{})
	want := distribution(0, 1, 5, 0.001, 4000)
	if sum.Count != 5 || sum.Sum != want.Sum || sum.Min != 0 || sum.Max != 4000 || sum.Histogram.Zero() != 1 ||
		!slices.Equal(sum.Histogram.Buckets(), want.Histogram.Buckets()) {
		t.Errorf("unexpected merge: %+v", sum)
	}
	_, got := sum.Histogram.Classic()
	if _, classic := want.Histogram.Classic(); !slices.Equal(got, classic) {
		t.Errorf("unexpected classic buckets; got %v; want %v", got, classic)
	}
	if a.Count != 3 || len(a.Histogram.Buckets()) != 2 || len(b.Histogram.Buckets()) != before {
		t.Error("a merged stat was changed")
	}
}
