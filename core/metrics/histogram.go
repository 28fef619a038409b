// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"math"
	"slices"
	"sort"
)

// Buckets grow by 2^(1/8), about 9 %: eight for each power of two. Bucket i
// holds values above 2^((i-1)/8) up to and including 2^(i/8). Prometheus calls
// this schema 3, OpenTelemetry scale 3.
const (
	// HistogramSchema is the logarithm of the number of buckets of a power of two.
	HistogramSchema = 3

	perOctave = 1 << HistogramSchema
	// Values up to 2^-30 (a nanosecond, in seconds) count as zero, those above
	// 2^40 as 2^40, so that a histogram takes at most 9 KB.
	minExponent = -30
	maxExponent = 40
)

// ZeroThreshold is the value up to which values count as zero.
const ZeroThreshold = 1.0 / (1 << -minExponent)

// The bounds of the buckets between 0.5 and 1, 2^(i/8 - 1), where Frexp puts
// each fraction.
var fractions = [perOctave]float64{
	0.5, 0.5452538663326288, 0.5946035575013605, 0.6484197773255048,
	0.7071067811865475, 0.7711054127039704, 0.8408964152537144, 0.9170040432046711,
}

// Histogram counts the values of a distribution in exponential buckets. It
// keeps the sum of each bucket, too, so that small whole numbers stay what
// they are and no sum is lost. The zero Histogram is empty.
type Histogram struct {
	zero    uint64
	first   int // index of buckets[0]
	buckets []bucket

	bounds []float64 // optional classic buckets, upper bounds
	counts []uint64  // one more than bounds
}

type bucket struct {
	n   uint64
	sum float64
}

// Bucket is one bucket of a histogram that holds values.
type Bucket struct {
	// Index gives the upper bound, 2^(Index/8).
	Index int
	Count uint64
	Sum   float64
}

func indexOf(v float64) int {
	if v > 1<<maxExponent {
		return maxExponent * perOctave
	}
	f, e := math.Frexp(v)
	i := 0
	for i < perOctave && fractions[i] < f {
		i++
	}
	return i + (e-1)*perOctave
}

// add counts n values v.
func (h *Histogram) add(v float64, n uint64) {
	if h.bounds != nil {
		h.counts[sort.SearchFloat64s(h.bounds, v)] += n
	}
	if !(v > ZeroThreshold) { // NaN counts as zero, too
		h.zero += n
		return
	}
	b := h.at(indexOf(v))
	b.n += n
	b.sum += v * float64(n)
}

// at returns the bucket with an index. It grows by powers of two.
func (h *Histogram) at(i int) *bucket {
	if len(h.buckets) == 0 {
		h.first = i &^ (perOctave - 1)
		h.buckets = make([]bucket, perOctave)
	}
	if i < h.first {
		more := (h.first - i + perOctave - 1) &^ (perOctave - 1)
		h.buckets = slices.Insert(h.buckets, 0, make([]bucket, more)...)
		h.first -= more
	}
	if n := i - h.first + 1; n > len(h.buckets) {
		more := (n - len(h.buckets) + perOctave - 1) &^ (perOctave - 1)
		h.buckets = append(h.buckets, make([]bucket, more)...)
	}
	return &h.buckets[i-h.first]
}

func (h *Histogram) merge(o *Histogram) {
	h.zero += o.zero
	for i, b := range o.buckets {
		if b.n > 0 {
			to := h.at(o.first + i)
			to.n += b.n
			to.sum += b.sum
		}
	}
	if len(h.counts) == len(o.counts) {
		for i, n := range o.counts {
			h.counts[i] += n
		}
	}
}

func (h *Histogram) clone() *Histogram {
	c := *h
	c.buckets = slices.Clone(h.buckets)
	c.counts = slices.Clone(h.counts)
	return &c
}

// Zero returns the number of values that count as zero.
func (h *Histogram) Zero() uint64 { return h.zero }

// Buckets returns the buckets that hold values, in ascending order, without
// the one for zero.
func (h *Histogram) Buckets() []Bucket {
	var list []Bucket
	for i, b := range h.buckets {
		if b.n > 0 {
			list = append(list, Bucket{Index: h.first + i, Count: b.n, Sum: b.sum})
		}
	}
	return list
}

// Classic returns the upper bounds given in WindowConfig.Bounds and how many
// values are at or below each.
func (h *Histogram) Classic() (bounds []float64, cumulative []uint64) {
	var n uint64
	for i := range h.bounds {
		n += h.counts[i]
		cumulative = append(cumulative, n)
	}
	return h.bounds, cumulative
}
