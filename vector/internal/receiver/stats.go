// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/outkpl/outkpl/internal/journal"
	"github.com/outkpl/outkpl/internal/ledger"
)

// Reason says why a request was not answered with 200. The set is closed; the string
// form is stable and serves as metric label and log field.
type Reason uint8

// The reasons. ReasonNone is the reason of a request that was answered with 200.
const (
	ReasonNone            Reason = iota
	ReasonUnauthorized           // no valid credentials
	ReasonMethod                 // neither POST nor PUT
	ReasonPath                   // no such path, or a query that cannot be read
	ReasonStreamMissing          // the request names no stream, and the route has none
	ReasonStreamForbidden        // a stream that requests may not name
	ReasonStreams                // producer.max_streams is reached
	ReasonKeyOverride            // header or query with a partition key that is not valid
	ReasonUnsupported            // encoding or media type that is not known
	ReasonTooLarge               // body above a limit
	ReasonMalformed              // body that cannot be read
	ReasonPoison                 // an event that can never be stored, and the policy is reject
	ReasonBudget                 // no memory within limits.admission_timeout
	ReasonSlow                   // the body arrived too slowly
	ReasonAckTimeout             // Kinesis had not confirmed everything in time
	ReasonFailed                 // Kinesis refused for now
	ReasonDeadLetter             // the dead letter store did not take an event
	ReasonDraining               // the program is about to end
	ReasonGone                   // the client was gone before the answer
	ReasonInternal               // a bug
	reasonCount
)

var reasonNames = [reasonCount]string{
	"none", "unauthorized", "method", "path", "stream_missing", "stream_forbidden", "streams", "key_override",
	"unsupported", "too_large", "malformed", "poison", "budget", "slow", "ack_timeout", "failed",
	"dead_letter", "draining", "gone", "internal",
}

// String returns the stable name, for example "ack_timeout".
func (r Reason) String() string { return reasonNames[min(int(r), len(reasonNames)-1)] }

// PoisonReason says why an event can never be stored.
type PoisonReason uint8

// The reasons for which events are not stored.
const (
	PoisonTooLarge   PoisonReason = iota // larger than the stream takes
	PoisonInvalid                        // refused by Kinesis as invalid
	PoisonKeyMissing                     // no partition key, and the policy is not to send it unkeyed
	PoisonMalformed                      // part of a body that cannot be read
	PoisonNotLog                         // a metric or a trace, and the policy is not to send it
	poisonCount
)

var poisonNames = [poisonCount]string{"too_large", "invalid", "key_missing", "malformed", "not_log"}

// String returns the stable name, for example "key_missing".
func (r PoisonReason) String() string { return poisonNames[min(int(r), len(poisonNames)-1)] }

// Statuses lists every status a server answers with, in the order of Stats.Requests.
var Statuses = [...]int{
	http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
	http.StatusMethodNotAllowed, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
	http.StatusServiceUnavailable,
}

// LatencyBounds are the upper bounds of the buckets of Stats.AckLatency, in seconds.
var LatencyBounds = [...]float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

// Histogram counts durations.
type Histogram struct {
	// Counts has one entry for each of LatencyBounds and one for what is above.
	Counts [len(LatencyBounds) + 1]uint64
	// Sum is in seconds.
	Sum float64
}

// Stats is what a server has done since it was made. Health requests do not count.
type Stats struct {
	// Requests counts answers by status, in the order of Statuses.
	Requests [len(Statuses)]uint64
	// Rejected counts requests that were not answered with 200, by Reason.
	Rejected [reasonCount]uint64
	// InFlight is the number of requests under way.
	InFlight int64
	// Protocols counts requests for events by how they came: http, vector, otlp_grpc.
	Protocols [protocolCount]uint64
	// NotServed counts requests and connections in a protocol that is not served where they
	// came.
	NotServed uint64
	// Connections is the number of open connections.
	Connections int64
	// Bodies counts bodies that were read whole; WireBytes and BodyBytes are their
	// sizes as sent and unpacked.
	Bodies, WireBytes, BodyBytes uint64
	// Events counts events of bodies that were valid; a body that is sent again
	// counts again. Confirmed counts those in answers of 200 that are in Kinesis.
	Events, Confirmed uint64
	// Dropped and DeadLettered count events that can never be stored, by PoisonReason.
	Dropped, DeadLettered [poisonCount]uint64
	// Resumed counts requests whose body was known, so that only what was missing
	// was written; EventsSaved counts the events that were not resent.
	Resumed, EventsSaved uint64
	// GoneBeforeAnswer counts clients that were gone before they could be answered.
	GoneBeforeAnswer uint64
	// BudgetUsed is the memory taken by bodies, of BudgetSize; BudgetWaiting
	// requests wait for some.
	BudgetUsed, BudgetSize int64
	BudgetWaiting          int
	// Ledger is the state of the ledger.
	Ledger ledger.Stats
	// Journal is the state of the journal, zero without one.
	Journal journal.Stats
	// AckLatency is the time from the end of a body to its outcome.
	AckLatency Histogram
	// Draining tells that the program is about to end.
	Draining bool
	// Routes are the same counts for each entry of routes, in its order, and last
	// for requests that no entry fits.
	Routes []RouteStats
}

// RouteStats is what was done for the requests of one route.
type RouteStats struct {
	// Match is the path pattern of the route, "default" of the one without.
	Match string
	// Requests counts answers by status, in the order of Statuses.
	Requests [len(Statuses)]uint64
	// Rejected counts requests that were not answered with 200, by Reason.
	Rejected [reasonCount]uint64
	// WireBytes and BodyBytes are sizes of bodies as sent and unpacked.
	WireBytes, BodyBytes uint64
	// Events and Confirmed are as in Stats.
	Events, Confirmed uint64
}

// routeCounters is the live form of RouteStats.
type routeCounters struct {
	requests                                [len(Statuses)]atomic.Uint64
	rejected                                [reasonCount]atomic.Uint64
	wireBytes, bodyBytes, events, confirmed atomic.Uint64
}

// answered counts an answer; status 0 is none.
func (c *routeCounters) answered(status int, reason Reason) {
	for i := range Statuses {
		if Statuses[i] == status {
			c.requests[i].Add(1)
		}
	}
	if reason != ReasonNone {
		c.rejected[reason].Add(1)
	}
}

func (r *route) stats() RouteStats {
	c := &r.counters
	st := RouteStats{
		Match: r.Match, WireBytes: c.wireBytes.Load(), BodyBytes: c.bodyBytes.Load(),
		Events: c.events.Load(), Confirmed: c.confirmed.Load(),
	}
	if st.Match == "" {
		st.Match = "default"
	}
	for i := range st.Requests {
		st.Requests[i] = c.requests[i].Load()
	}
	for i := range st.Rejected {
		st.Rejected[i] = c.rejected[i].Load()
	}
	return st
}

// Reasons returns every Reason but ReasonNone, in the order of Stats.Rejected.
func Reasons() []Reason {
	list := make([]Reason, 0, reasonCount-1)
	for r := ReasonNone + 1; r < reasonCount; r++ {
		list = append(list, r)
	}
	return list
}

// counters is the live form of Stats.
type counters struct {
	requests                     [len(Statuses)]atomic.Uint64
	rejected                     [reasonCount]atomic.Uint64
	protocols                    [protocolCount]atomic.Uint64
	notServed                    atomic.Uint64
	inFlight, connections        atomic.Int64
	bodies, wireBytes, bodyBytes atomic.Uint64
	events, confirmed            atomic.Uint64
	dropped, deadLettered        [poisonCount]atomic.Uint64
	resumed, eventsSaved, gone   atomic.Uint64
	latency                      [len(LatencyBounds) + 1]atomic.Uint64
	latencyNanos                 atomic.Uint64
}

func (c *counters) answered(status int, reason Reason) {
	for i := range Statuses {
		if Statuses[i] == status {
			c.requests[i].Add(1)
		}
	}
	if reason != ReasonNone {
		c.rejected[reason].Add(1)
	}
}

// countAnswer counts the answer to a request, for the server and its route.
func (q *request) countAnswer(status int, res *result) {
	reason := ReasonNone
	if f := res.failure; f != nil {
		reason = f.reason
	}
	if reason == ReasonGone {
		status = 0 // none
		q.s.counters.gone.Add(1)
	}
	q.s.counters.answered(status, reason)
	if q.route != nil {
		q.route.counters.answered(status, reason)
	}
	if res.failure == nil {
		confirmed := uint64(res.success.Events - res.success.Dropped - res.success.DeadLettered)
		q.s.counters.confirmed.Add(confirmed)
		q.route.counters.confirmed.Add(confirmed)
	}
}

func (c *counters) acked(d time.Duration) {
	i := 0
	for i < len(LatencyBounds) && d.Seconds() > LatencyBounds[i] {
		i++
	}
	c.latency[i].Add(1)
	c.latencyNanos.Add(uint64(d))
}

// Stats returns the counters. It is safe for concurrent use.
func (s *Server) Stats() Stats {
	c := &s.counters
	st := Stats{
		InFlight: c.inFlight.Load(), Connections: c.connections.Load(),
		Bodies: c.bodies.Load(), WireBytes: c.wireBytes.Load(), BodyBytes: c.bodyBytes.Load(),
		Events: c.events.Load(), Confirmed: c.confirmed.Load(),
		Resumed: c.resumed.Load(), EventsSaved: c.eventsSaved.Load(), GoneBeforeAnswer: c.gone.Load(),
		BudgetSize: s.budget.size, Draining: s.draining.Load(), NotServed: c.notServed.Load(),
	}
	for i := range st.Protocols {
		st.Protocols[i] = c.protocols[i].Load()
	}
	for i := range st.Requests {
		st.Requests[i] = c.requests[i].Load()
	}
	for i := range st.Rejected {
		st.Rejected[i] = c.rejected[i].Load()
	}
	for i := range st.Dropped {
		st.Dropped[i], st.DeadLettered[i] = c.dropped[i].Load(), c.deadLettered[i].Load()
	}
	for i := range st.AckLatency.Counts {
		st.AckLatency.Counts[i] = c.latency[i].Load()
	}
	st.AckLatency.Sum = time.Duration(c.latencyNanos.Load()).Seconds()
	st.BudgetUsed, st.BudgetWaiting = s.budget.state()
	st.Ledger = s.deliverer.Ledger()
	if s.journal != nil {
		st.Journal = s.journal.Stats()
	}
	for _, r := range s.routes {
		st.Routes = append(st.Routes, r.stats())
	}
	st.Routes = append(st.Routes, s.fallback.stats())
	return st
}
