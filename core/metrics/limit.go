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
			l.rules.fold(&out[len(out)-1].Stream, &out[len(out)-1].Shard)
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
	kept           [256]bool
	stream, shards bool
}

func (r *rules) set(c Config) {
	for _, m := range core.Metrics() {
		r.kept[m] = c.Keeps(m)
	}
	g := c.OrDefault().Granularity
	r.stream, r.shards = g >= core.GranularityStream, g >= core.GranularityShard
}

func (r *rules) keeps(m core.Metric) bool { return r.kept[m] }

func (r *rules) fold(stream, shard *string) {
	if !r.shards {
		*shard = ""
	}
	if !r.stream {
		*stream = ""
	}
}
