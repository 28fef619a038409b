// SPDX-License-Identifier: Apache-2.0

package cloudwatch

import (
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/outkpl/outkpl/core"
)

// Unit returns the unit a metric has in CloudWatch.
func Unit(m core.Metric) types.StandardUnit {
	switch m.Info().Unit {
	case "Bytes":
		return types.StandardUnitBytes
	case "Milliseconds":
		return types.StandardUnitMilliseconds
	case "Count":
		return types.StandardUnitCount
	}
	return types.StandardUnitNone // a ratio
}

// datum turns an entry into what CloudWatch takes.
func (c *Config) datum(e *entry, at time.Time) types.MetricDatum {
	d := types.MetricDatum{MetricName: aws.String(e.metric.String()), Timestamp: aws.Time(at), Unit: Unit(e.metric)}
	for _, dim := range c.dimensions(e.path) {
		d.Dimensions = append(d.Dimensions, types.Dimension{Name: aws.String(dim.Name), Value: aws.String(dim.Value)})
	}
	if !c.StatisticSets {
		for _, v := range e.Values(maxValues) {
			d.Values = append(d.Values, within(v.Value))
			d.Counts = append(d.Counts, float64(v.Count))
		}
	}
	if d.Values == nil {
		d.StatisticValues = &types.StatisticSet{
			SampleCount: aws.Float64(float64(e.Count)), Sum: aws.Float64(within(e.Sum)),
			Minimum: aws.Float64(within(e.Min)), Maximum: aws.Float64(within(e.Max)),
		}
	}
	return d
}

// within keeps a value in the range that CloudWatch takes.
func within(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return min(max(v, -maxValue), maxValue)
}

// size estimates the bytes of a datum in a request, before compression.
func size(d *types.MetricDatum) int {
	n := 250 + len(*d.MetricName) + 18*len(d.Values)
	for _, dim := range d.Dimensions {
		n += 16 + len(*dim.Name) + len(*dim.Value)
	}
	return n
}
