// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"slices"
)

// Sort orders series by metric, code, stream and shard.
func Sort(list []Series) {
	slices.SortFunc(list, func(a, b Series) int {
		return cmp.Or(cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Code, b.Code),
			cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Shard, b.Shard))
	})
}

// Stat sums up data points of one series.
type Stat struct {
	// Count is the number of data points, at least 1.
	Count         uint64
	Sum, Min, Max float64
	// Histogram is set for distributions, if the window keeps them.
	Histogram *Histogram
}

// Mean returns the mean of the data points, 0 if there are none.
func (s Stat) Mean() float64 {
	if s.Count == 0 {
		return 0
	}
	return s.Sum / float64(s.Count)
}

// Merge adds the data points of o. Neither stat shares memory with the other
// afterwards.
func (s *Stat) Merge(o Stat) {
	if o.Count == 0 {
		return
	}
	if s.Count == 0 {
		*s = o
		if o.Histogram != nil {
			s.Histogram = o.Histogram.clone()
		}
		return
	}
	s.Count += o.Count
	s.Sum += o.Sum
	s.Min, s.Max = min(s.Min, o.Min), max(s.Max, o.Max)
	if s.Histogram != nil && o.Histogram != nil {
		s.Histogram.merge(o.Histogram)
	}
}

// Value is a value that occurred a number of times.
type Value struct {
	Value float64
	Count uint64
}

// Values returns at most limit (at least 4) values that stand for the data
// points of a distribution, in ascending order. Their count, sum, minimum and
// maximum are those of the data points; each value is at most 9 % away from what
// it stands for, unless the limit forces wider buckets. Without a histogram
// there are none.
func (s Stat) Values(limit int) []Value {
	if s.Histogram == nil || s.Count == 0 {
		return nil
	}
	list := s.Histogram.Buckets()
	if s.Histogram.zero > 0 {
		// What counts as zero is reported as such.
		list = append([]Bucket{{Count: s.Histogram.zero}}, list...)
	}
	// Two places are for the minimum and the maximum.
	for len(list) > max(limit, 4)-2 {
		half := list[:0]
		for i := 0; i < len(list); i += 2 {
			b := list[i]
			if i+1 < len(list) {
				b.Count += list[i+1].Count
				b.Sum += list[i+1].Sum
			}
			half = append(half, b)
		}
		list = half
	}
	values := make([]Value, 0, len(list)+2)
	for i, b := range list {
		if i == 0 && b.Count > 1 && s.Min > ZeroThreshold && b.Sum > s.Min*float64(b.Count) {
			values = append(values, Value{s.Min, 1})
			b.Count--
			b.Sum -= s.Min
		}
		top := i == len(list)-1 && b.Count > 1 && b.Sum < s.Max*float64(b.Count)
		if top {
			b.Count--
			b.Sum -= s.Max
		}
		values = append(values, Value{min(max(b.Sum/float64(b.Count), 0), s.Max), b.Count})
		if top {
			values = append(values, Value{s.Max, 1})
		}
	}
	return values
}
