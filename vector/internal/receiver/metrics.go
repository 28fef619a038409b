// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// collector shows Stats to Prometheus. Everything is read at the scrape.
type collector struct{ stats func() Stats }

// Collector returns the server's own metrics for Prometheus. Names begin with
// kpl_http_; labels are route, status and reason, each from a fixed set, so that the
// number of series is bounded.
func (s *Server) Collector() prometheus.Collector { return collector{stats: s.Stats} }

// Metric is a metric that Collector shows, for documentation.
type Metric struct{ Name, Kind, Labels, Help string }

type serverMetric struct {
	name, help string
	labels     []string
	gauge      bool
	// read calls add with the value of each series.
	read func(st *Stats, add func(value float64, labels ...string))
}

func one(f func(st *Stats) float64) func(*Stats, func(float64, ...string)) {
	return func(st *Stats, add func(float64, ...string)) { add(f(st)) }
}

func perRoute(f func(r *RouteStats) float64) func(*Stats, func(float64, ...string)) {
	return func(st *Stats, add func(float64, ...string)) {
		for i := range st.Routes {
			add(f(&st.Routes[i]), st.Routes[i].Match)
		}
	}
}

func perPoison(f func(st *Stats) *[poisonCount]uint64) func(*Stats, func(float64, ...string)) {
	return func(st *Stats, add func(float64, ...string)) {
		for i, n := range f(st) {
			add(float64(n), PoisonReason(i).String())
		}
	}
}

const latencyName, latencyHelp = "kpl_http_ack_duration_seconds", "time from the end of a body to its outcome"

func serverMetrics() []serverMetric {
	return []serverMetric{
		{
			"kpl_http_requests_total", "answers; those over gRPC count as the status of HTTP that means the same",
			[]string{"route", "status"},
			false,
			func(st *Stats, add func(float64, ...string)) {
				for i := range st.Routes {
					for j, n := range st.Routes[i].Requests {
						add(float64(n), st.Routes[i].Match, strconv.Itoa(Statuses[j]))
					}
				}
			},
		},
		{
			"kpl_http_rejected_total", "requests that were not answered with 200, by reason",
			[]string{"route", "reason"},
			false,
			func(st *Stats, add func(float64, ...string)) {
				for i := range st.Routes {
					for _, reason := range Reasons() {
						add(float64(st.Routes[i].Rejected[reason]), st.Routes[i].Match, reason.String())
					}
				}
			},
		},
		{
			"kpl_http_protocol_requests_total", "requests for events by how they came: http, otlp_grpc, or vector for Vector's own protocol",
			[]string{"protocol"},
			false,
			func(st *Stats, add func(float64, ...string)) {
				for i, n := range st.Protocols {
					add(float64(n), protocol(i).String())
				}
			},
		},
		{"kpl_http_not_served_total", "requests and connections in a protocol that is not served where they came, such as gRPC at server.listen", nil, false, one(func(st *Stats) float64 { return float64(st.NotServed) })},
		{"kpl_http_wire_bytes_total", "bytes of bodies as sent", []string{"route"}, false, perRoute(func(r *RouteStats) float64 { return float64(r.WireBytes) })},
		{"kpl_http_body_bytes_total", "bytes of bodies unpacked", []string{"route"}, false, perRoute(func(r *RouteStats) float64 { return float64(r.BodyBytes) })},
		{"kpl_http_events_total", "events of valid bodies; a body that is sent again counts again", []string{"route"}, false, perRoute(func(r *RouteStats) float64 { return float64(r.Events) })},
		{"kpl_http_events_confirmed_total", "events in answers of 200 that are in Kinesis", []string{"route"}, false, perRoute(func(r *RouteStats) float64 { return float64(r.Confirmed) })},
		{"kpl_http_bodies_total", "bodies that were read whole", nil, false, one(func(st *Stats) float64 { return float64(st.Bodies) })},
		{
			"kpl_http_events_dropped_total", "events that can never be stored and were dropped, by reason",
			[]string{"reason"},
			false,
			perPoison(func(st *Stats) *[poisonCount]uint64 { return &st.Dropped }),
		},
		{
			"kpl_http_dead_letters_total", "events kept as dead letters, by reason; malformed are those whose dead letters have the reason broken",
			[]string{"reason"},
			false,
			perPoison(func(st *Stats) *[poisonCount]uint64 { return &st.DeadLettered }),
		},
		{"kpl_http_resumed_total", "requests whose body was known, so that only what was missing was written", nil, false, one(func(st *Stats) float64 { return float64(st.Resumed) })},
		{"kpl_http_events_saved_total", "events that were not resent for that reason", nil, false, one(func(st *Stats) float64 { return float64(st.EventsSaved) })},
		{"kpl_http_clients_gone_total", "clients that were gone before they could be answered", nil, false, one(func(st *Stats) float64 { return float64(st.GoneBeforeAnswer) })},
		{"kpl_http_ledger_evicted_total", "bodies that were evicted from the ledger before their time, for lack of room", nil, false, one(func(st *Stats) float64 { return float64(st.Ledger.Evicted) })},
		{"kpl_http_ledger_expired_total", "bodies that never came again", nil, false, one(func(st *Stats) float64 { return float64(st.Ledger.Expired) })},
		{"kpl_http_ledger_entries", "bodies in the ledger", nil, true, one(func(st *Stats) float64 { return float64(st.Ledger.Entries) })},
		{"kpl_http_ledger_bytes", "memory of the ledger", nil, true, one(func(st *Stats) float64 { return float64(st.Ledger.Bytes) })},
		{"kpl_http_journal_entries", "bodies in the journal", nil, true, one(func(st *Stats) float64 { return float64(st.Journal.Entries) })},
		{"kpl_http_journal_bytes", "size of the journal", nil, true, one(func(st *Stats) float64 { return float64(st.Journal.Bytes) })},
		{"kpl_http_journal_failed", "1 while the journal cannot be written", nil, true, one(func(st *Stats) float64 {
			if st.Journal.Failed {
				return 1
			}
			return 0
		})},
		{"kpl_http_journal_syncs_total", "times the journal was made durable", nil, false, one(func(st *Stats) float64 { return float64(st.Journal.Syncs) })},
		{"kpl_http_journal_used_total", "bodies of an earlier process of which only what was missing was written", nil, false, one(func(st *Stats) float64 { return float64(st.Journal.Used) })},
		{"kpl_http_journal_uncertain_total", "user records of these that an earlier process had sent without an answer, and that were sent again", nil, false, one(func(st *Stats) float64 { return float64(st.Journal.Uncertain) })},
		{"kpl_http_requests_in_flight", "requests under way", nil, true, one(func(st *Stats) float64 { return float64(st.InFlight) })},
		{"kpl_http_connections", "open connections", nil, true, one(func(st *Stats) float64 { return float64(st.Connections) })},
		{"kpl_http_memory_used_bytes", "memory taken by bodies", nil, true, one(func(st *Stats) float64 { return float64(st.BudgetUsed) })},
		{"kpl_http_memory_limit_bytes", "limits.memory", nil, true, one(func(st *Stats) float64 { return float64(st.BudgetSize) })},
		{"kpl_http_memory_waiting", "requests that wait for memory", nil, true, one(func(st *Stats) float64 { return float64(st.BudgetWaiting) })},
		{"kpl_http_draining", "1 from SIGTERM on", nil, true, one(func(st *Stats) float64 {
			if st.Draining {
				return 1
			}
			return 0
		})},
	}
}

// MetricsMarkdown returns the table of metrics for docs/http.md.
func MetricsMarkdown() string {
	var b strings.Builder
	b.WriteString("| Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n")
	for _, m := range Metrics() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.Name, m.Kind, m.Labels, m.Help)
	}
	return b.String()
}

// Metrics lists what Collector shows.
func Metrics() []Metric {
	var list []Metric
	for _, m := range serverMetrics() {
		kind := "counter"
		if m.gauge {
			kind = "gauge"
		}
		list = append(list, Metric{m.name, kind, strings.Join(m.labels, ", "), m.help})
	}
	return append(list, Metric{latencyName, "histogram", "", latencyHelp})
}

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range serverMetrics() {
		ch <- prometheus.NewDesc(m.name, m.help, m.labels, nil)
	}
	ch <- prometheus.NewDesc(latencyName, latencyHelp, nil, nil)
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	st := c.stats()
	for _, m := range serverMetrics() {
		d := prometheus.NewDesc(m.name, m.help, m.labels, nil)
		kind := prometheus.CounterValue
		if m.gauge {
			kind = prometheus.GaugeValue
		}
		m.read(&st, func(v float64, labels ...string) { ch <- prometheus.MustNewConstMetric(d, kind, v, labels...) })
	}
	buckets := map[float64]uint64{}
	var n uint64
	for i, bound := range LatencyBounds {
		n += st.AckLatency.Counts[i]
		buckets[bound] = n
	}
	n += st.AckLatency.Counts[len(LatencyBounds)]
	ch <- prometheus.MustNewConstHistogram(prometheus.NewDesc(latencyName, latencyHelp, nil, nil), n, st.AckLatency.Sum, buckets)
}
