// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"sync"

	"github.com/outkpl/outkpl/core"
)

// Limit returns an observer that passes on to o what c reports. The sinks of
// this module take a Config themselves and need no Limit.
func Limit(o core.Observer, c Config) core.Observer {
	l := &limiter{to: o}
	l.rules.set(c)
	return l
}

type limiter struct {
	to    core.Observer
	rules rules
	lists sync.Pool // *[]core.Observation
}

// Observe implements core.Observer.
func (l *limiter) Observe(list []core.Observation) {
	p, _ := l.lists.Get().(*[]core.Observation)
	if p == nil {
		p = new([]core.Observation)
	}
	out := (*p)[:0]
	for i := range list {
		if l.rules.keeps(list[i].Metric) {
			out = append(out, list[i])
			o := &out[len(out)-1]
			l.rules.fold(o.Metric, &o.Stream, &o.Shard, &o.Code)
		}
	}
	if len(out) > 0 {
		l.to.Observe(out)
	}
	clear(out) // the pool must not hold on to names
	*p = out
	l.lists.Put(p)
}

// rules is a Config made quick to ask.
type rules struct {
	kept   [256]bool
	finest [256]core.Granularity
}

func (r *rules) set(c Config) {
	for _, m := range core.Metrics() {
		r.kept[m] = c.Keeps(m)
		r.finest[m] = c.GranularityOf(m)
	}
}

func (r *rules) keeps(m core.Metric) bool { return r.kept[m] }

// fold clears the dimensions that are not reported, or that the metric has not:
// whoever observes may give more than that.
func (r *rules) fold(m core.Metric, stream, shard, code *string) {
	g := r.finest[m]
	if g < core.GranularityShard {
		*shard = ""
	}
	if g < core.GranularityStream {
		*stream = ""
	}
	if m != core.MetricErrorsByCode {
		*code = ""
	}
}
