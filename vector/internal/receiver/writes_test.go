// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/vector/internal/status"
)

// writes keeps what a server writes to its connections, call by call.
type writes struct {
	net.Listener
	mu   sync.Mutex // guards list
	list []string
}

func (w *writes) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &writeLog{c, w}, nil
}

func (w *writes) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.list
	w.list = nil
	return list
}

type writeLog struct {
	net.Conn
	to *writes
}

func (c *writeLog) Write(b []byte) (int, error) {
	c.to.mu.Lock()
	c.to.list = append(c.to.list, string(b))
	c.to.mu.Unlock()
	return c.Conn.Write(b)
}

// A shipper that gets a part of an answer takes it for another one: Vector drops the body of a
// 503 that is cut short, the collector counts such a 200 as delivery. So each answer is one
// write, and says how long it is.
func TestEachAnswerIsOneWriteWithItsLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1))}
		r.configure("--auth.bearer_env=TOKENS", "--server.header_max_size=4KiB", "--limits.wire_max_size=4KiB", "--limits.body_max_size=8KiB",
			"--route.partition_key=id", "--route.partition_key_missing=reject", "--route.ack_timeout=2s", "--server.body_grace=1s", "--server.max_connections=100",
			"--server.header_timeout=3s")
		log := &writes{}
		r.prepare = func(s *Server, _ *status.Log) {
			listen := s.listen
			s.listen = func(network, address string) (net.Listener, error) {
				ln, err := listen(network, address)
				log.Listener = ln
				return log, err
			}
		}
		r.start()
		defer r.stop()
		const auth = "Authorization: Bearer secret-1\r\n"
		post := func(path, header, body string) string {
			return "POST " + path + " HTTP/1.1\r\nHost: x\r\n" + auth + header + "Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
		}
		const good = `{"id":"a"}`
		long := strings.Repeat("a\\u003e\\u002d", 100) // a path, which answers do not repeat
		for _, c := range []struct {
			name, request string
			status        int
			fault         kinesistest.Effect
			bare          bool // net/http itself answers, and closes the connection
		}{
			{name: "200", request: post("/", "", good), status: 200},
			{name: "200 of OTLP, which is empty", request: post(otlpPath, "Content-Type: application/x-protobuf\r\n", ""), status: 200},
			{name: "200 of OTLP as JSON", request: post(otlpPath, "Content-Type: application/json\r\n", `{"resourceLogs":[]}`), status: 200},
			{name: "200 to HTTP/1.0", request: strings.Replace(post("/", "", good), "HTTP/1.1", "HTTP/1.0", 1), status: 200},
			{name: "200 behind 100", request: post("/", "Expect: 100-continue\r\n", good), status: 200},
			{name: "200 to chunks", request: "POST / HTTP/1.1\r\nHost: x\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\na\r\n" + good + "\r\n0\r\n\r\n", status: 200},
			{name: "400", request: strings.Replace(strings.Replace(post("/", "", good), "HTTP/1.1", "HTTP/1.0", 1), "Content-Length: 10\r\n", "", 1), status: 400},
			{name: "401", request: strings.Replace(post("/", "", good), "secret-1", "x", 1), status: 401},
			{name: "403", request: post("/streams/other", "", good), status: 403},
			{name: "404", request: post("/"+long, "", good), status: 404},
			{name: "405", request: strings.Replace(post("/", "", good), "POST", "GET", 1), status: 405},
			{name: "415", request: post("/", "Content-Encoding: br\r\n", good), status: 415},
			{name: "415 of OTLP", request: post(otlpPath, "Content-Type: text/plain\r\n", good), status: 415},
			{name: "422", request: post("/", "", `{"id":`), status: 422},
			{name: "422 of OTLP", request: post(otlpPath, "Content-Type: application/x-protobuf\r\n", "\xff\xff"), status: 422},
			{name: "422 for a large body", request: post("/", "", strings.Repeat(good, 1000)), status: 422},
			{name: "422 for chunks that are none", request: "POST / HTTP/1.1\r\nHost: x\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", status: 422},
			{name: "503, Kinesis is slow", request: post("/", "", `{"id":"c"}`), status: 503, fault: kinesistest.Delay(5 * time.Second)},
			{name: "503, Kinesis refuses", request: post("/", "", `{"id":"b"}`), status: 503, fault: kinesistest.Fail("AccessDeniedException", strings.Repeat("x", 3000))},
			{name: "503, the body is slow", request: strings.TrimSuffix(post("/", "", good), good), status: 503},
			{name: "healthz", request: "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", status: 200},
			{name: "healthz, only its head", request: "HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n", status: 200},
			{name: "readyz, not by POST", request: post("/readyz", "", ""), status: 405},
			{name: "417", request: post("/", "Expect: x\r\n", good), status: 417},
			{name: "400 of net/http", request: "nonsense\r\n\r\n", status: 400, bare: true},
			{name: "400 of net/http, no host", request: "POST / HTTP/1.1\r\n\r\n", status: 400, bare: true},
			{name: "431 of net/http", request: post("/", "X-Large: "+strings.Repeat("x", 64<<10)+"\r\n", good), status: 431, bare: true},
			{name: "501 of net/http", request: "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", status: 501, bare: true},
			{name: "505 of net/http", request: "POST / HTTP/3.0\r\nHost: x\r\n\r\n", status: 505, bare: true},
		} {
			f := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: c.fault})
			conn := r.talk(c.request)
			rp := answerOn(t, conn)
			if rp.status == 100 || strings.HasPrefix(c.request, "HEAD") {
				rp = reply{status: 200} // not what the client reads is looked at, but the writes
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			wait(ctx, time.Second)
			cancel()
			_ = conn.Close()
			f.Remove()
			synctest.Wait()
			got := log.take()
			for len(got) > 0 && got[0] == "HTTP/1.1 100 Continue\r\n\r\n" {
				got = got[1:]
			}
			if len(got) != 1 || rp.err != nil || !strings.HasPrefix(got[0][min(len("HTTP/1.1 "), len(got[0])):], strconv.Itoa(c.status)+" "+http.StatusText(c.status)) {
				t.Errorf("%s: unexpected writes; got %d, %q, %v; want one that begins with %d", c.name, len(got), got, rp.err, c.status)
				continue
			}
			head, body, _ := strings.Cut(got[0], "\r\n\r\n")
			length := "Content-Length: " + strconv.Itoa(len(body))
			if strings.HasPrefix(c.request, "HEAD") {
				length = "Content-Length: 3"
			}
			closes := strings.Contains(head, "\r\nConnection: close")
			if !c.bare && !strings.Contains(head, "\r\n"+length) || c.bare && !closes || len(got[0]) >= 4096 {
				t.Errorf("%s: unexpected form; got %q; want %s", c.name, got[0], length)
			}
		}
	})
}
