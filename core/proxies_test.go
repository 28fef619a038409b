// SPDX-License-Identifier: Apache-2.0

package core_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/kinesistest"
)

const page = "<html>\r\n<head><title>No</title></head>\r\n<body><center><h1>No</h1></center></body>\r\n</html>\r\n"

// proxy stands between a producer and the fake, and gives answers of its own.
type proxy struct {
	to http.Handler

	mu      sync.Mutex // guards all that follows
	answer  func(w http.ResponseWriter, body []byte) (done bool)
	largest int // body that was let through
	refused int
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".PutRecords") {
		p.mu.Lock()
		answer := p.answer
		p.mu.Unlock()
		if answer != nil && answer(w, body) {
			p.mu.Lock()
			p.refused++
			p.mu.Unlock()
			return
		}
		p.mu.Lock()
		p.largest = max(p.largest, len(body))
		p.mu.Unlock()
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.to.ServeHTTP(w, r)
}

func (p *proxy) set(answer func(w http.ResponseWriter, body []byte) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *proxy) counts() (refused, largest int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused, p.largest
}

// times lets an answer be given that often.
func times(n int, answer http.HandlerFunc) func(http.ResponseWriter, []byte) bool {
	var mu sync.Mutex // guards n
	return func(w http.ResponseWriter, _ []byte) bool {
		mu.Lock()
		defer mu.Unlock()
		if n--; n < 0 {
			return false
		}
		answer(w, nil)
		return true
	}
}

func html(status int) http.HandlerFunc { return says(status, "text/html", page) }

func says(status int, contentType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// behindProxy makes a producer that reaches the fake through a proxy with the client that
// the programs use.
func behindProxy(t *testing.T, opts ...core.Option) (*kinesistest.Server, *proxy, *core.Producer) {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "test")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "test")
	s := kinesistest.New(kinesistest.WithStream(stream, 2))
	px := &proxy{to: s.Handler()}
	proxy := httptest.NewServer(px)
	t.Cleanup(proxy.Close)
	client, err := awsclient.New(context.Background(), awsclient.Config{Region: "us-east-1", Endpoint: proxy.URL})
	if err != nil {
		t.Fatal(err)
	}
	return s, px, newProducer(t, client, append([]core.Option{fastRetry}, opts...)...)
}

// docs/delivery.md has a table of these.
func TestEveryAnswerOnTheWayLosesAndDoublesNothing(t *testing.T) {
	aws := func(status int, code string) http.HandlerFunc {
		return says(status, "application/x-amz-json-1.1", `{"__type":"`+code+`","message":"no"}`)
	}
	for _, c := range []struct {
		name      string
		answer    http.HandlerFunc
		code      string
		uncertain bool
		fails     core.Reason // at once, and not for good; none: tried until it passes
	}{
		{name: "413 html", answer: html(413), code: "HTTP413"},
		{name: "413 text", answer: says(413, "text/plain", "too large"), code: "HTTP413"},
		{name: "413 empty", answer: says(413, "", ""), code: "HTTP413"},
		{name: "413 json without a code", answer: says(413, "application/json", `{"message":"Request Too Long"}`), code: "HTTP413"},
		{name: "413 json with another code", answer: aws(413, "RequestTooLong"), code: "RequestTooLong"},
		{name: "413 json with a known code", answer: aws(413, "ThrottlingException"), code: "ThrottlingException"},
		{name: "400 html", answer: html(400), code: "HTTP400"},
		{name: "400 empty", answer: says(400, "", ""), code: "HTTP400"},
		{name: "403 html", answer: html(403), code: "HTTP403"},
		{name: "403 xml", answer: says(403, "text/xml", `<Error><Code>AccessDenied</Code></Error>`), code: "HTTP403"},
		{name: "403 json without a code", answer: says(403, "application/json", `{"message":"Forbidden"}`), code: "HTTP403"},
		{name: "401 html", answer: html(401), code: "HTTP401"},
		{name: "404 html", answer: html(404), code: "HTTP404"},
		{name: "405 html", answer: html(405), code: "HTTP405"},
		{name: "406 html", answer: html(406), code: "HTTP406"},
		{name: "407 html", answer: html(407), code: "HTTP407"},
		{name: "408 html", answer: html(408), code: "HTTP408", uncertain: true},
		{name: "421 empty", answer: says(421, "", ""), code: "HTTP421"},
		{name: "422 html", answer: html(422), code: "HTTP422"},
		{name: "429 html", answer: html(429), code: "HTTP429"},
		{name: "431 empty", answer: says(431, "", ""), code: "HTTP431"},
		{name: "451 html", answer: html(451), code: "HTTP451"},
		{name: "301 html", answer: html(301), code: "HTTP301"},
		{name: "302 html", answer: html(302), code: "HTTP302"},
		{name: "303 html", answer: html(303), code: "HTTP303"},
		{name: "304 empty", answer: says(304, "", ""), code: "HTTP304"},
		{name: "307 html", answer: html(307), code: "HTTP307"},
		{name: "308 html", answer: html(308), code: "HTTP308"},
		{name: "500 html", answer: html(500), code: "HTTP500", uncertain: true},
		{name: "500 empty", answer: says(500, "", ""), code: "HTTP500", uncertain: true},
		{name: "501 html", answer: html(501), code: "HTTP501", uncertain: true},
		{name: "502 html", answer: html(502), code: "HTTP502", uncertain: true},
		{name: "503 html", answer: html(503), code: "HTTP503", uncertain: true},
		{name: "504 html", answer: html(504), code: "HTTP504", uncertain: true},
		{name: "505 html", answer: html(505), code: "HTTP505", uncertain: true},
		{name: "511 html", answer: html(511), code: "HTTP511", uncertain: true},
		{name: "200 html", answer: html(200), code: "HTTP200", uncertain: true},
		{name: "200 with cut JSON", answer: says(200, "application/x-amz-json-1.1", `{"FailedRecordCount":0,"Records":[{"Sequ`), code: "HTTP200", uncertain: true},
		{name: "200 with other JSON", answer: says(200, "application/json", `{}`), code: "Record Count Mismatch", uncertain: true, fails: core.ReasonCountMismatch},
		{name: "200 empty", answer: says(200, "", ""), code: "Record Count Mismatch", uncertain: true, fails: core.ReasonCountMismatch},
		{name: "validation", answer: aws(400, "ValidationException"), code: "ValidationException"},
		{name: "serialization", answer: aws(400, "SerializationException"), code: "SerializationException"},
		{name: "unknown operation", answer: aws(400, "UnknownOperationException"), code: "UnknownOperationException"},
		{name: "expired token", answer: aws(400, "ExpiredTokenException"), code: "ExpiredTokenException"},
		{name: "KMS throttling", answer: aws(400, "KMSThrottlingException"), code: "KMSThrottlingException"},
		{name: "KMS key disabled", answer: aws(400, "KMSDisabledException"), code: "KMSDisabledException", fails: core.ReasonAccessDenied},
		{name: "KMS key not found", answer: aws(400, "KMSNotFoundException"), code: "KMSNotFoundException", fails: core.ReasonAccessDenied},
		{name: "KMS access denied", answer: aws(400, "KMSAccessDeniedException"), code: "KMSAccessDeniedException", fails: core.ReasonAccessDenied},
		{name: "access denied", answer: aws(400, "AccessDeniedException"), code: "AccessDeniedException", fails: core.ReasonAccessDenied},
		{name: "403 with a code", answer: aws(403, "Forbidden"), code: "Forbidden", fails: core.ReasonAccessDenied},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, px, p := behindProxy(t)
			before := batchOf("before", 1)
			wait(t, put(t, p, before))
			px.set(times(3, c.answer))
			records := batchOf("a", 60)
			b := put(t, p, records)
			wait(t, b)
			var tries []core.Attempt
			for i := range records {
				tries = append(tries, b.Result(i).Attempts...)
			}
			first := func(a core.Attempt) bool { return a.Code == c.code && a.Uncertain == c.uncertain }
			if !slices.ContainsFunc(tries, first) {
				t.Errorf("unexpected attempts %+v; want one with code %s, uncertain %v", b.Result(0).Attempts, c.code, c.uncertain)
			}
			for i, err := range b.Failures {
				if err.Reason != c.fails || err.Reason.Permanent() {
					t.Fatalf("unexpected failure of record %d: %v", i, err)
				}
			}
			if c.fails != core.ReasonNone {
				px.set(nil)
				wait(t, put(t, p, records)) // as a host does
			}
			closeProducer(t, p)
			checkDelivered(t, s, before, records)
			if st := checkAccounts(t, p); (st.Uncertain > 0) != c.uncertain {
				t.Errorf("unexpected number of uncertain records; got %d; want any: %v", st.Uncertain, c.uncertain)
			}
		})
	}
}

// The field case: a proxy refuses bodies above 100 kB with a page.
func TestProxyThatRefusesLargeBodiesGetsSmallerOnes(t *testing.T) {
	const limit = 100_000
	for _, compact := range []bool{true, false} {
		s, px, p := behindProxy(t, core.WithAggregation(compact), core.WithRateLimit(10_000), core.WithAdaptiveRate(false))
		px.set(func(w http.ResponseWriter, body []byte) bool {
			if len(body) > limit {
				html(413)(w, nil)
				return true
			}
			return false
		})
		fill := func(name string) []core.Record {
			records := batchOf(name, 3000)
			for i := range records {
				records[i].Data = append(records[i].Data, bytes.Repeat([]byte("x"), 500)...)
			}
			b := put(t, p, records)
			wait(t, b)
			if err := b.Err(); err != nil {
				t.Fatal(err)
			}
			return records
		}
		first := fill("a")
		refused, _ := px.counts()
		second := fill("b")
		after, largest := px.counts()
		if refused == 0 || after-refused > 15 || largest < limit/2 {
			t.Errorf("unexpected calls; got %d refused at first and %d later, the largest with %d bytes; want some, few, and more than half of %d", refused, after-refused, largest, limit)
		}
		closeProducer(t, p)
		checkDelivered(t, s, first, second)
	}
}

// A filter refuses what has a certain text in it with a page. The others pass, and the
// record is neither failed nor lost.
func TestFilterThatRefusesARecordHoldsUpNoOther(t *testing.T) {
	s, px, p := behindProxy(t, core.WithAggregation(false))
	mark := []byte("\x43BAD") // three bytes in CBOR
	px.set(func(w http.ResponseWriter, body []byte) bool {
		if bytes.Contains(body, mark) {
			html(403)(w, nil)
			return true
		}
		return false
	})
	records := batchOf("a", 60)
	records[17].Data = []byte("BAD")
	b := put(t, p, records)
	for confirmed := 0; confirmed < 59; {
		time.Sleep(5 * time.Millisecond)
		var failed int
		if confirmed, failed, _ = b.Counts(); failed > 0 {
			t.Fatalf("unexpected failure: %v", b.Err())
		}
	}
	for i := range 20 {
		wait(t, put(t, p, batchOf(fmt.Sprint("b", i), 1)))
	}
	if r := b.Result(17); r.Settled {
		t.Fatalf("unexpected outcome; got %v; want it to wait", r.Err)
	}
	px.set(nil)
	wait(t, b)
	closeProducer(t, p)
	if m := seen(s); len(m) != 80 || m["BAD"] != 1 {
		t.Errorf("unexpected contents of the stream; got %d records, %d of the one refused; want 80 and 1", len(m), m["BAD"])
	}
}
