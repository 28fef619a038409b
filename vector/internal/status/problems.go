// SPDX-License-Identifier: Apache-2.0

package status

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/internal/plural"
	"github.com/outkpl/outkpl/internal/remedy"
)

// Problem is something that is wrong at this moment, or has cost events in the last two
// minutes.
type Problem struct {
	// Level is "error" where events do not get through or are lost, otherwise "warn".
	Level string `json:"level"`
	// Stream is the stream in question, empty for what concerns all.
	Stream string `json:"stream,omitempty"`
	// Code is an error code, or a word of this page.
	Code string `json:"code"`
	Text string `json:"text"`
	// Advice says what to do, in the options of the program.
	Advice string `json:"advice"`
}

const (
	// noRoom is the share of its limit in use from which a shard has no room.
	noRoom = 0.9
	// lateAfter is how long a record may wait before it is worth a word.
	lateAfter = 30 * time.Second
	// scarce is the part of a bound from which there is little left.
	scarce = 0.95
)

// refusals is what to do about answers of 4xx, by their reason. Answers with other reasons
// are those that clients send again for.
var refusals = map[string]string{
	"unauthorized":     "give the client a token or certificate that kpl-http knows (auth, tls.client_ca_file)",
	"method":           "set the client to POST",
	"path":             "correct the path in the client: / or /streams/NAME, for OTLP /v1/logs",
	"stream_missing":   "set route.stream, or let the client name a stream: /streams/NAME",
	"stream_forbidden": "name the stream in route.streams, or correct that of the client",
	"streams":          "raise producer.max_streams, or let clients name fewer streams",
	"key_override":     "correct the partition key in the header or query of the client",
	"unsupported":      "set the client to a format, charset and compression of docs/http.md",
	"too_large":        "lower the batch size of the client, or raise limits.body_max_size and limits.wire_max_size",
	"malformed":        "look at what the client sends; route.malformed says what becomes of single events",
	"poison":           "set the policy of the route from reject to dead_letter or drop (route.oversize, route.malformed, route.partition_key_missing)",
}

// problems lists what is wrong, the worst first. Called with the lock held.
func (p *Page) problems(d *Document, streams []core.StreamSnapshot) []Problem {
	list := []Problem{}
	add := func(level, stream, code, text, advice string) {
		list = append(list, Problem{Level: level, Stream: stream, Code: code, Text: text, Advice: advice})
	}
	for i := range streams {
		s := &streams[i]
		fails := func(code, detail, action string) {
			r := remedy.Find(code, detail, nil)
			text := r.Cause
			if detail != "" {
				text += ": " + detail
			}
			add("error", s.Stream, code, text, r.Advice(p.cfg.Names, action))
		}
		switch {
		case s.LastError != "":
			fails(s.LastError, s.LastDetail, "kinesis:PutRecords")
		case s.MapAge < 0 && s.ListError != "":
			fails(s.ListError, s.ListDetail, "kinesis:ListShards")
		case s.InUse >= noRoom && s.Backlog >= time.Second:
			full := 0
			for j := range s.Shards {
				if s.Shards[j].InUse >= noRoom {
					full++
				}
			}
			r := remedy.Of(remedy.Capacity)
			add("warn", s.Stream, "capacity", fmt.Sprintf("%d of %s %s no room, what waits takes %v; %s would do",
				full, plural.Count(len(s.Shards), "shard"), plural.Verb(full, "has", "have"), s.Backlog.Round(100*time.Millisecond), plural.Count(s.ShardsNeeded, "shard")), r.Advice(p.cfg.Names, ""))
		case s.OldestRecordAge >= lateAfter:
			add("warn", s.Stream, "late", fmt.Sprintf("a record has been waiting for %v", s.OldestRecordAge.Round(time.Second)), "the warnings below say what Kinesis lacks")
		}
	}
	if lost := p.recently(func(s *sample) uint64 { return s.dropped }); lost > 0 {
		add("error", "", "dropped", plural.Count(lost, "event")+plural.Verb(lost, " was", " were")+" dropped in the last two minutes", "set the policy of the reason below to dead_letter, such as route.oversize, to keep them")
	}
	if refused := p.recently(func(s *sample) uint64 { return s.refused }); refused > 0 {
		reason := mostRefused(d.Server.Rejected)
		add("error", "", "4xx", fmt.Sprintf("%s %s answered with 4xx in the last two minutes, mostly %s; shippers drop such bodies",
			plural.Count(refused, "request"), plural.Verb(refused, "was", "were"), cmp.Or(reason, "of unknown reason")),
			cmp.Or(refusals[reason], "set the client as docs/vector.md says"))
	}
	if j := d.Server.Journal; j.On && j.Failed {
		r := remedy.Of(remedy.JournalFailed)
		add("warn", "", "journal", r.Cause, r.Advice(p.cfg.Names, ""))
	}
	if m := d.Server.Memory; m.Limit > 0 && float64(m.Used) > scarce*float64(m.Limit) {
		add("warn", "", "memory", "bodies take all of limits.memory; further requests are answered with 503", "raise limits.memory, add replicas, or see why Kinesis is slow")
	}
	if d.Server.MaxConnections > 0 && d.Server.Connections >= d.Server.MaxConnections {
		add("warn", "", "connections", "all connections are taken; further clients wait", "raise server.max_connections, or lower server.idle_timeout")
	}
	slices.SortStableFunc(list, func(a, b Problem) int { return cmp.Compare(a.Level, b.Level) }) // error before warn
	return list
}

// mostRefused is the reason of most answers of 4xx.
func mostRefused(rejected map[string]uint64) (reason string) {
	for _, r := range slices.Sorted(maps.Keys(rejected)) {
		if refusals[r] != "" && (reason == "" || rejected[r] > rejected[reason]) {
			reason = r
		}
	}
	return reason
}

// recently returns how much a count has grown in the time of the samples.
func (p *Page) recently(of func(*sample) uint64) uint64 {
	if len(p.past) < 2 {
		return 0
	}
	first, last := of(&p.past[0]), of(&p.past[len(p.past)-1])
	if last < first {
		return 0
	}
	return last - first
}
