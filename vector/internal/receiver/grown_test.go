// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// A shipper whose batch is not full puts what came in the meantime behind it and sends all
// of it again. With a Kinesis that is slower than route.ack_timeout that happens each time,
// and each event is written once all the same.
func TestBatchesThatGrowAreWrittenOnce(t *testing.T) {
	const n = 150
	same := func(b []byte) []byte { return b }
	for _, sh := range []shipper{
		syslogNG("lines", "", "\n", "", same),
		syslogNG("lines, newline at the end", "", "\n", "\n", same, "Content-Type", "text/plain"),
		syslogNG("NDJSON", "", "\n", "\n", same, "Content-Type", "application/x-ndjson"),
		syslogNG("array", "[", ",", "]", same, "Content-Type", "application/json"),
		syslogNG("array that breaks lines", "[\n", ",\n", "\n]", same),
		syslogNG("lines gzip", "", "\n", "", gzipped, "Content-Encoding", "gzip"),
		syslogNG("array zstd", "[", ",", "]", zstded, "Content-Encoding", "zstd"),
		{name: "chunks of Fluent Bit", path: "/", header: []string{"Content-Type", "application/msgpack"}, body: chunk, grows: 3, react: syslogNGReaction},
		{name: "OTLP", path: otlpPath, header: []string{"Content-Type", "application/x-protobuf"}, body: otlpRequest, grows: 3, react: syslogNGReaction},
	} {
		for _, tr := range []disruption{
			{name: "slow", begin: fault(kinesistest.Fault{Effect: kinesistest.Delay(5 * time.Second)})},
			{name: "slow and throttled", flags: []string{"--producer.fail_if_throttled=true"}, begin: fault(kinesistest.Fault{
				Effect: kinesistest.Effect{Delay: 3 * time.Second, EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.3},
			})},
		} {
			t.Run(sh.name+"/"+tr.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, append(tr.flags, "--route.ack_timeout=2s", "--producer.request_timeout=1m")...)
					defer r.stop()
					end := tr.begin(r)
					sh.timeout, sh.wait = time.Minute, exponential(time.Second, time.Second)
					timer := time.AfterFunc(3*time.Minute, end)
					defer timer.Stop()
					if out := sh.send(t.Context(), r, 0, n); out.delivered != n || out.dropped != 0 {
						t.Errorf("unexpected end; got %+v; want %d delivered", out, n)
					}
					r.account("logs", n, 0)
					synctest.Wait()
					if st := r.server.Stats(); st.Ledger.Entries != 0 || st.BudgetUsed != 0 || st.Resumed == 0 {
						t.Errorf("unexpected state; got %d entries, %d bytes, %d resumed; want none of the first two, some of the last", st.Ledger.Entries, st.BudgetUsed, st.Resumed)
					}
				})
			})
		}
	}
}

// What only looks as if it had grown is written whole: a copy too many is better than an
// event too few.
func TestBodiesThatMerelyBeginAlikeAreWrittenWhole(t *testing.T) {
	const agent, forwarded = "User-Agent", "X-Forwarded-For"
	for _, c := range []struct {
		name          string
		flags         []string
		first, second string
		header        [2][]string
		address       string // of the second; default: the same
		known         bool   // as the continuation of the first
	}{
		{name: "grown", first: "a 1", second: "a 1\nb", known: true},
		{name: "grown, on another connection", first: "a 1", second: "a 1\nb", address: "10.0.0.1:2000", known: true},
		{name: "another client", first: "a 1", second: "a 1\nb", address: "10.0.0.2:1000"},
		{
			name: "another client through the same proxy", first: "a 1", second: "a 1\nb",
			header: [2][]string{{forwarded, "192.0.2.1"}, {forwarded, "192.0.2.2"}},
		},
		{
			name: "another program at the same address", first: "a 1", second: "a 1\nb",
			header: [2][]string{{agent, "curl/8"}, {agent, "syslog-ng"}},
		},
		{name: "addresses that say nothing", flags: []string{"--ledger.client=any"}, first: "a 1", second: "a 1\nb"},
		{name: "words without time or counter", first: "alive", second: "alive\nb"},
		{name: "a line that goes on", first: "a 1", second: "a 12\nb"},
		{name: "a value that goes on", first: `{"n":1}`, second: `{"n":12}`},
		{name: "a number that goes on", first: `[1,2`, second: `[1,23`},
		{name: "another key", first: "a 1", second: "a 1\nb", header: [2][]string{{HeaderKey, "k"}, {HeaderKey, "other"}}},
		{
			name: "another key of the same text", flags: []string{"--route.log_key=m", "--route.partition_key=k"},
			first: `{"m":"a 1","k":"x"}`, second: `{"m":"a 1","k":"y"}` + "\n" + `{"m":"b","k":"y"}`,
		},
		{name: "another form", first: "[1,\n2]", second: "[1,\n2]\nb", header: [2][]string{{"Content-Type", "application/json"}, {"Content-Type", "text/plain"}}},
		{name: "fewer events", first: "a 1\nb", second: "a 1"},
		{name: "other events first", first: "a 1", second: "b\na 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, c.flags...)
				defer r.stop()
				for i := range c.header {
					c.header[i] = append(c.header[i], "X-Unused", "")
				}
				r.parked([]byte(c.first), c.header[0]...)
				before := len(r.kinesis.Consume("logs").Records)
				address := c.address
				if address == "" {
					address = "10.0.0.1:1000"
				}
				if got := r.from(t.Context(), address, []byte(c.second), c.header[1]...); got != 200 {
					t.Errorf("unexpected answer; got %d; want 200", got)
				}
				want := len(strings.Split(c.second, "\n"))
				if c.known {
					want -= before
				}
				if got := len(r.kinesis.Consume("logs").Records) - before; got != want {
					t.Errorf("unexpected records; got %d more; want %d", got, want)
				}
			})
		})
	}
}

// Events that are left out or kept as dead letters are so once, however a body grows
// around them, and where they stand belongs to what a body begins with.
func TestDeadLettersOfABodyThatGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r := poisonRig(t, m, 1<<20, "--dead_letter.stream=unused", "--route.partition_key=user->id", "--route.partition_key_missing=dead_letter",
			"--route.too_large=drop", "--route.record_max_size=2KiB", "--producer.fail_if_throttled=true", "--route.ack_timeout=2s")
		defer r.stop()
		noKey := func(i string) string { return `{"n":` + i + `}` + "\n" }
		body := eventText(0) + "\n" + noKey("1") + largeEvent(2, 4<<10) + "\n" + eventText(3) + "\n"
		fails := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.FailEntries("ProvisionedThroughputExceededException", "")})
		r.post(t.Context(), "/", []byte(body)).want(t, 503, "throttled")
		body += noKey("4") + eventText(5) + "\n" + largeEvent(6, 4<<10) + "\n"
		r.post(t.Context(), "/", []byte(body)).want(t, 503, "throttled")
		fails.Remove()
		body += noKey("7") + eventText(8) + "\n"
		r.post(t.Context(), "/", []byte(body)).want(t, 200, `{"events":9,"dropped":2,"dead_lettered":3}`)
		got := map[int]int{}
		for _, l := range m.deadLetters {
			got[numberOf(t, l.Data)]++
		}
		if len(m.deadLetters) != 3 || got[1] != 1 || got[4] != 1 || got[7] != 1 {
			t.Errorf("unexpected dead letters; got %v; want 1, 4 and 7 once each", got)
		}
		stored := r.stored("logs")
		if len(stored) != 4 || stored[0] != 1 || stored[3] != 1 || stored[5] != 1 || stored[8] != 1 {
			t.Errorf("unexpected records; got %v; want 0, 3, 5 and 8 once each", stored)
		}
		if st := r.server.Stats(); st.Dropped[PoisonTooLarge] != 2 {
			t.Errorf("unexpected counts; got %d dropped; want 2", st.Dropped[PoisonTooLarge])
		}
	})
}

// Nothing but a dead letter has come behind a body that has a record to put before all others.
func TestDeadLetterThatComesBehindALargeRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r := poisonRig(t, m, 2<<20, "--dead_letter.stream=unused", "--route.partition_key=user->id", "--route.partition_key_missing=dead_letter",
			"--route.too_large=reject", "--route.ack_timeout=4s")
		defer r.stop()
		r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Delay(6 * time.Second)})
		body := largeEvent(0, 1<<20) + "\n"
		r.post(t.Context(), "/", []byte(body)).want(t, 503, "ack_timeout")
		r.post(t.Context(), "/", []byte(body+`{"n":1}`)).want(t, 200, `{"events":2,"dead_lettered":1}`)
		r.account("logs", 1, 0)
	})
}

// A body that has nothing but dead letters may grow to one with records.
func TestDeadLettersThatRecordsComeBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &hanging{}
		r := poisonRig(t, m, 1<<20, "--dead_letter.stream=unused", "--route.partition_key=user->id", "--route.partition_key_missing=dead_letter",
			"--route.ack_timeout=2s", "--server.drain_timeout=10s")
		r.post(t.Context(), "/", []byte(`{"n":0}`)).want(t, 503, "ack_timeout")
		r.post(t.Context(), "/", []byte(`{"n":0}`+"\n"+eventText(1))).want(t, 503, "ack_timeout")
		if got := r.stored("logs"); len(got) != 1 || got[1] != 1 {
			t.Errorf("unexpected records; got %v; want 1 once", got)
		}
		_ = r.server.Shutdown(t.Context())
		r.client.CloseIdleConnections()
	})
}

// What an earlier request could not bring to its end is resent with the rest, and
// the rest does not wait for it.
func TestFailuresOfABodyThatHasGrown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--route.ack_timeout=2s", "--producer.fail_if_throttled=true", "--producer.request_timeout=1m")
		defer r.stop()
		hold := make(chan struct{})
		first := kinesistest.FailEntries("ProvisionedThroughputExceededException", "")
		first.Hold = hold
		r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: first})
		r.post(t.Context(), "/", ndjson(0, 1)).want(t, 503, "ack_timeout")
		r.post(t.Context(), "/", ndjson(0, 3)).want(t, 503, "ack_timeout")
		if got := r.stored("logs"); len(got) != 2 || got[1] != 1 || got[2] != 1 {
			t.Errorf("unexpected records; got %v; want the rest", got)
		}
		r.post(t.Context(), "/", ndjson(0, 4)).want(t, 503, "ack_timeout")
		close(hold)
		r.post(t.Context(), "/", ndjson(0, 5)).want(t, 200, `{"events":5}`)
		r.account("logs", 5, 0)
		if st := r.server.Stats(); st.EventsSaved != 0+1+3+3 && st.EventsSaved != 0+1+3+4 {
			t.Errorf("unexpected count; got %d events saved; want those under way or stored at each resend", st.EventsSaved)
		}
	})
}

// The client drops what it is told never to send again. The next body of the same events
// is another one.
func TestBodyThatIsRefusedIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := poisonRig(t, nil, 1<<20, "--route.too_large=reject", "--route.ack_timeout=2s")
		defer r.stop()
		r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Delay(3 * time.Second)})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		body := eventText(0) + "\n"
		r.post(ctx, "/", []byte(body)).want(t, 503, "ack_timeout")
		body += largeEvent(1, 1<<20)
		if rp := r.post(ctx, "/", []byte(body)); rp.status < 400 || rp.status == 503 {
			t.Errorf("unexpected answer; got %d; want a refusal", rp.status)
		}
		if st := r.server.Stats(); st.Ledger.Entries != 0 {
			t.Errorf("unexpected entries; got %d; want none", st.Ledger.Entries)
		}
		r.post(ctx, "/", []byte(eventText(0)+"\n")).want(t, 200, "")
		if got := r.stored("logs")[0]; got != 2 {
			t.Errorf("unexpected copies; got %d; want 2", got)
		}
	})
}
