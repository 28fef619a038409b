// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"strings"
	"sync"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
	"github.com/outkpl/outkpl/internal/journal"
)

// meterInterval is how often the registry is brought up to date. The host makes its
// own picture of the metrics every few seconds.
const meterInterval = time.Second

// Family describes a metric of a Registry.
type Family struct {
	// Name is without the prefix kpl_.
	Name, Help string
	Kind       core.MetricKind
	// Labels are the names of the labels, at most 4.
	Labels []string
	// Bounds are the upper bounds of a Distribution, ascending.
	Bounds []float64
}

// Registry is where metrics are shown. It is called by one goroutine at a time, and
// not after Instance.Close has returned.
type Registry interface {
	// Family adds a metric and returns its number.
	Family(f Family) int
	// Set shows the value of a series; that of a counter never goes down.
	Set(family int, labels []string, v float64)
	// SetHistogram shows a distribution. cumulative counts the values at or
	// below each bound.
	SetHistogram(family int, labels []string, cumulative []uint64, sum float64, count uint64)
}

// meter copies the numbers of an instance to a registry. At the level summary all of
// them are counters that are kept anyway; only above it does the producer measure
// for us.
type meter struct {
	in       *Instance
	cfg      metrics.Config
	registry Registry
	window   *metrics.Window // nil below the level detailed
	source   metrics.Source  // the producer, nil in tests with another one

	sources  metrics.Sources
	families map[core.Metric]int
	failed   int
	chunks   int
	events   int
	leftOut  int
	journal  []int // as in journalFamilies

	stop chan struct{}
	done sync.WaitGroup
}

// newMeter returns nil if there is nothing to show or nowhere to show it. It is
// called before the producer is made, and tells it by in.cfg to measure.
func newMeter(in *Instance, registry Registry) *meter {
	cfg, on, err := metrics.ParseConfig(in.cfg.metricsLevel, in.cfg.metricsGranularity)
	if registry == nil || !on || err != nil { // the words were checked
		return nil
	}
	m := &meter{in: in, cfg: cfg, registry: registry, families: map[core.Metric]int{}, stop: make(chan struct{})}
	if cfg.Level == core.LevelDetailed {
		m.window = metrics.NewWindow(metrics.WindowConfig{
			Config: cfg, Histograms: true, Seconds: true, Monotonic: true, Bounds: metrics.Bounds,
			Only: func(m core.Metric) bool { return m.Info().Kind != core.Gauge }, Logger: in.log,
		})
		in.cfg.observer = m.window
	}
	return m
}

// start makes the series that are known and begins to report.
func (m *meter) start() {
	if m == nil {
		return
	}
	m.source, _ = m.in.producer.(metrics.Source)
	if m.source != nil {
		m.sources.Watch(m.source)
	}
	for _, x := range core.Metrics() {
		if m.shows(x) {
			m.families[x] = m.registry.Family(family(x))
		}
	}
	m.failed = m.registry.Family(Family{Name: "user_records_failed_total", Help: "user records that were not delivered, by reason", Labels: []string{"stream", "reason"}})
	m.chunks = m.registry.Family(Family{Name: "chunks_total", Help: "chunks by the answer to the host", Labels: []string{"result"}})
	m.events = m.registry.Family(Family{Name: "events_total", Help: "events that became records, once for each chunk"})
	m.leftOut = m.registry.Family(Family{Name: "events_left_out_total", Help: "events that were not delivered, by reason", Labels: []string{"reason"}})
	if m.in.journal != nil {
		for _, f := range journalFamilies {
			m.journal = append(m.journal, m.registry.Family(f.Family))
		}
	}
	m.begin()
	m.update()
	m.done.Go(m.run)
}

func (m *meter) run() {
	tick := time.NewTicker(meterInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			m.update()
		case <-m.stop:
			m.update()
			return
		}
	}
}

// close shows the last numbers and ends the goroutine.
func (m *meter) close() {
	if m == nil {
		return
	}
	close(m.stop)
	m.done.Wait()
}

// counted tells which counters the producer keeps without an observer.
func counted(x core.Metric) bool {
	switch x {
	case core.MetricUserRecordsReceived, core.MetricUserRecordsPut, core.MetricUserRecordsDataPut, core.MetricUserRecordExpired,
		core.MetricKinesisRecordsPut, core.MetricKinesisRecordsDataPut, core.MetricAllErrors, core.MetricPutPayloadUnits,
		core.MetricPutPayloadUnitsSaved, core.MetricWrongShard, core.MetricUncertain, core.MetricShardMapRefreshes,
		core.MetricVerifyOpened, core.MetricVerifyStored, core.MetricVerifyMissing, core.MetricVerifyGivenUp, core.MetricVerifyReads,
		core.MetricLedgerHits, core.MetricDeadLetters:
		return true
	default:
		return false
	}
}

func (m *meter) shows(x core.Metric) bool {
	return m.cfg.Keeps(x) && (m.window != nil || x.Info().Kind == core.Gauge || counted(x))
}

// granularity is that of the counters: without an observer they are kept by stream.
func (m *meter) granularity(x core.Metric) core.Granularity {
	g := min(m.cfg.GranularityOf(x), finest(x))
	if m.window == nil && x.Info().Kind != core.Gauge {
		g = min(g, core.GranularityStream)
	}
	return g
}

// finest is the granularity that a metric can have in any output.
func finest(x core.Metric) core.Granularity {
	if x == core.MetricLedgerHits || x == core.MetricDeadLetters { // counted here
		return core.GranularityGlobal
	}
	return x.Info().Granularity
}

// family has the same labels whatever the configuration: the host puts the outputs
// together, and shows no metrics at all, not even its own, if those of a name differ in
// their labels. One that is not used is empty, which for Prometheus is as if it were absent.
func family(x core.Metric) Family {
	f := Family{Name: hostName(x), Help: x.Info().Help, Kind: x.Info().Kind}
	g := finest(x)
	if g >= core.GranularityStream {
		f.Labels = append(f.Labels, "stream")
	}
	if g >= core.GranularityShard {
		f.Labels = append(f.Labels, "shard")
	}
	if x == core.MetricErrorsByCode {
		f.Labels = append(f.Labels, "code")
	}
	if _, _, ok := metrics.Outcomes(x); ok {
		f.Labels = append(f.Labels, "result")
	}
	if f.Kind == core.Distribution {
		f.Bounds = metrics.Bounds(x)
	}
	return f
}

// labels returns the values for the labels of family, in its order.
func (m *meter) labels(x core.Metric, stream, shard, code, result string) []string {
	list := make([]string, 0, 4)
	g, all := m.granularity(x), finest(x)
	if g < core.GranularityStream {
		stream = ""
	}
	if g < core.GranularityShard {
		shard = ""
	}
	if all >= core.GranularityStream {
		list = append(list, stream)
	}
	if all >= core.GranularityShard {
		list = append(list, shard)
	}
	if x == core.MetricErrorsByCode {
		list = append(list, code)
	}
	if result != "" {
		list = append(list, result)
	}
	return list
}

// knownCodes are the codes of failures that are to be expected.
var knownCodes = []string{
	"ProvisionedThroughputExceededException", "InternalFailure", "RequestFailed", "NoCredentials", "AccessDeniedException", "ResourceNotFoundException",
	"ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException", "KMSAccessDeniedException", "ServiceUnavailable", "LimitExceededException",
}

// begin makes the series of a stream that is known at the start. The host's reader
// takes no lock against new series, so that as few as possible should come later.
func (m *meter) begin() {
	stream := m.in.cfg.Stream
	if i := strings.LastIndexByte(stream, '/'); i >= 0 { // an ARN
		stream = stream[i+1:]
	}
	if m.in.cfg.event.Stream != "" && m.cfg.Granularity >= core.GranularityStream {
		return // a template: the streams come with the events
	}
	for x, id := range m.families {
		if m.granularity(x) >= core.GranularityShard {
			continue
		}
		switch yes, no, outcomes := metrics.Outcomes(x); {
		case x.Info().Kind == core.Distribution:
			m.registry.SetHistogram(id, m.labels(x, stream, "", "", ""), make([]uint64, len(metrics.Bounds(x))), 0, 0)
		case x == core.MetricErrorsByCode:
			for _, code := range knownCodes {
				m.registry.Set(id, m.labels(x, stream, "", code, ""), 0)
			}
		case outcomes:
			m.registry.Set(id, m.labels(x, stream, "", "", yes), 0)
			m.registry.Set(id, m.labels(x, stream, "", "", no), 0)
		default:
			m.registry.Set(id, m.labels(x, stream, "", "", ""), 0)
		}
	}
	var none core.Stats
	for r := 1; r < len(none.Failed); r++ { // 0 is no failure
		m.registry.Set(m.failed, m.failedLabels(stream, core.Reason(r)), 0)
	}
}

func (m *meter) failedLabels(stream string, r core.Reason) []string {
	if m.cfg.Granularity < core.GranularityStream {
		stream = ""
	}
	return []string{stream, r.String()}
}

// update brings the registry up to date.
func (m *meter) update() {
	if m.window != nil {
		for _, s := range m.window.Read() {
			m.observed(&s)
		}
	} else if m.source != nil {
		m.counters(m.source.Snapshot())
	}
	for _, f := range m.sources.Failures(m.cfg) {
		m.registry.Set(m.failed, m.failedLabels(f.Stream, f.Reason), float64(f.Count))
	}
	for _, g := range m.sources.Gauges(m.cfg) {
		v := g.Value
		if g.Metric.Info().Unit == "Milliseconds" {
			v /= 1000
		}
		m.set(g.Metric, m.labels(g.Metric, g.Stream, g.Shard, "", ""), v)
	}
	s := m.in.Stats()
	m.set(core.MetricLedgerHits, nil, float64(s.Resumed))
	m.set(core.MetricDeadLetters, nil, float64(s.DeadLetters))
	if m.in.journal != nil {
		of := m.in.journal.Stats()
		for i, f := range journalFamilies {
			m.registry.Set(m.journal[i], nil, f.of(&of))
		}
	}
	m.registry.Set(m.events, nil, float64(s.Events))
	for result, n := range map[string]uint64{"ok": s.OK, "retry": s.Retry, "error": s.Error} {
		m.registry.Set(m.chunks, []string{result}, float64(n))
	}
	for reason, n := range map[string]uint64{"undecodable": s.Broken, "dropped": s.Dropped, "empty": s.Empty, "no_stream": s.Unroutable, "refused": s.Refused, "expired": s.Expired} {
		m.registry.Set(m.leftOut, []string{reason}, float64(n))
	}
}

// journalFamilies is what the journal shows of itself.
var journalFamilies = []struct {
	Family
	of func(s *journal.Stats) float64
}{
	{Family{Name: "journal_bytes", Help: "size of the journal", Kind: core.Gauge}, func(s *journal.Stats) float64 { return float64(s.Bytes) }},
	{Family{Name: "journal_entries", Help: "contents in the journal", Kind: core.Gauge}, func(s *journal.Stats) float64 { return float64(s.Entries) }},
	{Family{Name: "journal_failed", Help: "1 while the journal cannot be written", Kind: core.Gauge}, func(s *journal.Stats) float64 {
		if s.Failed {
			return 1
		}
		return 0
	}},
	{Family{Name: "journal_syncs_total", Help: "times the journal was made durable"}, func(s *journal.Stats) float64 { return float64(s.Syncs) }},
	{Family{Name: "journal_used_total", Help: "contents of an earlier process of which only what was missing was sent"}, func(s *journal.Stats) float64 { return float64(s.Used) }},
	{Family{Name: "journal_uncertain_total", Help: "user records of these that an earlier process had sent without an answer, and that were sent again"}, func(s *journal.Stats) float64 { return float64(s.Uncertain) }},
}

func (m *meter) set(x core.Metric, labels []string, v float64) {
	if id, ok := m.families[x]; ok {
		m.registry.Set(id, labels, v)
	}
}

// observed shows what the window has of one series.
func (m *meter) observed(s *metrics.Series) {
	id, ok := m.families[s.Metric]
	if !ok {
		return
	}
	if s.Metric.Info().Kind == core.Distribution {
		_, counts := s.Histogram.Classic()
		m.registry.SetHistogram(id, m.labels(s.Metric, s.Stream, s.Shard, "", ""), counts, s.Sum, s.Count)
		return
	}
	if yes, no, ok := metrics.Outcomes(s.Metric); ok {
		m.registry.Set(id, m.labels(s.Metric, s.Stream, s.Shard, "", yes), s.Sum)
		m.registry.Set(id, m.labels(s.Metric, s.Stream, s.Shard, "", no), float64(s.Count)-s.Sum)
		return
	}
	m.registry.Set(id, m.labels(s.Metric, s.Stream, s.Shard, s.Code, ""), s.Sum)
}

// counters shows what the producer counts of itself.
func (m *meter) counters(snap core.Snapshot) {
	if m.cfg.Granularity < core.GranularityStream {
		var all core.StreamSnapshot
		for i := range snap.Streams {
			addStats(&all.Stats, &snap.Streams[i].Stats)
		}
		snap.Streams = []core.StreamSnapshot{all}
	}
	for i := range snap.Streams {
		s := &snap.Streams[i].Stats
		for x, v := range map[core.Metric]uint64{
			core.MetricUserRecordsReceived:   s.Accepted,
			core.MetricUserRecordsDataPut:    s.ConfirmedBytes,
			core.MetricUserRecordExpired:     s.Failed[core.ReasonExpired],
			core.MetricKinesisRecordsDataPut: s.KinesisBytes,
			core.MetricAllErrors:             s.Throttled + s.InternalFailures + s.RequestErrors,
			core.MetricPutPayloadUnits:       s.PutPayloadUnits,
			core.MetricPutPayloadUnitsSaved:  s.PutPayloadUnitsSaved,
			core.MetricWrongShard:            s.WrongShard,
			core.MetricUncertain:             s.Uncertain,
			core.MetricVerifyOpened:          s.VerifyOpened,
			core.MetricVerifyStored:          s.VerifyStored,
			core.MetricVerifyMissing:         s.VerifyMissing,
			core.MetricVerifyGivenUp:         s.VerifyGivenUp,
			core.MetricVerifyReads:           s.VerifyReads,
			core.MetricShardMapRefreshes:     s.MapRefreshes,
		} {
			m.set(x, m.labels(x, snap.Streams[i].Stream, "", "", ""), float64(v))
		}
		for _, o := range []struct {
			x       core.Metric
			yes, no uint64
		}{{core.MetricUserRecordsPut, s.Confirmed, s.FailedTotal()}, {core.MetricKinesisRecordsPut, s.KinesisRecords, s.Throttled + s.InternalFailures}} {
			yes, no, _ := metrics.Outcomes(o.x)
			m.set(o.x, m.labels(o.x, snap.Streams[i].Stream, "", "", yes), float64(o.yes))
			m.set(o.x, m.labels(o.x, snap.Streams[i].Stream, "", "", no), float64(o.no))
		}
	}
}

// addStats adds what counters uses.
func addStats(to, s *core.Stats) {
	to.Accepted += s.Accepted
	to.Confirmed += s.Confirmed
	for i := range to.Failed {
		to.Failed[i] += s.Failed[i]
	}
	to.ConfirmedBytes += s.ConfirmedBytes
	to.KinesisRecords += s.KinesisRecords
	to.KinesisBytes += s.KinesisBytes
	to.PutPayloadUnits += s.PutPayloadUnits
	to.PutPayloadUnitsSaved += s.PutPayloadUnitsSaved
	to.RequestErrors += s.RequestErrors
	to.Throttled += s.Throttled
	to.InternalFailures += s.InternalFailures
	to.WrongShard += s.WrongShard
	to.Uncertain += s.Uncertain
	to.VerifyOpened += s.VerifyOpened
	to.VerifyStored += s.VerifyStored
	to.VerifyMissing += s.VerifyMissing
	to.VerifyGivenUp += s.VerifyGivenUp
	to.VerifyReads += s.VerifyReads
	to.MapRefreshes += s.MapRefreshes
}

// hostName is the name of a metric without its prefix, as package
// core/metrics/prometheus has it.
func hostName(x core.Metric) string {
	info := x.Info()
	name := metrics.SnakeName(x)
	switch {
	case x == core.MetricBufferedBytes || x == core.MetricShardQueuedBytes: // the unit is in the name
	case info.Unit == "Bytes":
		name += "_bytes"
	case info.Unit == "Milliseconds":
		name += "_seconds"
	case info.Unit == "Ratio":
		name += "_ratio"
	}
	if info.Kind == core.Counter {
		name += "_total"
	}
	return name
}
