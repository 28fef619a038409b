// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/internal/event"
	"github.com/outkpl/outkpl/internal/remedy"
)

// chunkCounts counts what is to be reported of one chunk: one line for each kind of
// problem, however many events it concerns.
type chunkCounts struct {
	pieces, bytes, lost int
	first               error // text without content
	keyMissing, keyCut  int
	logKeyMissing       int
	dropped             int
	streamMissing       int
	streamRefused       int
	unroutable          int
	truncated, split    int
	groupLeftOut        int
	empty               int
}

func (t *chunkCounts) broken(err error, length int) {
	t.pieces++
	t.bytes += length
	if t.first == nil {
		t.first = err
	}
}

// piece notes a piece of a chunk that is no event.
func (t *chunkCounts) piece(err error) *event.EventError {
	var e *event.EventError
	if !errors.As(err, &e) {
		panic("unexpected error of the chunk reader: " + err.Error())
	}
	t.broken(err, e.Length)
	if !e.Skippable {
		t.lost = e.Length
	}
	return e
}

func (t *chunkCounts) outcome(o event.Outcome) {
	if o == 0 {
		return
	}
	for _, c := range []struct {
		mark event.Outcome
		n    *int
	}{
		{event.KeyMissing, &t.keyMissing},
		{event.KeyCut, &t.keyCut},
		{event.LogKeyMissing, &t.logKeyMissing},
		{event.Dropped, &t.dropped},
		{event.StreamMissing, &t.streamMissing},
		{event.StreamRefused, &t.streamRefused},
		{event.Unroutable, &t.unroutable},
		{event.Truncated, &t.truncated},
		{event.Split, &t.split},
		{event.GroupLeftOut, &t.groupLeftOut},
		{event.Empty, &t.empty},
	} {
		if o&c.mark != 0 {
			*c.n++
		}
	}
}

// report counts and logs what decoding a chunk for the first time has shown.
func (in *Instance) report(tag string, length, events, records int, t *chunkCounts) {
	in.n.events.Add(uint64(events))
	in.n.records.Add(uint64(records))
	in.n.broken.Add(uint64(t.pieces))
	in.n.brokenBytes.Add(uint64(t.bytes))
	in.n.lostBytes.Add(uint64(t.lost))
	in.n.keyMissing.Add(uint64(t.keyMissing))
	in.n.keyCut.Add(uint64(t.keyCut))
	in.n.logKeyMissing.Add(uint64(t.logKeyMissing))
	in.n.dropped.Add(uint64(t.dropped))
	in.n.streamMissing.Add(uint64(t.streamMissing))
	in.n.streamRefused.Add(uint64(t.streamRefused))
	in.n.unroutable.Add(uint64(t.unroutable))
	in.n.truncated.Add(uint64(t.truncated))
	in.n.split.Add(uint64(t.split))
	in.n.empty.Add(uint64(t.empty))
	kept := in.deadLetters != nil
	if skipped := t.pieces - remainder(t.lost); skipped > 0 {
		in.health.loss("events cannot be decoded and are left out, the rest of the chunk is delivered", skipped,
			"tag", tag, "events", skipped, "bytes", t.bytes-t.lost, "first", t.first, "kept_in_dead_letter_file", kept)
	}
	if t.lost > 0 {
		text := "the end of a chunk cannot be read and is lost, what comes before is delivered; the chunk will be answered with an error"
		if kept {
			text = "the end of a chunk cannot be read and goes to the dead letter file, what comes before is delivered"
		}
		in.health.loss(text, 1, "tag", tag, "bytes_lost", t.lost, "chunk_bytes", length, "events_delivered", events, "first", t.first)
	}
	if t.unroutable > 0 {
		outcome := "the chunk is answered with an error"
		if in.keepsUnroutable() {
			outcome = "kept in the dead letter file"
		}
		in.health.loss("events have no stream, "+outcome+"; the rest of the chunk is delivered", t.unroutable,
			"tag", tag, "events", t.unroutable, "missing", t.streamMissing, "not_allowed", t.streamRefused,
			"hint", "see stream, stream_allow, stream_missing and max_streams")
	}
	in.health.warn("events without a partition key", "see partition_key_missing", t.keyMissing)
	in.health.warn("partition keys cut to 256 characters", "see partition_key", t.keyCut)
	in.health.warn("events without log_key, sent whole", "see log_key", t.logKeyMissing)
	in.health.warn("events dropped for lack of a partition key or a stream", "see partition_key_missing and stream_missing", t.dropped)
	if t.unroutable == 0 {
		in.health.warn("events without a stream of their own", "see stream_missing", t.streamMissing)
		in.health.warn("events for a stream that may not be used", "see stream_allow, max_streams and stream_missing", t.streamRefused)
	}
	in.health.warn("events without the attributes of their group, which are too large to be repeated", "see group_key", t.groupLeftOut)
	in.health.warn("empty events dropped", "see empty_events", t.empty)
	in.health.warn("events truncated to fit", "see oversize and max_record_size", t.truncated)
	in.health.warn("events split to fit", "see oversize and max_record_size", t.split)
}

func remainder(lost int) int {
	if lost > 0 {
		return 1
	}
	return 0
}

// refusals collects records that failed for good. All counts but one are of events.
type refusals struct {
	count   int
	records int
	expired int
	largest int // bytes of data and partition key of a record
	first   *core.RecordError
	lost    int // of count: answered with Error
	kept    int // in the dead letter file
}

func (r *refusals) add(f *delivery.Failure) {
	r.count += f.Events
	r.records++
	if f.Err.Reason == core.ReasonExpired {
		r.expired += f.Events
	}
	switch f.Disposition {
	case delivery.Keep:
		r.kept += f.Events
	case delivery.Lose:
		r.lost += f.Events
	case delivery.Drop, delivery.Retry, delivery.Reject, delivery.RejectLate: // nothing else is counted
	}
	r.largest = max(r.largest, f.Bytes)
	if r.first == nil {
		r.first = f.Err
	}
}

// refuse counts and logs the events of records that failed for good.
func (in *Instance) refuse(stream string, r *refusals) {
	if r.count == 0 {
		return
	}
	in.n.refused.Add(uint64(r.count - r.expired))
	in.n.expired.Add(uint64(r.expired))
	text := "events can never be accepted by the stream and are left out, the rest of the chunk is delivered"
	if r.expired == r.count {
		text = "events were not confirmed within record_ttl and are given up"
	}
	args := []any{"events", r.count}
	if in.cfg.event.Combines() {
		args = append(args, "records", r.records)
	}
	args = append(args, "reason", r.first.Reason.String(), "largest_bytes", r.largest, "detail", r.first.Detail)
	for _, part := range []struct {
		name string
		n    int
	}{{"answered_with_error", r.lost}, {"kept_in_dead_letter_file", r.kept}, {"dropped", r.count - r.lost - r.kept}} {
		if part.n > 0 {
			args = append(args, part.name, part.n)
		}
	}
	in.healthOf(stream).loss(text, r.count, args...)
}

// evicted counts and logs chunks whose progress was given up.
func (in *Instance) evicted(n int) {
	if n == 0 {
		return
	}
	in.n.evicted.Add(uint64(n))
	in.health.warn("chunks to be retried were evicted from the ledger for lack of room, so that their events may be sent twice", "see buffer_size", n)
}

// outage says why a chunk has to be retried.
type outage struct {
	reason, code, detail string
	action               string // that failed; empty for putRecords
}

// The actions that delivery needs.
const (
	putRecords = "kinesis:PutRecords"
	listShards = "kinesis:ListShards"
)

// remedy is that of the code, or where there is none of the reason.
func (o outage) remedy() *remedy.Remedy { return remedy.Find(cmp.Or(o.code, o.reason), o.detail, nil) }

// probes bounds the records that findOutage asks.
const probes = 256

// findOutage finds out what keeps records of an open batch from being confirmed.
func findOutage(b Batch) outage {
	confirmed, failed, pending := b.Counts()
	n := confirmed + failed + pending
	step := max(1, n/probes)
	for i := 0; i < n; i += step {
		r := b.Result(i)
		if k := len(r.Attempts); !r.Settled && k > 0 {
			return outage{reason: "unconfirmed", code: r.Attempts[k-1].Code, detail: r.Attempts[k-1].Message}
		}
	}
	// Nothing of it was tried: the stream's shards may be unknown, or the turn of
	// this chunk has not come.
	return outage{reason: "waiting"}
}

// repeatAfter is how long the same problem is not logged again once it was logged.
const repeatAfter = time.Minute

// isThrottle tells whether a code is that of a stream that takes records, but not so many.
func isThrottle(code string) bool {
	return strings.Contains(code, "Throttling") || strings.Contains(code, "ThroughputExceeded") || strings.Contains(code, "LimitExceeded")
}

// health logs changes of state instead of one line a chunk.
type health struct {
	log    *slog.Logger
	stream string

	mu       sync.Mutex // guards all below
	bad      bool
	notified bool // a line about the problem was logged
	since    time.Time
	retries  int
	good     time.Time            // when records were last confirmed
	down     bool                 // since then a flush has ended, and not for the limits of the stream
	logged   map[string]time.Time // by kind, when its last line was
	warnings map[string]int       // by text, not logged yet
}

func newHealth(log *slog.Logger, stream string) *health {
	return &health{log: log, stream: stream, logged: map[string]time.Time{}, warnings: map[string]int{}}
}

// due tells whether a line of this kind may be logged now. The set of kinds is
// small: texts of this package, reasons and codes. mu is held.
func (h *health) due(kind string) bool {
	now := time.Now()
	if last, ok := h.logged[kind]; ok && now.Sub(last) < repeatAfter {
		return false
	}
	if len(h.logged) >= 64 {
		clear(h.logged)
	}
	h.logged[kind] = now
	return true
}

// problem notes that a chunk has to be retried.
func (h *health) problem(o outage) {
	h.mu.Lock()
	if !h.bad {
		h.bad, h.since, h.retries = true, time.Now(), 0
	}
	h.retries++
	switch {
	case isThrottle(o.code), o.reason == "capacity":
		h.down = false
	case o.reason != "not_accepted" && o.reason != "dead_letter": // these say nothing about the stream
		h.down = true
	}
	due := h.due(o.reason + "/" + o.code)
	h.notified = h.notified || due
	retries := h.retries
	h.mu.Unlock()
	if !due {
		return
	}
	args := []any{"stream", h.stream, "reason", o.reason}
	if o.code != "" {
		args = append(args, "code", o.code)
	}
	if o.detail != "" {
		args = append(args, "detail", o.detail)
	}
	r := o.remedy()
	args = append(args, "cause", r.Cause, "advice", r.Advice(remedy.Plugin, cmp.Or(o.action, putRecords)), "retries", retries)
	level := slog.LevelError
	if o.code == "ProvisionedThroughputExceededException" || o.reason == "not_accepted" || o.reason == "waiting" || o.reason == "capacity" {
		level = slog.LevelWarn
	}
	h.log.Log(context.Background(), level, "chunks are not confirmed and will be retried", args...)
}

// progress notes that records were confirmed.
func (h *health) progress() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.good, h.down = time.Now(), false
}

// isDown tells whether nothing was confirmed for a time, and why a flush has ended without
// that is not that the stream is at its limits.
func (h *health) isDown(since time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.down && time.Since(h.good) >= since
}

// forgettable tells whether there is nothing that later lines depend on.
func (h *health) forgettable() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.bad && len(h.warnings) == 0
}

// fine notes that Kinesis confirms records.
func (h *health) fine() {
	h.mu.Lock()
	was, since, retries := h.bad, h.since, h.retries
	due := was && h.notified
	h.bad, h.notified = false, false
	h.mu.Unlock()
	if due {
		h.log.Info("delivery works again", "stream", h.stream, "after", time.Since(since).Round(time.Second), "retries", retries)
	}
}

// loss logs that n events, or ends of chunks, were left out of a chunk, and how many were
// since the last such line.
func (h *health) loss(text string, n int, args ...any) {
	h.mu.Lock()
	due := h.due(text)
	suppressed := h.warnings[text]
	if due {
		delete(h.warnings, text)
	} else {
		h.warnings[text] += n
	}
	h.mu.Unlock()
	if !due {
		return
	}
	args = append([]any{"stream", h.stream}, args...)
	if suppressed > 0 {
		args = append(args, "not_logged_before", suppressed)
	}
	h.log.Error(text, args...)
}

// close logs what was suppressed.
func (h *health) close() {
	h.mu.Lock()
	rest := h.warnings
	h.warnings = map[string]int{}
	h.mu.Unlock()
	for _, text := range slices.Sorted(maps.Keys(rest)) {
		h.log.Warn(text, "stream", h.stream, "count", rest[text], "since", "the last such line")
	}
}

// warn logs n events of a kind, together with those suppressed before.
func (h *health) warn(text, hint string, n int) {
	if n == 0 {
		return
	}
	h.mu.Lock()
	h.warnings[text] += n
	n = h.warnings[text]
	due := h.due(text)
	if due {
		delete(h.warnings, text)
	}
	h.mu.Unlock()
	if due {
		h.log.Warn(text, "stream", h.stream, "count", n, "hint", hint)
	}
}
