// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

func TestEventsArriveAsTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		body := `[{"b":1, "a":"x"},{"n":12345678901234567890}]`
		r.post(t.Context(), "/streams/logs-b", []byte(body)).want(t, 200, `{"events":2}`)
		got := r.kinesis.Consume("logs-b").Records
		if len(got) != 2 || string(got[0].Data) != `{"b":1, "a":"x"}` || string(got[1].Data) != `{"n":12345678901234567890}` {
			t.Errorf("unexpected records; got %v; want the two objects byte by byte", got)
		}
	})
}

// A route that names a path with such slashes has it; other paths find their route without
// them.
func TestRoutesWithSlashesOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1))}
		r.configure()
		for _, match := range []string{"/in/", "/plain"} {
			route := r.cfg.Route
			route.Match = match
			r.cfg.Routes = append(r.cfg.Routes, route)
		}
		r.start()
		defer r.stop()
		for _, c := range []struct {
			path   string
			status int
			route  string
		}{{"/in/", 200, "/in/"}, {"/in", 404, "route"}, {"/plain", 200, "/plain"}, {"/plain/", 200, "/plain"}, {"//plain", 200, "/plain"}} {
			r.post(t.Context(), c.path, []byte(`{"n":0}`)).want(t, c.status, "")
		}
		synctest.Wait()
		got := map[string]uint64{}
		for _, rs := range r.server.Stats().Routes {
			got[rs.Match] = rs.Requests[0]
		}
		if got["/in/"] != 1 || got["/plain"] != 3 {
			t.Errorf("unexpected requests; got %v; want 1 of /in/ and 3 of /plain", got)
		}
	})
}

func TestDestinations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		for _, c := range []struct {
			name, path   string
			header       []string
			status       int
			stream, text string
		}{
			{"default stream", "/", nil, 200, "logs", ""},
			{"path", "/streams/logs-b", nil, 200, "logs-b", ""},
			{"the default stream by path", "/streams/logs", nil, 200, "logs", ""},
			{"header", "/", []string{HeaderStream, "logs-b"}, 200, "logs-b", ""},
			{"header with the prefix that Vector needs", "/", []string{HeaderStream, "stream=logs-b"}, 200, "logs-b", ""},
			{"query", "/?stream=logs-b", nil, 200, "logs-b", ""},
			{"path wins over header", "/streams/logs-b", []string{HeaderStream, "logs"}, 200, "logs-b", ""},
			{"header wins over query", "/?stream=logs", []string{HeaderStream, "logs-b"}, 200, "logs-b", ""},
			{"a query that cannot be read", "/?stream=logs-b;x", nil, 422, "", "path"},
			{"a query with a broken escape", "/?stream=logs-b%zz", nil, 422, "", "path"},
			{"a stream that is not allowed", "/streams/other", nil, 403, "", "stream_forbidden"},
			{"a name that is no stream's", "/?stream=logs-%2f", nil, 403, "", "stream_forbidden"},
			{"a name that is no stream's, as the answer says", "/?stream=a+b", nil, 403, "", "3 bytes that are no name of a stream; want the name of a stream in route.streams, 1 to 128"},
			{"a name that is not UTF-8", "/", []string{HeaderStream, "logs-\xff"}, 403, "", "no name of a stream"},
			{"a name that is too long", "/?stream=logs-" + strings.Repeat("x", 124), nil, 403, "", "by 129 bytes"},
			{"an ARN", "/", []string{HeaderStream, "arn:aws:kinesis:eu-west-1:123456789012:stream/logs-b"}, 403, "", "by an ARN that is not route.stream; want the name"},
			{"an ARN in the query", "/?stream=arn:aws:kinesis:eu-west-1:123456789012:stream/logs-b", nil, 403, "", "by an ARN"},
			{"an ARN in the path", "/streams/arn:aws:kinesis:eu-west-1:123456789012:stream/logs-b", nil, 403, "", "by an ARN"},
			{"two streams in the query", "/?stream=logs&stream=logs-b", nil, 422, "", "the query parameter stream has 2 values that differ; want one"},
			{"two streams in headers", "/", []string{HeaderStream, "logs", HeaderStream, "logs-b"}, 422, "", "X-Kpl-Stream has 2 values that differ"},
			{"one stream twice", "/?stream=logs-b&stream=logs-b", nil, 200, "logs-b", ""},
			{"two keys", "/?partition_key=a&partition_key=b", nil, 422, "", "the query parameter partition_key has 2 values"},
			{"two fields", "/", []string{HeaderKeyField, "a", HeaderKeyField, "b"}, 422, "", "X-Kpl-Partition-Key-Field has 2 values"},
			{"an unknown path", "/nope", nil, 404, "", "path"},
			{"a slash behind a stream", "/streams/logs-b/", nil, 200, "logs-b", ""},
			{"slashes before, in and behind a path", "//streams///logs-b//", nil, 200, "logs-b", ""},
			{"nothing but slashes", "//", nil, 200, "logs", ""},
			{"slashes and a query", "//?stream=logs-b", nil, 200, "logs-b", ""},
			{"OTLP below a base address with a slash", "//v1/logs", []string{"Content-Type", "application/json"}, 422, "", "OTLP"},
			{"OTLP with a slash behind", "/v1/logs/", []string{"Content-Type", "application/json"}, 422, "", "OTLP"},
			{"a slash that is part of the name", "/streams/logs-b%2f", nil, 200, "logs-b", ""},
			{"a way up", "/streams/../streams/logs-b", nil, 404, "", "path"},
			{"a path below a stream", "/streams/logs/x", nil, 404, "", "path"},
			{"an empty stream", "/streams/", nil, 404, "", "path"},
			{"a key that is too long", "/", []string{HeaderKey, strings.Repeat("k", 257)}, 422, "", "X-Kpl-Partition-Key or the query parameter partition_key: a partition key of 257 characters; allowed: 1 to 256"},
			{"a field that is no path", "/?partition_key_field=a->", nil, 422, "", "a field such as a, a->b or"},
		} {
			before := map[string]int{"logs": len(r.kinesis.Consume("logs").Records), "logs-b": len(r.kinesis.Consume("logs-b").Records)}
			r.post(t.Context(), c.path, []byte(`{"a":1}`), c.header...).want(t, c.status, c.text)
			for stream, n := range before {
				want := n
				if stream == c.stream {
					want++
				}
				if got := len(r.kinesis.Consume(stream).Records); got != want {
					t.Errorf("%s: unexpected number of records in %s; got %d; want %d", c.name, stream, got, want)
				}
			}
		}
	})
}

// Where every stream is allowed, what is refused is said to be no name, and not to be missing
// in route.streams. A stream that is configured by its ARN has its name, too.
func TestStreamsByARN(t *testing.T) {
	const arn = "arn:aws:kinesis:us-east-1:123456789012:stream/logs-b"
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--route.stream="+arn, "--route.streams=*")
		defer r.stop()
		for i, header := range [][]string{nil, {HeaderStream, arn}, {HeaderStream, "logs-b"}} {
			r.post(t.Context(), "/", []byte(`{"a":1}`), header...).want(t, 200, "")
			if got := len(r.kinesis.Consume("logs-b").Records); got != i+1 {
				t.Errorf("unexpected records after %q; got %d; want %d", header, got, i+1)
			}
		}
		rp := r.post(t.Context(), "/", []byte(`{"a":1}`), HeaderStream, strings.Replace(arn, "logs-b", "logs", 1))
		if rp.want(t, 403, "by an ARN"); strings.Contains(rp.body, "is not in route.streams") {
			t.Errorf("unexpected answer; got %s; want the reason", rp.body)
		}
	})
}

func TestPartitionKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--route.partition_key=user->id", "--route.partition_key_missing=constant:none", "--producer.aggregation=false")
		defer r.stop()
		for _, c := range []struct{ name, path, body, key string }{
			{"field", "/streams/logs-b", `{"user":{"id":"a\u00e9"}}`, "a\u00e9"},
			{"number", "/streams/logs-b", `{"user":{"id":12}}`, "12"},
			{"missing", "/streams/logs-b", `{"user":1}`, "none"},
			{"null is missing", "/streams/logs-b", `{"user":{"id":null}}`, "none"},
			{"text has no fields", "/streams/logs-b", `plain`, "none"},
			{"constant of the query", "/streams/logs-b?partition_key=q", `{"user":{"id":"a"}}`, "q"},
			{"field of the query", "/streams/logs-b?partition_key_field=x", `{"x":"y","user":{"id":"a"}}`, "y"},
			{"index", "/streams/logs-b?partition_key_field=%24x%5B1%5D", `{"x":["y","z"]}`, "z"},
			{"bytes of the query that are not UTF-8", "/streams/logs-b?partition_key=a%e9%ffb", `{}`, "a\ufffd\ufffdb"},
			{"256 of them", "/streams/logs-b?partition_key=" + strings.Repeat("%e9", 256), `{}`, strings.Repeat("\ufffd", 256)},
			{"cut", "/streams/logs-b", `{"user":{"id":"` + strings.Repeat("\u00e9", 300) + `"}}`, strings.Repeat("\u00e9", 256)},
		} {
			r.post(t.Context(), c.path, []byte(c.body)).want(t, 200, "")
			all := r.kinesis.Consume("logs-b").Records
			if len(all) == 0 || all[len(all)-1].PartitionKey != c.key {
				t.Errorf("%s: unexpected key; got %+v; want %q", c.name, all, c.key)
			}
		}
	})
}

func TestShaping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct{ name, flags, body, want string }{
			{"newline", "--route.append_newline=true", `[{"a":1}]`, "{\"a\":1}\n"},
			{"log key", "--route.log_key=m", `{"m":"a\"b"}`, `a"b`},
			{"log key that is not text", "--route.log_key=m", `{"m":[1]}`, `[1]`},
			{"log key that is missing", "--route.log_key=m", `{"x":1}`, `{"x":1}`},
			{"log key with newline", "--route.log_key=m --route.append_newline=true", `{"m":"a"}`, "a\n"},
			{"wrapper", "--route.wrapper=data", `{"data":[{"a":1}]}`, `{"a":1}`},
			{"strings as text", "--route.unquote_strings=true", `["a"]`, `a`},
			{"strings as they came", "", `["a"]`, `"a"`},
			{"data keys", "--route.data_keys=a,c.d", `[{"c.d":{"x":1},"b":2,"a":1.50}]`, `{"c.d":{"x":1},"a":1.50}`},
			{"data keys of which none is there", "--route.data_keys=x", `{"a":1}`, `{}`},
			{"dots", "--route.replace_dots=_", `{"a.b":[{"c.d":"e.f"}]}`, `{"a_b":[{"c_d":"e.f"}]}`},
			{"data keys, dots and newline", "--route.data_keys=a.b --route.replace_dots=_ --route.append_newline=true", `{"a.b":1,"c":2}`, "{\"a_b\":1}\n"},
			{"log key that data keys leave out", "--route.log_key=m --route.data_keys=x --route.replace_dots=_", `{"m":{"a.b":1},"x":2}`, `{"a_b":1}`},
			{"log key that looks like JSON", "--route.log_key=m --route.replace_dots=_", `{"m":"{\"a.b\":1}"}`, `{"a.b":1}`},
			{"missing log key, data keys and newline", "--route.log_key=m --route.data_keys=x --route.append_newline=true", `{"x":2,"y":3}`, "{\"x\":2}\n"},
			{"data keys and a string", "--route.data_keys=x --route.replace_dots=_", `["a.b"]`, `"a.b"`},
			{"lines", "--route.format=lines", "{\"a\":1\n", `{"a":1`},
		} {
			r := newRig(t, strings.Fields(c.flags)...)
			r.post(t.Context(), "/", []byte(c.body)).want(t, 200, `{"events":1}`)
			if got := r.kinesis.Consume("logs").Records; len(got) != 1 || string(got[0].Data) != c.want {
				t.Errorf("%s: unexpected record; got %v; want %q", c.name, got, c.want)
			}
			r.stop()
		}
	})
}

// What answers 4xx has written nothing, and every answer is small and complete.
func TestRefusedBodiesWriteNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--limits.wire_max_size=4KiB", "--limits.body_max_size=8KiB", "--route.partition_key=id",
			"--route.partition_key_missing=reject", "--route.malformed=reject", "--limits.events=50")
		defer r.stop()
		ok := `{"id":"a"}` + "\n"
		for _, c := range []struct {
			name, body string
			header     []string
			status     int
			inBody     string
		}{
			{"broken JSON behind good events", ok + ok + `{"id":`, []string{"Content-Type", "application/json"}, 422, `"reason":"malformed"`},
			{"an event without a key", ok + `{"x":1}`, nil, 422, `"reason":"poison"`},
			{"not gzip", "nonsense", []string{"Content-Encoding", "gzip"}, 422, `"reason":"malformed"`},
			{"an unknown encoding", ok, []string{"Content-Encoding", "br"}, 415, `"reason":"unsupported"`},
			{"an impossible type", ok, []string{"Content-Type", "image/png"}, 415, `"reason":"unsupported"`},
			{"binary data that nothing is said of", "\x00\x00\x00\x05\x0a\x03abc", nil, 422, `"reason":"unsupported"`},
			{"too large on the wire", strings.Repeat(ok, 1000), nil, 422, `the body has 11000 bytes; the most is limits.wire_max_size = 4KiB","reason":"too_large"`},
			{"too many nested arrays", strings.Repeat("[", 130) + strings.Repeat("]", 130), []string{"Content-Type", "application/json"}, 422, `; at most 128 may lie inside each other","reason":"malformed"`},
			{"too large unpacked", string(gzipped([]byte(strings.Repeat(" ", 10000)))), []string{"Content-Encoding", "gzip"}, 422, `; the most is limits.body_max_size = 8KiB","reason":"too_large"`},
			{"too many events", strings.Repeat(ok, 51), nil, 422, `; the most is limits.events = 50","reason":"too_large"`},
		} {
			rp := r.post(t.Context(), "/", []byte(c.body), c.header...)
			rp.want(t, c.status, c.inBody)
			if rp.header.Get("Content-Length") == "" || len(rp.body) > maxAnswerBytes {
				t.Errorf("%s: unexpected form of the answer; got %v; want a length", c.name, rp.header)
			}
		}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url("/"), nil)
		r.do(req).want(t, 405, "method")
		if n := len(r.kinesis.Consume("logs").Records); n != 0 {
			t.Errorf("unexpected records; got %d; want 0", n)
		}
	})
}

func TestEmptyBodiesAreFine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		r.post(t.Context(), "/", nil).want(t, 200, `{"events":0}`)
		r.post(t.Context(), "/", []byte("[]")).want(t, 200, `{"events":0}`)
	})
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		get := func(method, path string) reply {
			req, err := http.NewRequestWithContext(t.Context(), method, r.url(path), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer whatever")
			return r.do(req)
		}
		for _, path := range []string{"/healthz", "/readyz"} {
			get(http.MethodHead, path).want(t, 200, "")
			get(http.MethodGet, path).want(t, 200, "")
			get(http.MethodPost, path).want(t, 405, "")
		}
		r.server.draining.Store(true)
		get(http.MethodGet, "/healthz").want(t, 200, "ok")
		get(http.MethodGet, "/readyz").want(t, 503, "draining")
	})
}

func TestPoisonAfterThePut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		large := `{"n":1,"x":"` + strings.Repeat("x", 1<<20) + `"}`
		body := []byte(`{"n":0}` + "\n" + large + "\n" + `{"n":2}`)

		r := newRig(t)
		r.post(t.Context(), "/", body).want(t, 200, `{"events":3,"dropped":1}`)
		synctest.Wait()
		if st := r.server.Stats(); st.Dropped[PoisonTooLarge] != 1 || st.Confirmed != 2 {
			t.Errorf("unexpected counts; got dropped %v, confirmed %d; want 1 and 2", st.Dropped, st.Confirmed)
		}
		r.stop()

		r = &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1)), deadLetters: m}
		r.configure("--route.too_large=dead_letter", "--dead_letter.stream=unused")
		r.start()
		m.fail(errors.New("disk full"))
		r.post(t.Context(), "/", body).want(t, 503, "dead_letter")
		m.fail(nil)
		r.post(t.Context(), "/", body).want(t, 200, `{"events":3,"dead_lettered":1}`)
		if got := r.stored("logs"); got[0] != 1 || got[2] != 1 || len(got) != 2 {
			t.Errorf("unexpected records; got %v; want 0 and 2 once", got)
		}
		if len(m.deadLetters) != 1 || string(m.deadLetters[0].Data) != large || m.deadLetters[0].Source != "route" {
			t.Errorf("unexpected dead letters; got %d; want the large event", len(m.deadLetters))
		}
		r.stop()
	})
}

func TestPoisonBeforeThePut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1)), deadLetters: m}
		r.configure("--dead_letter.stream=unused", "--route.partition_key=k", "--route.partition_key_missing=dead_letter", "--route.malformed=dead_letter")
		r.start()
		r.post(t.Context(), "/", []byte(`[{"n":0,"k":"a"},{"n":1}]`)).want(t, 200, `{"events":2,"dead_lettered":1}`)
		r.post(t.Context(), "/", []byte(`[{"n":0,`), "Content-Type", "application/json").want(t, 200, `{"events":1,"dead_lettered":1}`)
		if len(m.deadLetters) != 2 || m.deadLetters[0].Reason != "key_missing" || m.deadLetters[1].Reason != "broken" || string(m.deadLetters[1].Data) != `[{"n":0,` {
			t.Errorf("unexpected dead letters; got %+v; want one without a key and one broken body", m.deadLetters)
		}
		r.account("logs", 1, 0)
		r.stop()
	})
}

// A body whose request was told 503 goes on by itself, and the next request of the
// same body waits for it.
func TestDeadlineParksTheDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--producer.request_timeout=1m")
		defer r.stop()
		hold := make(chan struct{})
		r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Effect{Hold: hold}})
		body := ndjson(0, 100)
		begin := time.Now()
		rp := r.post(t.Context(), "/", body)
		rp.want(t, 503, "ack_timeout")
		if rp.header.Get("Retry-After") != "1" || time.Since(begin) != 9*time.Second {
			t.Errorf("unexpected answer; got Retry-After %q after %v; want 1 after 9s", rp.header.Get("Retry-After"), time.Since(begin))
		}
		synctest.Wait()
		if used := r.server.Stats().BudgetUsed; used < int64(len(body)) {
			t.Errorf("unexpected budget while the delivery goes on; got %d; want at least %d", used, len(body))
		}
		close(hold)
		r.post(t.Context(), "/", body).want(t, 200, `{"events":100}`)
		r.account("logs", 100, int(r.producer.Stats().Uncertain))
		synctest.Wait()
		st := r.server.Stats()
		if st.Resumed != 1 || st.EventsSaved != 100 || st.BudgetUsed != 0 || st.Ledger.Entries != 0 {
			t.Errorf("unexpected counts; got resumed %d, saved %d, budget %d, entries %d; want 1, 100, 0, 0", st.Resumed, st.EventsSaved, st.BudgetUsed, st.Ledger.Entries)
		}
	})
}

func TestClientThatIsGoneDoesNotStopTheDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		hold := make(chan struct{})
		r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Effect{Hold: hold}})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if rp := r.post(ctx, "/", ndjson(0, 10)); rp.err == nil {
			t.Fatalf("unexpected answer; got %d; want a timeout of the client", rp.status)
		}
		synctest.Wait()
		if st := r.server.Stats(); st.GoneBeforeAnswer != 1 || st.Ledger.Entries != 1 {
			t.Errorf("unexpected counts; got gone %d, entries %d; want 1, 1", st.GoneBeforeAnswer, st.Ledger.Entries)
		}
		close(hold)
		synctest.Wait()
		r.account("logs", 10, 0) // without any further request
		r.post(t.Context(), "/", ndjson(0, 10)).want(t, 200, `{"events":10}`)
		r.account("logs", 10, 0)
	})
}

// The same holds while the producer has no room for the rest of the body.
func TestClientThatIsGoneWhileTheBufferIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 20000
		r := newRig(t, "--producer.buffer_size=1MiB", "--producer.request_timeout=1m")
		defer r.stop()
		hold := make(chan struct{})
		h := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Hold: hold}})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if rp := r.post(ctx, "/", ndjson(0, n)); rp.err == nil {
			t.Fatalf("unexpected answer; got %d; want a timeout of the client", rp.status)
		}
		if st := r.producer.Stats(); st.BufferedBytes > 1<<20 || st.BufferedBytes == 0 {
			t.Fatalf("unexpected buffer; got %d bytes; want it full with 1 MiB", st.BufferedBytes)
		}
		h.Remove()
		close(hold)
		wait(t.Context(), time.Minute)
		r.account("logs", n, 0)
	})
}

// Equal bodies are one and the same only if they go to the same place in the same way.
func TestDestinationsAreToldApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		h := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{DelayReply: 20 * time.Second}})
		body := []byte(`{"n":0}`)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = r.post(ctx, "/", body) // stored and parked
		h.Remove()
		r.post(t.Context(), "/streams/logs-b", body).want(t, 200, "")
		if n := len(r.kinesis.Consume("logs-b").Records); n != 1 {
			t.Errorf("unexpected records of the other stream; got %d; want 1", n)
		}
		r.post(t.Context(), "/?partition_key=k", body).want(t, 200, "")
		with := 0
		for _, u := range r.kinesis.Consume("logs").Records {
			if u.PartitionKey == "k" {
				with++
			}
		}
		if with != 1 {
			t.Errorf("unexpected records with the other key; got %d; want 1", with)
		}
		if st := r.server.Stats(); st.Resumed != 0 {
			t.Errorf("unexpected resumptions; got %d; want 0", st.Resumed)
		}
	})
}

func TestOnlyWhatFailedIsResent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--producer.fail_if_throttled=true", "--producer.aggregation=false", "--route.partition_key=n")
		defer r.stop()
		fault := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{
			EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.5,
		}})
		rp := r.post(t.Context(), "/", ndjson(0, 200))
		rp.want(t, 503, "throttled")
		before := len(r.stored("logs"))
		if before == 0 || before == 200 {
			t.Fatalf("unexpected share of stored events; got %d of 200; want some", before)
		}
		fault.Remove()
		r.post(t.Context(), "/", ndjson(0, 200)).want(t, 200, `{"events":200}`)
		r.account("logs", 200, 0)
		if st := r.server.Stats(); st.EventsSaved != uint64(before) {
			t.Errorf("unexpected events saved; got %d; want %d", st.EventsSaved, before)
		}
	})
}

// Equal bodies in normal traffic are equal bodies, not one sent twice.
func TestEqualBodiesAreAllWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		for range 3 {
			r.post(t.Context(), "/", []byte(`{"n":0}`)).want(t, 200, `{"events":1}`)
		}
		if got := r.stored("logs")[0]; got != 3 {
			t.Errorf("unexpected copies; got %d; want 3", got)
		}
	})
}

func TestAPanicIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		saved := r.server.fallback
		r.server.fallback = nil
		r.post(t.Context(), "/", []byte(`{"n":0}`)).want(t, 503, "internal")
		r.server.fallback = saved
		r.post(t.Context(), "/", []byte(`{"n":0}`)).want(t, 200, "")
	})
}

func TestAnswersAreJSON(t *testing.T) {
	q := &request{id: "abc"}
	for _, f := range []*failure{retryable(ReasonBudget, `a "quote"`), permanent(422, ReasonMalformed, "x")} {
		a := q.answerFor(success{}, f)
		var p problem
		if err := json.Unmarshal(a.body, &p); err != nil || p.RequestID != "abc" || p.Error != f.text {
			t.Errorf("unexpected body; got %s; want JSON with the text and the id", a.body)
		}
	}
}
