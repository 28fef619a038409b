// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"time"

	prom "github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/outkpl/outkpl/core/metrics"
)

// histogram is a metric with classic and native buckets. The client's constant
// histograms have either the one or the other.
type histogram struct {
	desc    *prom.Desc
	labels  []*dto.LabelPair
	stat    metrics.Stat
	created time.Time
}

// Desc implements prometheus.Metric.
func (h *histogram) Desc() *prom.Desc { return h.desc }

// Write implements prometheus.Metric.
func (h *histogram) Write(out *dto.Metric) error {
	out.Label = h.labels
	from := h.stat.Histogram
	to := &dto.Histogram{
		SampleCount:      proto.Uint64(h.stat.Count),
		SampleSum:        proto.Float64(h.stat.Sum),
		CreatedTimestamp: timestamppb.New(h.created),
		Schema:           proto.Int32(metrics.HistogramSchema),
		ZeroThreshold:    proto.Float64(metrics.ZeroThreshold),
		ZeroCount:        proto.Uint64(from.Zero()),
	}
	bounds, counts := from.Classic()
	for i, b := range bounds {
		to.Bucket = append(to.Bucket, &dto.Bucket{UpperBound: proto.Float64(b), CumulativeCount: proto.Uint64(counts[i])})
	}
	// Native buckets are runs without gaps, and each count is the difference
	// to the one before.
	next, last := 0, int64(0)
	for i, b := range from.Buckets() {
		if n := len(to.PositiveSpan); n > 0 && b.Index == next {
			*to.PositiveSpan[n-1].Length++
		} else {
			offset := b.Index - next
			if i == 0 {
				offset = b.Index
			}
			to.PositiveSpan = append(to.PositiveSpan, &dto.BucketSpan{Offset: proto.Int32(int32(offset)), Length: proto.Uint32(1)})
		}
		to.PositiveDelta = append(to.PositiveDelta, int64(b.Count)-last)
		next, last = b.Index+1, int64(b.Count)
	}
	if len(to.PositiveSpan) == 0 {
		// Zeros only: without a span it would not be seen as a native histogram.
		to.PositiveSpan = []*dto.BucketSpan{{Offset: proto.Int32(0), Length: proto.Uint32(0)}}
	}
	out.Histogram = to
	return nil
}
