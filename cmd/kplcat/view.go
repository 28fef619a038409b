// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/cmd/kplcat/internal/reader"
	"github.com/outkpl/outkpl/internal/event"
	"github.com/outkpl/outkpl/internal/kcl"
	"github.com/outkpl/outkpl/internal/plural"
)

// errLimit ends reading when --limit is reached.
var errLimit = errors.New("limit reached")

// aggregateMagic is how aggregates begin.
var aggregateMagic = []byte("\xf3\x89\x9a\xc2")

// record is a Kinesis record from a stream or a file.
type record struct {
	shard    reader.Shard // without an id if not known
	source   string       // file and line, for those
	sequence string
	arrival  time.Time // zero: not known
	key, ehk string
	data     []byte
}

// view shows or counts records. It is used from one goroutine.
type view struct {
	o     *options
	out   *bufio.Writer
	print printer // nil: JSON
	wait  *waiting
	line  []byte
	open  decompressor
	began time.Time

	stats  *statistics // with --stats, else nil
	copies *copies     // with --dedupe, else nil
	given  *given      // with --verify, else nil

	// For the summary.
	shown, records, users, aggregates, damaged int
	events                                     int // with --events
	misplaced                                  int // user records of misplacedAggregates
	misplacedAggregates, outOfRange, kclErrors int
	leftOut, leftOutUsers                      int // with --dedupe: Kinesis records, user records
	shards                                     map[string]struct{}
	latest                                     time.Time // arrival
}

func newView(o *options, stdout io.Writer, wait *waiting) (*view, error) {
	v := &view{o: o, out: bufio.NewWriterSize(wait.over(stdout), 64<<10), print: newPrinter(o, stdout), wait: wait, open: decompressor{mode: o.decompress, form: o.events}, began: time.Now(), shards: map[string]struct{}{}}
	if o.stats != "" {
		v.stats = newStatistics()
	}
	if o.dedupe {
		v.copies = newCopies(o.dedupeWindow)
	}
	return v, nil
}

// mark is what kplcat says about a user record besides its content.
type mark struct {
	aggregated, damaged bool
	// misplaced is set for all user records of an aggregate of which one is
	// outOfRange, since KCL drops it as a whole.
	misplaced, outOfRange bool
	// kclError is what KCL fails on in this aggregate.
	kclError string
}

// add takes a Kinesis record.
func (v *view) add(r record) error {
	users, aggregated := aggregation.Deaggregate(r.key, r.ehk, r.data)
	m := mark{aggregated: aggregated, damaged: !aggregated && bytes.HasPrefix(r.data, aggregateMagic)}
	read := readAsKCL(&r)
	// What the KCL drops does not stand for a later copy that it gets.
	if v.copies != nil && canTell(&r, users, aggregated) && v.copies.has(&r, !read.Dropped()) {
		v.leaveOut(&r, len(users))
		return nil
	}
	m.misplaced = read.Misplaced
	if read.Err != nil {
		m.kclError = read.Err.Error()
		v.kclErrors++
	}
	v.records++
	v.users += len(users)
	if m.damaged {
		v.damaged++
	}
	if m.misplaced {
		v.misplacedAggregates++
		v.misplaced += len(users)
	}
	if r.shard.ID != "" {
		v.shards[r.shard.ID] = struct{}{}
	}
	var counted *counts
	if v.stats != nil {
		counted = v.stats.record(r, len(users), m)
	}
	if aggregated {
		v.aggregates++
	}
	for i := range users {
		u := &users[i]
		m.outOfRange = i < len(read.OutOfRange) && read.OutOfRange[i]
		if m.outOfRange {
			v.outOfRange++
		}
		if v.stats != nil {
			events, unpacked := v.eventsOf(u.Data)
			v.stats.user(counted, u, m, events, unpacked)
			continue
		}
		if !v.o.wants(u.PartitionKey) || read.Dropped() && v.o.kcl {
			continue
		}
		if v.given != nil {
			v.verify(u.Data)
			continue
		}
		if err := v.show(&r, u, i, m); err != nil {
			return err
		}
	}
	if v.stats != nil && v.o.limit > 0 && v.users >= v.o.limit {
		return errLimit
	}
	return nil
}

// leaveOut counts a record that came before.
func (v *view) leaveOut(r *record, users int) {
	v.leftOut++
	v.leftOutUsers += users
	if v.stats != nil {
		v.stats.leaveOut(r, users)
	}
}

// readAsKCL returns what KCL makes of a Kinesis record. Without the range of the shard
// it can only be told what KCL drops in every shard.
func readAsKCL(r *record) kcl.Result {
	if r.shard.HasRange {
		return kcl.Read(r.data, r.shard.First, r.shard.Last)
	}
	return kcl.Read(r.data, aggregation.HashKey{}, aggregation.MaxHashKey)
}

// eventsOf returns the events of a payload, with --events, and its size before it was
// compressed.
func (v *view) eventsOf(data []byte) (events [][]byte, unpacked int) {
	if v.o.events == "" {
		return nil, 0
	}
	payload, _ := v.open.open(data)
	events, _ = v.open.events(payload)
	v.events += len(events)
	return events, len(payload)
}

// show writes a user record, if its payload is wanted, or each of its events.
func (v *view) show(r *record, u *aggregation.UserRecord, sub int, m mark) error {
	payload, format := v.open.open(u.Data)
	events, combined := v.open.events(payload)
	v.events += len(events)
	for i, event := range events {
		number := i
		if !combined {
			number = -1
		}
		if err := v.showPayload(r, u, sub, m, number, event, format); err != nil {
			return err
		}
	}
	return nil
}

// showPayload writes a payload, that of an event if number is not negative.
func (v *view) showPayload(r *record, u *aggregation.UserRecord, sub int, m mark, number int, payload []byte, format string) error {
	if v.o.grep != nil && !v.o.grep.Match(payload) {
		return nil
	}
	if v.o.raw {
		if _, err := v.out.Write(payload); err != nil {
			return err
		}
		if _, err := v.out.WriteString(v.o.delimiter); err != nil {
			return err
		}
		return v.count()
	}
	if v.print != nil {
		b, err := v.print(v.line[:0], &shown{r, u, sub, m, number, payload, format})
		if err != nil {
			return err
		}
		v.line = b
		if _, err := v.out.Write(b); err != nil {
			return err
		}
		return v.count()
	}
	b := append(v.line[:0], '{')
	b = field(b, "shard", r.shard.ID)
	b = field(b, "source", r.source)
	b = field(b, "sequence", r.sequence)
	if m.aggregated {
		b = appendInt(append(comma(b), `"subsequence":`...), int64(sub))
	}
	if number >= 0 {
		b = appendInt(append(comma(b), `"event":`...), int64(number))
	}
	if !r.arrival.IsZero() {
		b = field(b, "arrival", r.arrival.UTC().Format(timeForm))
	}
	if utf8.ValidString(u.PartitionKey) {
		b = appendString(append(comma(b), `"key":`...), u.PartitionKey)
	} else {
		b = field(b, "key_base64", base64.StdEncoding.EncodeToString([]byte(u.PartitionKey)))
	}
	b = field(b, "explicit_hash_key", u.ExplicitHashKey)
	b = strconv.AppendBool(append(b, `,"aggregated":`...), m.aggregated)
	if m.misplaced {
		b = append(b, `,"misplaced":true`...)
	}
	if m.outOfRange {
		b = append(b, `,"out_of_range":true`...)
	}
	b = field(b, "kcl_error", m.kclError)
	if m.damaged {
		b = append(b, `,"damaged_aggregate":true`...)
	}
	if len(u.Tags) > 0 {
		b = appendTags(b, u.Tags)
	}
	b = field(b, "compression", format)
	b = appendPayload(b, v.o.data, payload)
	v.line = append(b, '}', '\n')
	if _, err := v.out.Write(v.line); err != nil {
		return err
	}
	return v.count()
}

func (v *view) count() error {
	if v.shown++; v.shown == v.o.limit {
		return errLimit
	}
	return nil
}

// flush hands on what was written, before a wait.
func (v *view) flush() error { return v.out.Flush() }

// finish writes the last table and the rest of the output.
func (v *view) finish() error {
	if v.stats != nil {
		if err := v.stats.print(v.out, v.o); err != nil {
			return err
		}
	}
	if v.given != nil {
		if err := v.given.print(v.out, v.o.json); err != nil {
			return err
		}
	}
	return v.out.Flush()
}

// summary says in one line what was read, and what deserves a second look.
func (v *view) summary(w io.Writer) {
	s := fmt.Sprintf("%s in %s", plural.Count(v.users, "user record"), plural.Count(v.records, "Kinesis record"))
	all := v.users // what could be shown
	if v.o.events != "" {
		s = plural.Count(v.events, "event") + " in " + s
		all = v.events
	}
	if n := len(v.shards); n > 0 {
		s += " of " + plural.Count(n, "shard")
	}
	s += ", " + plural.Count(v.aggregates, "aggregate")
	if v.stats == nil && v.given == nil && v.shown != all {
		s += fmt.Sprintf("; %d shown", v.shown)
	}
	if v.leftOut > 0 {
		s += fmt.Sprintf("; %s with %s left out, which came before", plural.Count(v.leftOut, "Kinesis record"), plural.Count(v.leftOutUsers, "user record"))
	}
	if v.misplacedAggregates > 0 {
		s += fmt.Sprintf("; KCL consumers drop %s with %s, %d of them out of range",
			plural.Count(v.misplacedAggregates, "aggregate"), plural.Count(v.misplaced, "user record"), v.outOfRange)
	}
	if v.kclErrors > 0 {
		s += fmt.Sprintf("; KCL consumers fail on %s", plural.Count(v.kclErrors, "aggregate"))
	}
	if v.damaged > 0 {
		s += fmt.Sprintf("; %s damaged", plural.Count(v.damaged, "aggregate"))
	}
	if v.open.failed > 0 {
		s += fmt.Sprintf("; %s not decompressed", plural.Count(v.open.failed, "payload"))
	}
	fmt.Fprintln(w, "kplcat: "+s)
}

// field appends a string field, unless it is empty.
func field(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(append(comma(b), '"'), name...), `":`...)
	return appendString(b, value)
}

// comma appends a comma, except after an opening brace.
func comma(b []byte) []byte {
	if b[len(b)-1] == '{' {
		return b
	}
	return append(b, ',')
}

// appendString appends a JSON string.
func appendString(b []byte, s string) []byte { return event.AppendQuoted(b, []byte(s)) }

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

// appendTags appends the tags of a user record, which may repeat.
func appendTags(b []byte, tags []aggregation.Tag) []byte {
	b = append(b, `,"tags":[`...)
	for i, t := range tags {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"key":`...), t.Key)
		b = append(appendString(append(b, `,"value":`...), t.Value), '}')
	}
	return append(b, ']')
}
