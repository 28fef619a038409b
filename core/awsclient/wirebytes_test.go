// SPDX-License-Identifier: Apache-2.0

package awsclient_test

import (
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// counted counts what comes in at the socket.
type counted struct {
	net.Listener
	n *atomic.Int64
}

func (l counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return countedConn{c, l.n}, err
}

type countedConn struct {
	net.Conn
	n *atomic.Int64
}

func (c countedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// onTheWire is what the requests of a producer take, for each byte of their data.
func onTheWire(t *testing.T, format awsclient.WireFormat, recordSize int, opts ...core.Option) float64 {
	t.Helper()
	s := kinesistest.New(kinesistest.WithStream("logs", 4))
	var got atomic.Int64
	web := httptest.NewUnstartedServer(s.Handler())
	web.Listener = counted{web.Listener, &got}
	web.Start()
	defer func() { web.Close(); _ = s.Close() }()
	p, err := core.New(newFormat(t, web.URL, format), append(opts, core.WithRateLimit(100_000))...)
	if err != nil {
		t.Fatal(err)
	}
	records := make([]core.Record, 8_000_000/recordSize)
	for i := range records {
		records[i] = core.Record{PartitionKey: fmt.Sprintf("k%d", i%50), Data: []byte(strings.Repeat(string(rune('a'+i%26)), recordSize))}
	}
	b, err := p.PutBatch(t.Context(), "logs", records)
	if err == nil {
		err = errors.Join(b.Wait(t.Context()), p.Close(t.Context()))
	}
	if err != nil {
		t.Fatal(err)
	}
	payload := 0
	for _, r := range s.Records("logs") {
		payload += len(r.Data)
	}
	st := p.Stats()
	t.Logf("%s, records of %d bytes: %d Kinesis records, %d requests of %d bytes of payload; %.4f bytes for each", format, recordSize,
		st.KinesisRecords, st.Requests, payload/int(st.Requests), float64(got.Load())/float64(payload))
	return float64(got.Load()) / float64(payload)
}

func TestBytesOnTheWire(t *testing.T) {
	alone(t)
	if got := onTheWire(t, awsclient.WireAuto, 250); got > 1.02 {
		t.Errorf("unexpected size of requests of aggregates in CBOR; got %.4f bytes for each of payload; want at most 1.02", got)
	}
	if got := onTheWire(t, awsclient.WireJSON, 250); got < 1.33 {
		t.Errorf("unexpected size of requests of aggregates in JSON; got %.4f bytes for each of payload; want base64", got)
	}
	for _, size := range []int{250, 1000} {
		inCBOR, inJSON := onTheWire(t, awsclient.WireAuto, size, core.WithAggregation(false)), onTheWire(t, awsclient.WireJSON, size, core.WithAggregation(false))
		if inCBOR >= inJSON {
			t.Errorf("unexpected size of requests without aggregation; got %.4f in CBOR, %.4f in JSON", inCBOR, inJSON)
		}
	}
}
