// SPDX-License-Identifier: Apache-2.0

package status

import (
	"strings"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core"
)

func TestPageSaysFirstWhatIsWrongAndWhatToDo(t *testing.T) {
	full := core.ShardSnapshot{ID: "shardId-000000000000", InUse: 1, Share: 1, QueuedRecords: 3, QueuedBytes: 1 << 20, Backlog: 12 * time.Second}
	for _, tc := range []struct {
		name                      string
		stream                    core.StreamSnapshot
		server                    Server
		level, code, text, advice string
	}{
		{name: "all is well", stream: core.StreamSnapshot{Stream: "logs"}},
		{
			name: "a code", stream: core.StreamSnapshot{Stream: "logs", LastError: "KMSAccessDeniedException", LastDetail: "no"},
			level: "error", code: "KMSAccessDeniedException", text: "the KMS key of the stream may not be used: no", advice: "allow kms:GenerateDataKey",
		},
		{
			name: "no answer", stream: core.StreamSnapshot{Stream: "logs", LastError: "RequestFailed", LastDetail: "dial tcp: x509: certificate signed by unknown authority"},
			level: "error", code: "RequestFailed", text: "an authority that is not known", advice: "set aws.ca_file",
		},
		{
			name: "no list of shards", stream: core.StreamSnapshot{Stream: "logs", MapAge: -1, ListError: "AccessDeniedException", ListDetail: "no"},
			level: "error", code: "AccessDeniedException", text: "a permission is missing: no", advice: "allow kinesis:ListShards",
		},
		{name: "the list cannot be fetched again", stream: core.StreamSnapshot{Stream: "logs", MapAge: time.Minute, ListError: "AccessDeniedException"}},
		{
			name: "no room", stream: core.StreamSnapshot{Stream: "logs", InUse: 1, Backlog: 12 * time.Second, ShardsNeeded: 3, Shards: []core.ShardSnapshot{full}},
			level: "warn", code: "capacity", text: "1 of 1 shard has no room, what waits takes 12s; 3 shards would do", advice: "add shards",
		},
		{
			name: "late", stream: core.StreamSnapshot{Stream: "logs", OldestRecordAge: time.Minute},
			level: "warn", code: "late", text: "waiting for 1m0s", advice: "warnings below",
		},
		{
			name: "4xx", server: Server{Requests: map[string]uint64{"422": 7, "503": 9}, Rejected: map[string]uint64{"malformed": 5, "poison": 2, "ack_timeout": 9}},
			level: "error", code: "4xx", text: "7 requests were answered with 4xx in the last two minutes, mostly malformed", advice: "route.malformed",
		},
		{
			name: "dropped", server: Server{Dropped: map[string]uint64{"too_large": 4}},
			level: "error", code: "dropped", text: "4 events were dropped", advice: "dead_letter",
		},
		{
			name: "one dropped", server: Server{Dropped: map[string]uint64{"too_large": 1}},
			level: "error", code: "dropped", text: "1 event was dropped", advice: "dead_letter",
		},
		{name: "journal", server: Server{Journal: Journal{On: true, Failed: true}}, level: "warn", code: "journal", text: "the journal cannot be written", advice: "journal.dir"},
		{name: "memory", server: Server{Memory: Memory{Used: 100, Limit: 100}}, level: "warn", code: "memory", text: "all of limits.memory", advice: "raise limits.memory"},
		{name: "connections", server: Server{Connections: 5, MaxConnections: 5}, level: "warn", code: "connections", text: "all connections are taken", advice: "server.max_connections"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
			server := Server{}
			p := New(Config{
				Producer: &fakeProducer{snapshot: core.Snapshot{Streams: []core.StreamSnapshot{tc.stream}}},
				Server:   func() Server { return server }, Now: func() time.Time { return now },
				Region: "eu-west-1", Endpoint: "https://kinesis.eu-west-1.amazonaws.com", Host: "node-1",
			})
			p.sample()
			server, now = tc.server, now.Add(time.Second)
			p.sample()
			d := ask(t, p)
			if d.Region != "eu-west-1" || d.Endpoint == "" || d.Host != "node-1" {
				t.Errorf("unexpected head; got %q %q %q", d.Region, d.Endpoint, d.Host)
			}
			if tc.code == "" {
				if len(d.Problems) != 0 {
					t.Errorf("unexpected problems; got %+v; want none", d.Problems)
				}
				return
			}
			if len(d.Problems) != 1 {
				t.Fatalf("unexpected problems; got %+v; want one", d.Problems)
			}
			got := d.Problems[0]
			if got.Level != tc.level || got.Code != tc.code || !strings.Contains(got.Text, tc.text) || !strings.Contains(got.Advice, tc.advice) {
				t.Errorf("unexpected problem; got %+v; want %s %s with %q and %q", got, tc.level, tc.code, tc.text, tc.advice)
			}
		})
	}
}

// What costs events comes before what only makes them late.
func TestWorstProblemComesFirst(t *testing.T) {
	now := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC)
	p := New(Config{
		Producer: &fakeProducer{snapshot: core.Snapshot{Streams: []core.StreamSnapshot{{Stream: "a", OldestRecordAge: time.Hour}, {Stream: "b", LastError: "AccessDeniedException"}}}},
		Server:   func() Server { return Server{Memory: Memory{Used: 1, Limit: 1}} }, Now: func() time.Time { return now },
	})
	got := ""
	for _, one := range ask(t, p).Problems {
		got += one.Level + " " + one.Stream + one.Code + ", "
	}
	if want := "error bAccessDeniedException, warn alate, warn memory, "; got != want {
		t.Errorf("unexpected order; got %s; want %s", got, want)
	}
}

// Answers of 4xx are a curve of their own, since shippers drop their bodies.
func TestRefusedRequestsHaveACurve(t *testing.T) {
	now, server := time.Date(2026, 11, 29, 10, 0, 0, 0, time.UTC), Server{}
	p := New(Config{Producer: &fakeProducer{}, Server: func() Server { return server }, Now: func() time.Time { return now }})
	p.sample()
	server, now = Server{Requests: map[string]uint64{"200": 9, "401": 2, "422": 4, "503": 3}}, now.Add(2*time.Second)
	p.sample()
	if h := ask(t, p).History; len(h.Refused) != 1 || h.Refused[0] != 3 || h.Unavailable[0] != 1.5 {
		t.Errorf("unexpected history; got %+v; want 3 refused and 1.5 unavailable a second", h)
	}
}
