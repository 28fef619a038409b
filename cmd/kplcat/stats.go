// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/outkpl/outkpl/aggregation"
	"github.com/outkpl/outkpl/internal/cost"
)

// maxKeys bounds the keys that are told apart, over all shards; above it, counts
// of keys are lower bounds.
const maxKeys = 1 << 20

// counts are what --stats prints of a shard, or of all. The JSON names are those
// of --stats=json.
type counts struct {
	Shard string `json:"shard,omitempty"`
	// KinesisRecords, UserRecords and Aggregates count what was read.
	KinesisRecords int64 `json:"kinesis_records"`
	UserRecords    int64 `json:"user_records"`
	Aggregates     int64 `json:"aggregates"`
	// UserRecordsPerAggregate is the mean, 0 without aggregates.
	UserRecordsPerAggregate float64 `json:"user_records_per_aggregate"`
	// Bytes are the data and the partition keys of the Kinesis records;
	// PayloadBytes the data of the user records.
	Bytes        int64 `json:"bytes"`
	PayloadBytes int64 `json:"payload_bytes"`
	// PutPayloadUnits are what the Kinesis records cost on a provisioned stream,
	// SinglePutPayloadUnits what the user records, or with --events their events, would
	// have cost one by one.
	PutPayloadUnits       int64   `json:"put_payload_units"`
	SinglePutPayloadUnits int64   `json:"single_put_payload_units"`
	SavedRatio            float64 `json:"saved_ratio"`
	// Events are the events of the user records, with --events, and UnpackedBytes what the
	// user records have before compression.
	Events        int64 `json:"events,omitempty"`
	UnpackedBytes int64 `json:"unpacked_bytes,omitempty"`
	// USDProvisioned is the price of the units, USDOnDemand that of the bytes on an
	// on-demand stream, both without the hours of shards or of the stream.
	USDProvisioned float64 `json:"usd_provisioned"`
	USDOnDemand    float64 `json:"usd_on_demand"`
	// MisplacedAggregates are those that KCL consumers drop because a user record is
	// out of the range of the shard, Misplaced all user records in them, OutOfRange
	// those that are themselves out of range.
	MisplacedAggregates int64 `json:"misplaced_aggregates"`
	Misplaced           int64 `json:"misplaced"`
	OutOfRange          int64 `json:"out_of_range"`
	// KCLErrors counts aggregates that KCL fails on.
	KCLErrors         int64 `json:"kcl_errors"`
	DamagedAggregates int64 `json:"damaged_aggregates"`
	// LeftOutRecords are the Kinesis records that --dedupe left out, LeftOutUserRecords the
	// user records in them. Nothing else counts them.
	LeftOutRecords     int64 `json:"left_out_records,omitempty"`
	LeftOutUserRecords int64 `json:"left_out_user_records,omitempty"`
	// Keys counts different partition keys of user records. It is a lower bound if
	// KeysBounded is set.
	Keys        int        `json:"keys"`
	KeysBounded bool       `json:"keys_bounded,omitempty"`
	First       *time.Time `json:"first_arrival,omitempty"`
	Last        *time.Time `json:"last_arrival,omitempty"`

	inAggregates int64
	billed       int64 // bytes on demand: each record in whole KiB
	keys         map[uint64]struct{}
}

// statistics counts per shard.
type statistics struct {
	seed   maphash.Seed
	shards map[string]*counts
	total  counts
	seen   int // keys in all sets
}

func newStatistics() *statistics {
	return &statistics{seed: maphash.MakeSeed(), shards: map[string]*counts{}, total: counts{keys: map[uint64]struct{}{}}}
}

// of returns the counts of the shard of a Kinesis record.
func (s *statistics) of(r *record) *counts {
	id := cmp.Or(r.shard.ID, "-")
	c := s.shards[id]
	if c == nil {
		c = &counts{Shard: id, keys: map[uint64]struct{}{}}
		s.shards[id] = c
	}
	return c
}

// leaveOut counts a Kinesis record that is not shown because it came before.
func (s *statistics) leaveOut(r *record, users int) {
	for _, c := range []*counts{s.of(r), &s.total} {
		c.LeftOutRecords++
		c.LeftOutUserRecords += int64(users)
	}
}

// record counts a Kinesis record and returns the counts of its shard.
func (s *statistics) record(r record, users int, m mark) *counts {
	c := s.of(&r)
	for _, c := range []*counts{c, &s.total} {
		n := len(r.data) + len(r.key)
		c.KinesisRecords++
		c.UserRecords += int64(users)
		c.Bytes += int64(n)
		c.PutPayloadUnits += cost.Units(n)
		c.billed += cost.BilledBytes(n)
		if m.aggregated {
			c.Aggregates++
			c.inAggregates += int64(users)
		}
		if m.misplaced {
			c.MisplacedAggregates++
		}
		if m.kclError != "" {
			c.KCLErrors++
		}
		if m.damaged {
			c.DamagedAggregates++
		}
		if at := r.arrival.UTC(); !r.arrival.IsZero() {
			if c.First == nil || at.Before(*c.First) {
				c.First = &at
			}
			if c.Last == nil || at.After(*c.Last) {
				c.Last = &at
			}
		}
	}
	return c
}

// user counts a user record. events are nil without --events; unpacked is their size
// before compression.
func (s *statistics) user(shard *counts, u *aggregation.UserRecord, m mark, events [][]byte, unpacked int) {
	key := maphash.String(s.seed, u.PartitionKey)
	for _, c := range []*counts{shard, &s.total} {
		c.PayloadBytes += int64(len(u.Data))
		if events == nil {
			c.SinglePutPayloadUnits += cost.Units(len(u.Data) + len(u.PartitionKey))
		} else {
			c.Events += int64(len(events))
			c.UnpackedBytes += int64(unpacked)
		}
		for _, e := range events {
			c.SinglePutPayloadUnits += cost.Units(len(e) + len(u.PartitionKey))
		}
		if m.misplaced {
			c.Misplaced++
		}
		if m.outOfRange {
			c.OutOfRange++
		}
		if _, known := c.keys[key]; known {
			continue
		}
		if s.seen == maxKeys {
			c.KeysBounded = true
			continue
		}
		c.keys[key] = struct{}{}
		s.seen++
	}
}

// close computes what follows from the counts.
func (c *counts) close() counts {
	c.Keys = len(c.keys)
	c.USDProvisioned = cost.ProvisionedUSD(c.PutPayloadUnits)
	c.USDOnDemand = cost.OnDemandUSD(c.billed)
	if c.Aggregates > 0 {
		c.UserRecordsPerAggregate = float64(c.inAggregates) / float64(c.Aggregates)
	}
	if c.SinglePutPayloadUnits > 0 {
		c.SavedRatio = 1 - float64(c.PutPayloadUnits)/float64(c.SinglePutPayloadUnits)
	}
	return *c
}

// print writes the counts so far.
func (s *statistics) print(w io.Writer, o *options) error {
	rows := make([]counts, 0, len(s.shards))
	for _, id := range slices.Sorted(maps.Keys(s.shards)) {
		rows = append(rows, s.shards[id].close())
	}
	total := s.total.close()
	if o.stats == "json" {
		return json.NewEncoder(w).Encode(struct {
			Stream string   `json:"stream,omitempty"`
			Shards []counts `json:"shards"`
			Total  counts   `json:"total"`
		}{cmp.Or(o.arn, o.stream), rows, total})
	}
	total.Shard = "total"
	return printTable(w, append(rows, total), o)
}

// printTable writes one line for each shard. Everything but the first column is
// aligned right.
func printTable(w io.Writer, rows []counts, o *options) error {
	cells := [][]string{{"shard", "kinesis", "user", "aggregates", "user/agg", "bytes", "units", "single", "saved", "misplaced-agg", "misplaced", "out-of-range", "kcl-errors", "damaged", "keys", "first", "last"}}
	for i := range rows {
		cells = append(cells, rows[i].cells())
	}
	if o.dedupe {
		cells[0] = append(cells[0], "left-out", "left-out-user")
		for i := range rows {
			cells[i+1] = append(cells[i+1], strconv.FormatInt(rows[i].LeftOutRecords, 10), strconv.FormatInt(rows[i].LeftOutUserRecords, 10))
		}
	}
	if o.events != "" {
		cells[0] = append(cells[0], "events", "unpacked", "usd", "usd-on-demand")
		for i := range rows {
			c := &rows[i]
			cells[i+1] = append(cells[i+1], strconv.FormatInt(c.Events, 10), strconv.FormatInt(c.UnpackedBytes, 10),
				strconv.FormatFloat(c.USDProvisioned, 'g', 3, 64), strconv.FormatFloat(c.USDOnDemand, 'g', 3, 64))
		}
	}
	width := make([]int, len(cells[0]))
	for _, row := range cells {
		for i, c := range row {
			width[i] = max(width[i], len(c))
		}
	}
	var b strings.Builder
	for _, row := range cells {
		for i, c := range row {
			if i == 0 {
				fmt.Fprintf(&b, "%-*s", width[i], c)
			} else {
				fmt.Fprintf(&b, "  %*s", width[i], c)
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c *counts) cells() []string {
	mean, saved := "-", "-"
	if c.Aggregates > 0 {
		mean = strconv.FormatFloat(c.UserRecordsPerAggregate, 'f', 1, 64)
	}
	if c.SinglePutPayloadUnits > 0 {
		saved = strconv.FormatFloat(100*c.SavedRatio, 'f', 1, 64) + "%"
	}
	keys := strconv.Itoa(c.Keys)
	if c.KeysBounded {
		keys += "+"
	}
	n := func(i int64) string { return strconv.FormatInt(i, 10) }
	at := func(t *time.Time) string {
		if t == nil {
			return "-"
		}
		return t.Format("2006-01-02T15:04:05Z")
	}
	return []string{
		c.Shard, n(c.KinesisRecords), n(c.UserRecords), n(c.Aggregates), mean, n(c.Bytes), n(c.PutPayloadUnits),
		n(c.SinglePutPayloadUnits), saved, n(c.MisplacedAggregates), n(c.Misplaced), n(c.OutOfRange), n(c.KCLErrors), n(c.DamagedAggregates), keys, at(c.First), at(c.Last),
	}
}
