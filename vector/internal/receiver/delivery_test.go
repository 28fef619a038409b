// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// disruption is something that goes wrong for a while.
type disruption struct {
	name string
	// begin makes it; what it returns ends it. It is called with the rig running.
	begin func(r *rig) (end func())
	// lasts is when it ends.
	lasts time.Duration
	// unknown tells that requests to Kinesis end in ignorance, so that the producer
	// itself may double records; it counts how many.
	unknown bool
	// forgets tells that the ledger is lost, so that a body may be written twice.
	forgets bool
	flags   []string
}

func fault(f kinesistest.Fault) func(*rig) func() {
	return func(r *rig) func() {
		f.Operation = "PutRecords"
		h := r.kinesis.Fault(f)
		return h.Remove
	}
}

func disruptions() []disruption {
	return []disruption{
		{name: "none", begin: func(*rig) func() { return func() {} }},
		{name: "throttles", lasts: 20 * time.Second, begin: fault(kinesistest.Fault{Effect: kinesistest.Effect{
			EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.7,
		}})},
		{
			name: "throttles at the first of which the producer gives up", lasts: 20 * time.Second, flags: []string{"--producer.fail_if_throttled=true"},
			begin: fault(kinesistest.Fault{Effect: kinesistest.Effect{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.7}}),
		},
		{name: "internal failures", lasts: 20 * time.Second, unknown: true, begin: fault(kinesistest.Fault{Effect: kinesistest.FailEntries("InternalFailure", "")})},
		{name: "503 of Kinesis", lasts: 20 * time.Second, unknown: true, begin: fault(kinesistest.Fault{Effect: kinesistest.Status(503)})},
		{name: "broken connections", lasts: 20 * time.Second, unknown: true, begin: fault(kinesistest.Fault{Effect: kinesistest.Reset()})},
		{name: "hanging calls", lasts: 40 * time.Second, unknown: true, begin: fault(kinesistest.Fault{Effect: kinesistest.Hang()})},
		{name: "a lost reply", lasts: time.Second, unknown: true, begin: fault(kinesistest.Fault{Times: 1, Effect: kinesistest.LoseReply()})},
		{name: "a slow Kinesis", lasts: 30 * time.Second, begin: fault(kinesistest.Fault{Effect: kinesistest.Delay(5 * time.Second)})},
		{name: "no permission", lasts: 30 * time.Second, begin: fault(kinesistest.Fault{Effect: kinesistest.Fail("AccessDeniedException", "no")})},
		{name: "expired credentials", lasts: 20 * time.Second, begin: fault(kinesistest.Fault{Effect: kinesistest.Fail("ExpiredTokenException", "old")})},
		{name: "a missing stream", lasts: 30 * time.Second, begin: func(r *rig) func() {
			if err := r.kinesis.DeleteStream("logs"); err != nil {
				r.t.Fatal(err)
			}
			return func() {
				if err := r.kinesis.CreateStream("logs", kinesistest.StreamConfig{Shards: 2}); err != nil {
					r.t.Error(err)
				}
			}
		}},
		{name: "a reshard", lasts: time.Second, begin: func(r *rig) func() {
			for _, sh := range r.kinesis.OpenShards("logs") {
				if err := r.kinesis.SplitEven("logs", sh.ID); err != nil {
					r.t.Fatal(err)
				}
			}
			return func() {}
		}},
		{name: "a crash of the adapter", lasts: 15 * time.Second, unknown: true, forgets: true, begin: func(r *rig) func() {
			h := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{DelayReply: 3 * time.Second}})
			timer := time.AfterFunc(time.Second, r.kill)
			return func() {
				timer.Stop()
				h.Remove()
				r.start()
			}
		}},
		{name: "a restart of the adapter in order", lasts: 10 * time.Second, begin: func(r *rig) func() {
			h := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(2 * time.Second)})
			timer := time.AfterFunc(time.Second, func() {
				if err := r.server.Shutdown(r.t.Context()); err != nil {
					r.t.Errorf("unexpected error of Shutdown; got %v; want none", err)
				}
				r.client.CloseIdleConnections()
			})
			return func() {
				timer.Stop()
				h.Remove()
				r.start()
			}
		}},
	}
}

// Whatever goes wrong for a while, no shipper loses an event, none is told what makes
// it drop something, and nothing is doubled but where that cannot be known.
func TestNoShipperLosesAnything(t *testing.T) {
	const n = 40
	for _, sh := range shippers() {
		for _, tr := range disruptions() {
			t.Run(sh.name+"/"+tr.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t, tr.flags...)
					end := tr.begin(r)
					ended := make(chan struct{})
					timer := time.AfterFunc(tr.lasts, func() {
						end()
						close(ended)
					})
					defer timer.Stop()
					out := sh.send(t.Context(), r, 0, n)
					<-ended
					synctest.Wait()
					if out.delivered != n || out.dropped != 0 {
						t.Errorf("unexpected end; got %+v; want %d delivered", out, n)
					}
					mayDouble := 0
					if tr.unknown {
						mayDouble = int(r.producer.Stats().Uncertain)
					}
					if tr.forgets {
						mayDouble += n
					}
					r.account("logs", n, mayDouble)
					r.stop()
				})
			})
		}
	}
}

// What can never succeed is answered so that every shipper drops it at once, instead
// of blocking what comes behind it, and nothing of it is written.
func TestEveryShipperDropsWhatCanNeverSucceed(t *testing.T) {
	for _, sh := range shippers() {
		for _, c := range []struct {
			name   string
			flags  []string
			change func(*shipper)
			status int
		}{
			{"no credentials", []string{"--auth.bearer_env=TOKENS"}, func(*shipper) {}, 401},
			{"unknown stream", []string{"--route.stream=else", "--route.streams=nothing"}, func(s *shipper) {
				s.header = append(append([]string(nil), s.header...), HeaderStream, "logs")
			}, 403},
			{"too large", []string{"--limits.wire_max_size=1KiB", "--limits.body_max_size=1KiB"}, func(s *shipper) {
				s.body, s.single = func(int, int) []byte { return make([]byte, 200_000) }, false
			}, 422},
			{"unknown encoding", nil, func(s *shipper) {
				s.header = append(append([]string(nil), s.header...), "Content-Encoding", "br")
			}, 415},
			{"broken", nil, func(s *shipper) {
				s.header, s.single = s.header[:len(s.header):len(s.header)], false
				s.body = func(int, int) []byte { return []byte{'{', 0xc1, 0xff, 0xff} }
			}, 422},
		} {
			t.Run(sh.name+"/"+c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1))}
					r.configure(c.flags...)
					r.start()
					defer r.stop()
					sh := sh
					c.change(&sh)
					if sh.react(c.status) == retry {
						sh.limit = 3 // it waits until its settings are mended
					}
					out := sh.send(t.Context(), r, 0, 3)
					if out.attempts > 3 || out.dropped != 3 || out.last != c.status && !sh.single {
						t.Errorf("unexpected end; got %+v; want dropped at once with %d", out, c.status)
					}
					if got := r.kinesis.Stats().Records; got != 0 {
						t.Errorf("unexpected records; got %d; want 0", got)
					}
				})
			})
		}
	}
}

// A body that can never be taken is given up by every shipper at once, whatever makes it
// impossible, and does not hold up the one behind it.
func TestBodyThatCanNeverBeTakenBlocksNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--limits.wire_max_size=4KiB", "--limits.body_max_size=8KiB", "--limits.events=50", "--route.partition_key=id",
			"--route.partition_key_missing=reject", "--route.too_large=reject", "--route.record_max_size=1KiB")
		defer r.stop()
		const good = `{"id":"a","n":0}` + "\n"
		for _, c := range []struct {
			name, path, body string
			header           []string
		}{
			{name: "broken JSON", body: `{"id":`, header: []string{"Content-Type", "application/json"}},
			{name: "broken OTLP", path: otlpPath, body: "\xff\xff", header: []string{"Content-Type", "application/x-protobuf"}},
			{name: "broken OTLP as JSON", path: otlpPath, body: `{"resourceLogs":`, header: []string{"Content-Type", "application/json"}},
			{name: "broken gzip", body: "nonsense", header: []string{"Content-Encoding", "gzip"}},
			{name: "binary data", body: "\x00\x00\x00\x05\x0a\x03abc"},
			{name: "too large as sent", body: strings.Repeat(good, 300)},
			{name: "too large unpacked", body: string(gzipped([]byte(strings.Repeat(" ", 10000)))), header: []string{"Content-Encoding", "gzip"}},
			{name: "too many events", body: strings.Repeat(good, 51)},
			{name: "an event without a key", body: good + `{"n":1}`},
			{name: "an event that is too large", body: `{"id":"a","x":"` + strings.Repeat("x", 2000) + `"}`},
			{name: "a key that is too long", body: good, header: []string{HeaderKey, strings.Repeat("k", 257)}},
			{name: "a query that cannot be read", path: "/?partition_key=%zz", body: good},
		} {
			path := c.path
			if path == "" {
				path = "/"
			}
			rp := r.post(t.Context(), path, []byte(c.body), c.header...)
			for name, reaction := range reactions() {
				if got := reaction(rp.status); rp.err != nil || got != dropped {
					t.Errorf("%s: unexpected way of %s; got %d, %v; want a status that it drops", c.name, name, rp.status, rp.err)
				}
			}
		}
		if n := len(r.kinesis.Consume("logs").Records); n != 0 {
			t.Errorf("unexpected records; got %d; want 0", n)
		}
		sh := syslogNG("", "", "\n", "", func(b []byte) []byte { return b }, HeaderKey, "k")
		if out := sh.send(t.Context(), r, 0, 5); out.delivered != 5 {
			t.Errorf("unexpected end behind them; got %+v; want 5 delivered", out)
		}
	})
}

// What says that a body is in, that it is to come again and that it is to be given up is
// understood by every shipper.
func TestAnswersMeanTheSameToAllShippers(t *testing.T) {
	for name, reaction := range reactions() {
		if reaction(200) != delivered || reaction(503) != retry || reaction(422) != dropped {
			t.Errorf("unexpected understanding of %s; got %v, %v, %v; want delivered, retry, dropped", name, reaction(200), reaction(503), reaction(422))
		}
	}
}

// Fluent Bit gives up after retry_limit, 1 by default: an outage longer than that
// loses events, which docs/vector.md warns of. The adapter still delivers what it had
// taken over.
func TestFluentBitGivesUpAfterItsRetryLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		h := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{
			EntryCode: "ProvisionedThroughputExceededException",
		}})
		var sh shipper
		for _, s := range shippers() {
			if s.name == "fluent bit json" {
				sh = s
			}
		}
		sh.limit = 2
		if out := sh.send(t.Context(), r, 0, 10); out.dropped != 10 || out.attempts != 2 {
			t.Errorf("unexpected end; got %+v; want 10 dropped after 2 attempts", out)
		}
		h.Remove()
		wait(t.Context(), 10*time.Second)
		r.account("logs", 10, 0)
	})
}

// A client that behaves as Vector does under load: several requests at once, more
// while they succeed, retries of each by itself.
func TestVectorWithManyRequestsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const requests, each, concurrency = 60, 50, 8
		r := newRig(t)
		sh := shippers()[1]
		h := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{
			EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.3, Delay: 100 * time.Millisecond,
		}})
		timer := time.AfterFunc(30*time.Second, h.Remove)
		defer timer.Stop()
		work := make(chan int)
		results := make(chan sent)
		for range concurrency {
			go func() {
				for i := range work {
					results <- sh.send(t.Context(), r, i*each, (i+1)*each)
				}
			}()
		}
		go func() {
			defer close(work)
			for i := range requests {
				work <- i
			}
		}()
		total := 0
		for range requests {
			total += (<-results).delivered
		}
		if total != requests*each {
			t.Errorf("unexpected number of delivered events; got %d; want %d", total, requests*each)
		}
		r.account("logs", requests*each, 0)
		r.stop()
	})
}
