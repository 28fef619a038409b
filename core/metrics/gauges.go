// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"cmp"
	"sync"
	"time"

	"github.com/outkpl/outkpl/core"
)

// Sample is the value of a gauge.
type Sample struct {
	Metric        core.Metric
	Stream, Shard string
	Value         float64
}

// Gauges reads the gauges of sources (producers), at the granularity of c. Where several
// values fall into one series they are added, but of ages, numbers of shards and what is
// in use it is the greatest and of shares the smallest that counts: the shard or producer worst off.
//
// The KPL samples UserRecordsPending every 200 ms. Here pull sinks read gauges
// when they are asked, and push sinks once a second, which costs a producer of
// a thousand shards next to nothing.
func Gauges(c Config, sources ...Source) []Sample { return readGauges(c, 0, 0, sources) }

func readGauges(c Config, maxSeries, maxStreams int, sources []Source) []Sample {
	r := new(rules)
	r.set(c)
	g := gauges{
		rules: r, at: map[key]int{}, streams: map[string]struct{}{}, maxSeries: cmp.Or(maxSeries, defaultMaxSeries),
		maxStreams: cmp.Or(maxStreams, defaultMaxStreams),
	}
	for _, src := range sources {
		s := src.Snapshot()
		g.add(core.MetricBufferedBytes, "", "", float64(s.BufferedBytes))
		for i := range s.Streams {
			g.addStream(&s.Streams[i])
		}
	}
	return g.list
}

type gauges struct {
	rules                 *rules
	at                    map[key]int // index in list
	list                  []Sample
	streams               map[string]struct{}
	maxSeries, maxStreams int
}

func (g *gauges) addStream(st *core.StreamSnapshot) {
	g.add(core.MetricUserRecordsPending, st.Stream, "", float64(st.Stats.Pending))
	g.add(core.MetricOldestRecordAge, st.Stream, "", float64(st.OldestRecordAge)/float64(time.Millisecond))
	if st.ShardsNeeded > 0 { // the shards are known
		g.add(core.MetricCapacityInUse, st.Stream, "", st.InUse)
		g.add(core.MetricBacklog, st.Stream, "", float64(st.Backlog)/float64(time.Millisecond))
		g.add(core.MetricOpenShards, st.Stream, "", float64(len(st.Shards)))
		g.add(core.MetricShardsNeeded, st.Stream, "", float64(st.ShardsNeeded))
	}
	if !g.rules.keeps(core.MetricShardTokens) {
		return
	}
	for i := range st.Shards {
		sh := &st.Shards[i]
		g.add(core.MetricShardQueuedBytes, st.Stream, sh.ID, float64(sh.QueuedBytes))
		g.add(core.MetricShardTokens, st.Stream, sh.ID, sh.Tokens)
		g.add(core.MetricShardShare, st.Stream, sh.ID, sh.Share)
		g.add(core.MetricShardInUse, st.Stream, sh.ID, sh.InUse)
	}
}

func (g *gauges) add(m core.Metric, stream, shard string, v float64) {
	if !g.rules.keeps(m) {
		return
	}
	k := key{metric: m, stream: stream, shard: shard}
	g.rules.fold(m, &k.stream, &k.shard, &k.code)
	i, found := g.at[k]
	if !found {
		_, known := g.streams[k.stream]
		if len(g.list) >= g.maxSeries || !known && len(g.streams) >= g.maxStreams {
			k = key{metric: m, stream: Overflow}
			i, found = g.at[k]
		} else {
			g.streams[k.stream] = struct{}{}
		}
	}
	if !found {
		g.at[k] = len(g.list)
		g.list = append(g.list, Sample{m, valid(k.stream), valid(k.shard), v})
		return
	}
	switch p := &g.list[i].Value; m {
	case core.MetricOldestRecordAge, core.MetricBacklog, core.MetricCapacityInUse, core.MetricShardInUse, core.MetricOpenShards, core.MetricShardsNeeded:
		*p = max(*p, v)
	case core.MetricShardShare:
		*p = min(*p, v)
	default:
		*p += v
	}
}

// Sources is a list of sources for sinks to keep: its Watch is theirs. The zero
// Sources is empty and ready for concurrent use.
type Sources struct {
	// MaxSeries and MaxStreams bound the samples as they do in WindowConfig.
	MaxSeries, MaxStreams int

	mu   sync.Mutex
	list []Source // guarded by mu; never changed in place
}

// Watch adds a source, once.
func (s *Sources) Watch(src Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, have := range s.list {
		if have == src {
			return
		}
	}
	s.list = append(s.list[:len(s.list):len(s.list)], src)
}

// Freeze reads all sources once and returns sources that have that state.
func (s *Sources) Freeze() *Sources {
	s.mu.Lock()
	list := s.list
	s.mu.Unlock()
	f := &Sources{MaxSeries: s.MaxSeries, MaxStreams: s.MaxStreams}
	for _, src := range list {
		f.list = append(f.list, &frozen{src.Snapshot()})
	}
	return f
}

type frozen struct{ snap core.Snapshot }

func (f *frozen) Snapshot() core.Snapshot { return f.snap }

// Gauges reads the gauges of all sources.
func (s *Sources) Gauges(c Config) []Sample {
	s.mu.Lock()
	list := s.list
	s.mu.Unlock()
	return readGauges(c, s.MaxSeries, s.MaxStreams, list)
}

// Failure is how many user records of a stream have failed for a reason.
type Failure struct {
	Stream string
	Reason core.Reason
	Count  uint64
}

// Failures reads the failures of all sources: a count for each reason there is,
// also 0, for each stream in use. An alarm on it has something to look at before
// the first failure.
func (s *Sources) Failures(c Config) []Failure {
	s.mu.Lock()
	sources := s.list
	s.mu.Unlock()
	if !c.Keeps(core.MetricUserRecordsPut) {
		return nil
	}
	at := map[string]int{} // index of the first reason of a stream
	var list []Failure
	for _, src := range sources {
		for _, st := range src.Snapshot().Streams {
			stream := valid(st.Stream)
			if c.OrDefault().Granularity < core.GranularityStream {
				stream = ""
			}
			i, found := at[stream]
			if !found && len(at) >= cmp.Or(s.MaxStreams, defaultMaxStreams) {
				stream = Overflow
				i, found = at[stream]
			}
			if !found {
				i = len(list)
				at[stream] = i
				for r := 1; r < len(st.Stats.Failed); r++ { // 0 is no failure
					list = append(list, Failure{Stream: stream, Reason: core.Reason(r)})
				}
			}
			for r := 1; r < len(st.Stats.Failed); r++ {
				list[i+r-1].Count += st.Stats.Failed[r]
			}
		}
	}
	return list
}
