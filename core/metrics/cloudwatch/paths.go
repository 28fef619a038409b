// SPDX-License-Identifier: Apache-2.0

package cloudwatch

import (
	"cmp"
	"slices"
	"strings"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
)

// path is a series of CloudWatch: a metric and the first dimensions of those that
// it could have. The fixed dimensions follow from depth.
type path struct {
	metric              core.Metric
	code, stream, shard string
	depth               int // number of dimensions
}

// entry is a path with its data points.
type entry struct {
	path
	metrics.Stat
}

// expand sums series up by each beginning of their paths.
func (c *Config) expand(series, gauges []metrics.Series) []entry {
	at := map[path]int{}
	var list []entry
	add := func(p path, s metrics.Stat) {
		i, found := at[p]
		if !found {
			i = len(list)
			at[p] = i
			list = append(list, entry{path: p})
		}
		list[i].Merge(s)
	}
	for _, one := range series {
		c.walk(one, func(p path, _ core.Granularity) { add(p, one.Stat) })
	}
	for _, one := range gauges {
		// Gauges were folded before they were sampled: the global value is not
		// the sum of samples of streams.
		own := granularityOf(one)
		c.walk(one, func(p path, g core.Granularity) {
			if g == own {
				add(p, one.Stat)
			}
		})
	}
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.depth, b.depth), cmp.Compare(a.metric, b.metric), cmp.Compare(a.code, b.code),
			cmp.Compare(a.stream, b.stream), cmp.Compare(a.shard, b.shard))
	})
	return list
}

func granularityOf(s metrics.Series) core.Granularity {
	switch {
	case s.Shard != "":
		return core.GranularityShard
	case s.Stream != "":
		return core.GranularityStream
	}
	return core.GranularityGlobal
}

// walk calls visit with each beginning of the path of a series. A dimension
// without a value ends the path, but for the code, which few metrics have.
func (c *Config) walk(one metrics.Series, visit func(path, core.Granularity)) {
	p := path{metric: one.Metric}
	fixed := func(g core.Granularity) {
		for _, d := range c.Dimensions {
			if d.Granularity == g {
				p.depth++
				visit(p, g)
			}
		}
	}
	visit(p, core.GranularityGlobal)
	fixed(core.GranularityGlobal)
	if strings.TrimSpace(one.Code) != "" { // CloudWatch takes no blank value
		p.code = one.Code
		p.depth++
		visit(p, core.GranularityGlobal)
	}
	if one.Stream == "" {
		return
	}
	p.stream = one.Stream
	p.depth++
	visit(p, core.GranularityStream)
	fixed(core.GranularityStream)
	if one.Shard == "" {
		return
	}
	p.shard = one.Shard
	p.depth++
	visit(p, core.GranularityShard)
	fixed(core.GranularityShard)
}

// dimensions returns the names and values of a path.
func (c *Config) dimensions(p path) []Dimension {
	var list []Dimension
	fixed := func(g core.Granularity) {
		for _, d := range c.Dimensions {
			if d.Granularity == g {
				list = append(list, d)
			}
		}
	}
	fixed(core.GranularityGlobal)
	if p.code != "" {
		list = append(list, Dimension{Name: "ErrorCode", Value: clean(p.code)})
	}
	if p.stream != "" {
		list = append(list, Dimension{Name: "StreamName", Value: clean(p.stream)})
		fixed(core.GranularityStream)
	}
	if p.shard != "" {
		list = append(list, Dimension{Name: "ShardId", Value: clean(p.shard)})
		fixed(core.GranularityShard)
	}
	return list[:p.depth]
}

// clean makes a value one that CloudWatch takes.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), maxValueLength)]
}
