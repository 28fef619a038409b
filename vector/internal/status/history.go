// SPDX-License-Identifier: Apache-2.0

package status

import (
	"context"
	"strings"
	"time"

	"github.com/outkpl/outkpl/core"
)

const (
	interval = time.Second
	samples  = 121 // two minutes of differences
)

// sample holds totals at one moment.
type sample struct {
	at                                      time.Time
	events, confirmed, bodyBytes, wireBytes uint64
	throttled, requests, unavailable        uint64
	refused, dropped                        uint64 // answers of 4xx, and events
	latency                                 []uint64
}

// Run takes a sample each second until ctx ends. It is to be run once.
func (p *Page) Run(ctx context.Context) {
	t := time.NewTicker(interval)
	defer t.Stop()
	for {
		p.sample()
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *Page) sample() {
	st, sv := p.cfg.Producer.Stats(), p.cfg.Server()
	s := sample{
		at: p.cfg.Now(), events: sv.Events, confirmed: sv.Confirmed, bodyBytes: sv.BodyBytes, wireBytes: sv.WireBytes,
		throttled: st.Throttled, unavailable: sv.Requests["503"], latency: sv.Buckets,
	}
	for status, n := range sv.Requests {
		s.requests += n
		if strings.HasPrefix(status, "4") {
			s.refused += n
		}
	}
	for _, n := range sv.Dropped {
		s.dropped += n
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.past) == samples {
		p.past = append(p.past[:0], p.past[1:]...)
	}
	p.past = append(p.past, s)
}

// history makes rates of the samples. Called with the lock held.
func (p *Page) history() History {
	h := History{IntervalSeconds: interval.Seconds()}
	for i := 1; i < len(p.past); i++ {
		a, b := &p.past[i-1], &p.past[i]
		seconds := b.at.Sub(a.at).Seconds()
		h.Events = append(h.Events, rate(a.events, b.events, seconds))
		h.Confirmed = append(h.Confirmed, rate(a.confirmed, b.confirmed, seconds))
		h.BodyBytes = append(h.BodyBytes, rate(a.bodyBytes, b.bodyBytes, seconds))
		h.WireBytes = append(h.WireBytes, rate(a.wireBytes, b.wireBytes, seconds))
		h.Throttled = append(h.Throttled, rate(a.throttled, b.throttled, seconds))
		h.Requests = append(h.Requests, rate(a.requests, b.requests, seconds))
		h.Refused = append(h.Refused, rate(a.refused, b.refused, seconds))
		h.Unavailable = append(h.Unavailable, rate(a.unavailable, b.unavailable, seconds))
	}
	return h
}

// latency is that of what is in the samples. Called with the lock held.
func (p *Page) latency() Latency {
	if len(p.past) < 2 {
		return Latency{}
	}
	first, last := p.past[0].latency, p.past[len(p.past)-1].latency
	counts := make([]uint64, len(last))
	var l Latency
	for i := range counts {
		counts[i] = last[i] - first[i]
		l.Count += counts[i]
	}
	l.P50, l.P99 = quantile(p.cfg.Bounds, counts, 0.5), quantile(p.cfg.Bounds, counts, 0.99)
	return l
}

// quantile takes values for evenly distributed inside of a bucket. What is above the last
// bound counts as that.
func quantile(bounds []float64, counts []uint64, q float64) float64 {
	var total uint64
	for _, n := range counts {
		total += n
	}
	if total == 0 || len(counts) != len(bounds)+1 {
		return 0
	}
	want, seen, low := q*float64(total), 0.0, 0.0
	for i, bound := range bounds {
		n := float64(counts[i])
		if n > 0 && seen+n >= want {
			return low + (bound-low)*(want-seen)/n
		}
		seen += n
		low = bound
	}
	return low
}

// rate is the difference of two counts per second; counts of a snapshot may be a
// moment older than those of the one before.
func rate(from, to uint64, seconds float64) float64 {
	if to <= from || seconds <= 0 {
		return 0
	}
	return float64(to-from) / seconds
}

// Capacity of a shard for writing, a second
// (https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html,
// checked 2026-11-24).
const (
	shardBytes   = 1 << 20
	shardRecords = 1000
)

// state is a snapshot and its time.
type state struct {
	at time.Time
	core.Snapshot
}
