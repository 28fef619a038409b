// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/testkit"
)

// talk opens a bare connection and sends text.
func (r *rig) talk(text string) net.Conn {
	r.t.Helper()
	c, err := r.net.dial(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(c, text) }() // ends when the server reads or closes
	return c
}

// answerOn reads one answer.
func answerOn(t *testing.T, c net.Conn) reply {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return reply{err: err}
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return reply{status: res.StatusCode, header: res.Header, body: string(b), err: err}
}

func TestSlowHeadersAreCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		begin := time.Now()
		c := r.talk("POST / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
		_, err := io.ReadAll(c)
		if err != nil || time.Since(begin) != 10*time.Second {
			t.Errorf("unexpected end; got %v after %v; want closed after 10s", err, time.Since(begin))
		}
	})
}

func TestLargeHeadersAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--server.header_max_size=4KiB")
		defer r.stop()
		c := r.talk("POST / HTTP/1.1\r\nHost: x\r\nX-Large: " + strings.Repeat("x", 64<<10) + "\r\n\r\n")
		if rp := answerOn(t, c); rp.status != 431 {
			t.Errorf("unexpected answer; got %d, %v; want 431", rp.status, rp.err)
		}
		_ = c.Close()
	})
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		c := r.talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		answerOn(t, c).want(t, 200, "")
		begin := time.Now()
		if _, err := io.ReadAll(c); err != nil || time.Since(begin) != 2*time.Minute {
			t.Errorf("unexpected end; got %v after %v; want closed after 2m", err, time.Since(begin))
		}
	})
}

// drip writes n bytes a second.
func drip(ctx context.Context, w io.Writer, b []byte, n int) {
	for len(b) > 0 {
		k := min(n, len(b))
		if _, err := w.Write(b[:k]); err != nil {
			return
		}
		b = b[k:]
		wait(ctx, time.Second)
	}
}

func TestBodyThatArrivesTooSlowly(t *testing.T) {
	for _, c := range []struct {
		name   string
		rate   int
		length int
		status int
		after  time.Duration
	}{
		{"not at all", 0, 1000, 503, 10 * time.Second},
		{"a byte a second", 1, 1000, 503, 10 * time.Second},
		{"just fast enough", 20 << 10, 400 << 10, 200, 19 * time.Second},
		{"for too long", 17 << 10, 4 << 20, 503, 60 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				defer r.stop()
				conn := r.talk("")
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				go func() {
					_, _ = fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", c.length)
					if c.rate > 0 {
						drip(ctx, conn, bytes.Repeat([]byte(" "), c.length), c.rate)
					}
				}()
				begin := time.Now()
				answerOn(t, conn).want(t, c.status, "")
				if got := time.Since(begin).Round(time.Second); got != c.after {
					t.Errorf("unexpected time of the answer; got %v; want %v", got, c.after)
				}
				synctest.Wait()
				if used := r.server.Stats().BudgetUsed; c.status == 503 && used != 0 {
					t.Errorf("unexpected memory taken; got %d; want 0", used)
				}
				_ = conn.Close()
			})
		})
	}
}

// A client that is refused and sends no more must not keep its connection.
func TestStalledClientsAreCutOff(t *testing.T) {
	for _, c := range []struct {
		name, flags, text string
		status            int
	}{
		{"without credentials", "--auth.bearer_env=ANY", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc", 401},
		{"unknown path", "", "POST /nope HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc", 404},
		{"stalled body", "", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc", 503},
		{"stalled chunk", "", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, strings.Fields(c.flags)...)
				defer r.stop()
				begin := time.Now()
				conn := r.talk(c.text)
				answerOn(t, conn).want(t, c.status, "")
				if _, err := io.ReadAll(conn); err != nil || time.Since(begin) > 25*time.Second {
					t.Errorf("unexpected end; got %v after %v; want closed within 25s", err, time.Since(begin))
				}
				synctest.Wait()
				if n := r.server.Stats().Connections; n != 0 {
					t.Errorf("unexpected connections; got %d; want 0", n)
				}
			})
		})
	}
}

func TestClientsThatAskFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		const head = " HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n"
		c := r.talk("POST /streams/other" + head)
		answerOn(t, c).want(t, 403, "") // without waiting for the body
		_ = c.Close()
		c = r.talk("POST /" + head)
		in := bufio.NewReader(c)
		if line, _ := in.ReadString('\n'); line != "HTTP/1.1 100 Continue\r\n" {
			t.Errorf("unexpected line; got %q; want 100 Continue", line)
		}
		_, _ = in.ReadString('\n')
		go func() { _, _ = io.WriteString(c, `{"n":0}`) }()
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != 200 {
			t.Errorf("unexpected answer; got %v, %v; want 200", res, err)
		}
		_ = res.Body.Close()
		_ = c.Close()
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := &testkit.Buffer{}
		r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1)), log: logs}
		r.configure("--server.max_connections=2")
		r.start()
		defer r.stop()
		const full = "all connections are taken"
		other := r.talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		answerOn(t, other).want(t, 200, "")
		if text := logs.String(); strings.Contains(text, full) {
			t.Errorf("unexpected log; got %s; want nothing of connections", text)
		}
		first := r.talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		answerOn(t, first).want(t, 200, "")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if rp := r.post(ctx, "/", nil); rp.err == nil {
			t.Errorf("unexpected answer on a second connection; got %d; want none", rp.status)
		}
		_ = first.Close()
		r.post(t.Context(), "/", nil).want(t, 200, "")
		_ = other.Close()
		if text := logs.String(); strings.Count(text, full) != 1 || !strings.Contains(text, "listener=server.listen max_connections=2") {
			t.Errorf("unexpected log; got %s; want one line that all connections are taken", text)
		}
	})
}

// What comes to the wrong listener gets an answer that its client does not show. The log
// says what it is and where it belongs.
func TestOtherProtocolsAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := &testkit.Buffer{}
		r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1)), log: logs}
		r.configure()
		r.start()
		defer r.stop()
		for range 3 {
			c := r.talk("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
			answerOn(t, c).want(t, 405, "")
			_ = c.Close()
		}
		text := logs.String()
		if strings.Count(text, "speaks a protocol that is not served there") != 1 || !strings.Contains(text, `listener=server.listen client=pipe speaks="HTTP/2 without TLS, as gRPC is" want="OTLP over gRPC at otlp_grpc.listen, which is off, or over HTTP at server.listen`) {
			t.Errorf("unexpected log; got %s; want one line about HTTP/2", text)
		}
	})
}

// The deadline of the body must not run on while Kinesis is being waited for.
func TestWaitForTheOutcomeIsLongerThanThatForTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--server.body_grace=1s", "--server.answer_timeout=1s", "--route.ack_timeout=50s", "--producer.request_timeout=1m")
		defer r.stop()
		r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Delay(40 * time.Second)})
		r.post(t.Context(), "/", ndjson(0, 10)).want(t, 200, `{"events":10}`)
		r.account("logs", 10, 0)
	})
}

func TestConnectionsAreClosedWhenTheyAreOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--server.connection_max_age=10m", "--server.idle_timeout=1h")
		defer r.stop()
		closes := func() bool {
			rp := r.post(t.Context(), "/", ndjson(0, 1))
			rp.want(t, 200, "")
			return rp.close
		}
		if closes() {
			t.Errorf("unexpected close of a new connection")
		}
		wait(t.Context(), 8*time.Minute)
		if closes() {
			t.Errorf("unexpected close of a connection of 8 minutes")
		}
		wait(t.Context(), 4*time.Minute)
		if !closes() {
			t.Errorf("a connection of 12 minutes was not closed")
		}
	})
}

func TestBodyOfUnknownLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--limits.wire_max_size=1MiB")
		defer r.stop()
		send := func(b []byte) reply {
			// Without a length the client sends chunks.
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url("/"), io.NopCloser(bytes.NewReader(b)))
			if err != nil {
				t.Fatal(err)
			}
			return r.do(req)
		}
		send(ndjson(0, 20000)).want(t, 200, `{"events":20000}`)
		r.account("logs", 20000, 0)
		send(make([]byte, 3<<20)).want(t, 422, "wire_max_size")
	})
}

// A body that is too large is read to its end, so that the client sees the answer and
// not a broken connection, which it would retry for ever.
func TestTooLargeBodyIsDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--limits.wire_max_size=1MiB")
		defer r.stop()
		c := r.talk("")
		written := make(chan error, 1)
		go func() {
			_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n")
			_, err := c.Write(make([]byte, 2_000_000))
			written <- err
		}()
		answerOn(t, c).want(t, 422, "too_large")
		if err := <-written; err != nil {
			t.Errorf("unexpected error of the client's write; got %v; want none", err)
		}
		_ = c.Close()
	})
}

func TestStreamsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--producer.max_streams=1", "--producer.request_timeout=1m")
		defer r.stop()
		r.post(t.Context(), "/streams/logs-b", ndjson(0, 1)).want(t, 200, "")
		hold := make(chan struct{})
		r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Effect{Hold: hold}})
		first := make(chan reply, 1)
		go func() { first <- r.post(t.Context(), "/streams/logs-b", ndjson(1, 2)) }()
		synctest.Wait()
		r.post(t.Context(), "/", ndjson(0, 1)).want(t, 503, "max_streams")
		close(hold)
		(<-first).want(t, 200, "")
		r.post(t.Context(), "/", ndjson(0, 1)).want(t, 200, "") // in place of the idle one
	})
}

func TestRequestIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		id := func(given string) string {
			return r.post(t.Context(), "/", nil, "X-Request-Id", given).header.Get("X-Request-Id")
		}
		if got := id("a-1_b.c"); got != "a-1_b.c" {
			t.Errorf("unexpected id; got %q; want the client's", got)
		}
		if a, b := id("no blanks"), id(strings.Repeat("x", 65)); len(a) != 16 || len(b) != 16 || a == b {
			t.Errorf("unexpected ids; got %q and %q; want two new ones", a, b)
		}
	})
}
