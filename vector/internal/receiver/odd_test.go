// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What is allowed but seldom, and what is not allowed at all. Nothing is lost or doubled
// by a request that can be read two ways.
func TestOddRequests(t *testing.T) {
	const one = "{\"n\":0}"
	post := func(target, headers, body string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n%s", target, len(body), headers, body)
	}
	chunked := func(headers, rest string) string {
		return "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + headers + "\r\n" + rest
	}
	for _, c := range []struct {
		name, text string
		status     int
		inBody     string
		stored     int
	}{
		{"absolute form", post("http://kpl/streams/logs", "", one), 200, "", 1},
		{"absolute form of another host", post("http://elsewhere:99/", "", one), 200, "", 1},
		{"an escaped dead letter", post("/streams/log%73", "", one), 200, "", 1},
		{"an escaped slash", post("/streams%2Flogs", "", one), 200, "", 1},
		{"an escaped slash in the name", post("/streams/logs%2Fx", "", one), 404, "path", 0},
		{"two slashes", post("//streams/logs", "", one), 200, "", 1},
		{"dots", post("/streams/../streams/logs", "", one), 404, "path", 0},
		{"a very long name", post("/streams/"+strings.Repeat("x", 20_000), "", one), 403, "stream_forbidden", 0},
		{"a name with a NUL", post("/streams/logs-%00", "", one), 403, "stream_forbidden", 0},
		{"no path at all", post("http://kpl", "", one), 404, "path", 0},
		{"an empty body", post("/", "", ""), 200, `"events":0`, 0},
		{"white space", post("/", "", " \r\n\t "), 200, `"events":0`, 0},
		{"a byte order mark", post("/", "", "\ufeff"+one), 200, "", 1},
		{"chunks", chunked("", "3\r\n{\"n\r\n4\r\n\":0}\r\n0\r\n\r\n"), 200, "", 1},
		{"chunks with extensions and trailers", chunked("Trailer: X-Sum\r\n", "7;a=b\r\n"+one+"\r\n0\r\nX-Sum: 1\r\n\r\n"), 200, "", 1},
		{"chunks that are none", chunked("", "zz\r\n"+one), 422, "malformed", 0},
		{"a chunk of no length", chunked("", "\r\n"+one), 422, "malformed", 0},
		{"a chunk that is longer than it says", chunked("", "3\r\n"+one+"\r\n0\r\n\r\n"), 422, "malformed", 0},
		{"a chunk of too long a length", chunked("", "fffffffffffffffff\r\n"+one), 422, "malformed", 0},
		{"a chunk of a long line", chunked("", "7;"+strings.Repeat("x", 5000)+"\r\n"+one+"\r\n0\r\n\r\n"), 422, "malformed", 0},
		{"chunks that are none, behind good ones", chunked("", "7\r\n"+one+"\r\nzz\r\n"), 422, "malformed", 0},
		{"UTF-16", post("/", "Content-Type: application/json; charset=utf-16le\r\n", "{\x00\"\x00n\x00\"\x00:\x000\x00}\x00"), 200, `"events":1`, 1},
		{"UTF-16 that says nothing", post("/", "Content-Type: application/json\r\n", "{\x00\"\x00n\x00\"\x00:\x000\x00}\x00"), 200, `"events":1`, 1},
		{"a charset that is not known", post("/", "Content-Type: application/json; charset=klingon\r\n", one), 422, `\"klingon\"; allowed are utf-8`, 0},
		{"metrics where logs go", post("/v1/logs", "Content-Type: application/x-protobuf\r\n", "\x0a\x09\x12\x07\x12\x05\x0a\x03abc"), 422, "", 0},
		{"chunks and a length", chunked("Content-Length: 3\r\n", "7\r\n"+one+"\r\n0\r\n\r\n"), 200, "", 1},
		{"the same length twice", post("/", "Content-Length: 7\r\n", one), 200, "", 1},
		{"two lengths", post("/", "Content-Length: 3\r\n", one), 400, "", 0},
		{"a length that is no number", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -7\r\n\r\n" + one, 400, "", 0},
		{"no host", "POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\n" + one, 400, "", 0},
		{"HTTP/1.0", "POST / HTTP/1.0\r\nContent-Length: 7\r\n\r\n" + one, 200, "", 1},
		{"HTTP/1.0 without a length", "POST / HTTP/1.0\r\n\r\n" + one, 400, "needs Content-Length", 0},
		{"HTTP/1.0 with a length of none", "POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n", 200, `"events":0`, 0},
		{"PUT", strings.Replace(post("/", "", one), "POST", "PUT", 1), 200, "", 1},
		{"GET with a body", strings.Replace(post("/", "", one), "POST", "GET", 1), 405, "method", 0},
		{"OPTIONS", "OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n", 405, "", 0},
		{"a method in small dead letters", strings.Replace(post("/", "", one), "POST", "post", 1), 405, "", 0},
		{"the first of two content types", post("/", "Content-Type: application/x-ndjson\r\nContent-Type: application/msgpack\r\n", one), 200, "", 1},
		{"a content type that is none", post("/", "Content-Type: ;;;\r\n", one), 200, "", 1},
		{"an encoding that says nothing", post("/", "Content-Encoding: identity, \r\n", one), 200, "", 1},
		{"two encodings in two headers", post("/", "Content-Encoding: gzip\r\nContent-Encoding: zstd\r\n", string(zstded(gzipped([]byte(one))))), 200, "", 1},
		{"too many encodings", post("/", "Content-Encoding: gzip, gzip, gzip, gzip\r\n", one), 415, "", 0},
		{"something behind the packed data", post("/", "Content-Encoding: zstd\r\n", string(zstded([]byte(one)))+"x"), 422, "malformed", 0},
		{"packed data that is cut off", post("/", "Content-Encoding: gzip\r\n", string(gzipped([]byte(one))[:20])), 422, "malformed", 0},
		{"not packed at all", post("/", "Content-Encoding: gzip\r\n", one), 422, "malformed", 0},
		{"a key that is not UTF-8", post("/", HeaderKey+": a\xe9\r\n", one), 200, "", 1},
		{"a broken value behind a good one", post("/", "", one+"{\"n\":"), 200, `"dropped":1`, 1},
		{"a broken value alone", post("/", "", "{\"n\":"), 422, "malformed", 0},
		{"broken values alone", post("/", "Content-Type: application/json\r\n", "{\"n\":\n{x}\n"), 422, "malformed", 0},
		{"HTTP/2 in clear", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 405, "", 0},
		{"an expectation that is none", post("/", "Expect: the-unexpected\r\n", one), 417, "", 0},
		{"packed chunks", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501, "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				defer r.stop()
				conn := r.talk(c.text)
				defer func() { _ = conn.Close() }()
				answerOn(t, conn).want(t, c.status, c.inBody)
				if got := len(r.kinesis.Consume("logs").Records); got != c.stored {
					t.Errorf("unexpected records; got %d; want %d", got, c.stored)
				}
			})
		})
	}
}

func TestInvalidUTF8(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.post(t.Context(), "/", []byte("{\"n\":0,\"m\":\"a\xffb\"}")).want(t, 200, "")
		if got := r.kinesis.Consume("logs").Records; len(got) != 1 || string(got[0].Data) != "{\"n\":0,\"m\":\"a\ufffdb\"}" {
			t.Errorf("unexpected records; got %d; want U+FFFD for the invalid byte", len(got))
		}
		r.stop()
		r = newRig(t, "--route.reject_invalid_utf8=true", "--route.malformed=reject")
		r.post(t.Context(), "/", []byte("{\"n\":0}{\"n\":1,\"m\":\"a\xffb\"}")).want(t, 422, "malformed")
		if got := r.kinesis.Consume("logs").Records; len(got) != 0 {
			t.Errorf("unexpected records; got %d; want none", len(got))
		}
		r.stop()
	})
}

// Requests that are sent before the answer to the one before are answered in their order.
func TestPipelining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		var text strings.Builder
		const n = 5
		for i := range n {
			b := strings.Repeat(eventText(i), i+1)
			fmt.Fprintf(&text, "POST / HTTP/1.1\r\nHost: x\r\nX-Request-Id: r%d\r\nContent-Length: %d\r\n\r\n%s", i, len(b), b)
		}
		conn := r.talk(text.String())
		defer func() { _ = conn.Close() }()
		in := bufio.NewReader(conn)
		for i := range n {
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if id := res.Header.Get("X-Request-Id"); id != fmt.Sprint("r", i) || !strings.Contains(string(body), fmt.Sprintf(`"events":%d`, i+1)) {
				t.Errorf("unexpected answer; got %s of request %s; want request r%d", body, id, i)
			}
		}
	})
}

// A body that ends too early is not taken in part.
func TestBodiesThatEndTooEarly(t *testing.T) {
	for name, text := range map[string]string{
		"with a length": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"n\":0}\n{\"n\":1}\n",
		"in chunks":     "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"n\":0}\n\r\n",
		"in headers":    "POST / HTTP/1.1\r\nHost: x\r\nContent-Le",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				defer r.stop()
				conn := r.talk(text)
				wait(t.Context(), time.Second)
				_ = conn.Close()
				synctest.Wait()
				if got := len(r.kinesis.Consume("logs").Records); got != 0 {
					t.Errorf("unexpected records; got %d; want 0", got)
				}
				if st := r.server.Stats(); st.BudgetUsed != 0 || st.InFlight != 0 || st.Connections != 0 || st.Requests[0] != 0 {
					t.Errorf("unexpected rest; got %+v; want nothing", st)
				}
			})
		})
	}
}

// A client that does not read its answer is cut off, and its body is remembered.
func TestClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		conn := r.talk("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{\"n\":0}")
		wait(t.Context(), 9*time.Second)
		if n := r.server.Stats().Connections; n != 1 {
			t.Errorf("unexpected connections; got %d; want 1", n)
		}
		wait(t.Context(), 5*time.Second)
		st := r.server.Stats()
		if st.Connections != 0 || st.GoneBeforeAnswer != 1 || st.BudgetUsed != 0 || st.Ledger.Entries != 1 {
			t.Errorf("unexpected counts; got %d connections, %d gone, %d bytes, %d entries; want 0, 1, 0, 1", st.Connections, st.GoneBeforeAnswer, st.BudgetUsed, st.Ledger.Entries)
		}
		_ = conn.Close()
		r.post(t.Context(), "/", []byte(`{"n":0}`)).want(t, 200, "")
		r.account("logs", 1, 0)
	})
}

// Many that do not finish their requests keep nobody else out.
func TestSlowClientsKeepNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--server.max_connections=20", "--limits.memory=8MiB", "--limits.wire_max_size=1MiB", "--limits.body_max_size=1MiB", "--limits.events=10000")
		defer r.stop()
		for i := range 20 {
			text := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{"
			if i%2 == 0 {
				text = "POST / HTTP/1.1\r\nHost: x\r\nX-Slow: "
			}
			conn := r.talk(text)
			go func() { _, _ = io.Copy(io.Discard, conn) }() // ends when it is cut off
		}
		begin := time.Now()
		r.post(t.Context(), "/", bytes.Repeat([]byte(" "), 100_000)).want(t, 200, "")
		if took := time.Since(begin); took > 15*time.Second {
			t.Errorf("unexpected wait; got %v; want until the slow ones are cut off after 10s", took)
		}
	})
}
