// SPDX-License-Identifier: Apache-2.0

package awsclient_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core/awsclient"
)

// countingConn counts the calls of Write, and fails those after the first so many if that is not 0.
type countingConn struct {
	net.Conn
	writes, failAfter atomic.Int64
}

var errCut = errors.New("the line is cut")

// Write implements net.Conn.
func (c *countingConn) Write(p []byte) (int, error) {
	n := c.writes.Add(1)
	if limit := c.failAfter.Load(); limit != 0 && n > limit {
		return 0, errCut
	}
	return c.Conn.Write(p)
}

// gathered is a transport for a server that sends bodies back, and the connection that it has made.
func gathered(t *testing.T) (tr *http.Transport, url string, conn func() *countingConn) {
	t.Helper()
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // it may be gone once the answer has begun
		_, _ = w.Write(body)
	}))
	t.Cleanup(srv.Close)
	var last atomic.Pointer[countingConn]
	tr = &http.Transport{
		WriteBufferSize: 64 << 10, TLSHandshakeTimeout: time.Minute,
		TLSClientConfig: &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			counting := &countingConn{Conn: c}
			last.Store(counting)
			return counting, nil
		},
	}
	awsclient.GatherWrites(tr)
	t.Cleanup(tr.CloseIdleConnections)
	return tr, srv.URL, last.Load
}

func TestRecordsOfTLSAreWrittenTogether(t *testing.T) {
	tr, url, conn := gathered(t)
	for _, size := range []int{1, 16 << 10, 64 << 10, 135_000, 1 << 20} {
		body := bytes.Repeat([]byte("0123456789abcde\n"), size/16+1)[:size]
		var before int64
		if c := conn(); c != nil {
			before = c.writes.Load()
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, struct{ io.Reader }{bytes.NewReader(body)})
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = int64(size)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("unexpected body of %d bytes; got %d, %v", size, len(got), err)
		}
		// The handshake has two writes; besides the pieces there may be a shorter one at each end.
		if writes, most := conn().writes.Load()-before, int64(4+size/(64<<10)); writes > most {
			t.Errorf("unexpected writes for %d bytes; got %d; want %d at most", size, writes, most)
		}
	}
}

// The transport tries again what has not left at all, and nothing else.
func TestWriteThatFailsTellsWhetherAnythingHasLeft(t *testing.T) {
	for _, c := range []struct {
		succeed int64 // writes
		left    bool
	}{{0, false}, {1, true}} {
		tr, url, conn := gathered(t)
		raw, err := tr.DialTLSContext(t.Context(), "tcp", url[len("https://"):])
		if err != nil {
			t.Fatal(err)
		}
		conn().failAfter.Store(conn().writes.Load() + c.succeed)
		n, err := raw.Write(make([]byte, 256<<10))
		if !errors.Is(err, errCut) || (n > 0) != c.left {
			t.Errorf("unexpected result with %d writes that succeed; got %d, %v; want %v, anything left: %t", c.succeed, n, err, errCut, c.left)
		}
		if n, err := raw.Write([]byte("more")); n != 0 || err == nil {
			t.Errorf("unexpected success behind a gap; got %d, %v", n, err)
		}
		_ = raw.Close()
	}
}

// stallingConn does not come back from Write once it stalls, until it is closed.
type stallingConn struct {
	net.Conn
	stalls          atomic.Bool
	stalled, closed chan struct{}
	once            sync.Once
}

// Write implements net.Conn.
func (c *stallingConn) Write(p []byte) (int, error) {
	if !c.stalls.Load() {
		return c.Conn.Write(p)
	}
	select {
	case c.stalled <- struct{}{}:
	case <-c.closed:
	}
	<-c.closed
	return 0, net.ErrClosed
}

// Close implements net.Conn.
func (c *stallingConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// A server may take nothing more. What is cancelled then must not wait for it.
func TestCancelledRequestEndsWhereTheServerTakesNothingMore(t *testing.T) {
	tr, url, _ := gathered(t)
	c := &stallingConn{stalled: make(chan struct{}), closed: make(chan struct{})}
	dial := tr.DialContext
	tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		raw, err := dial(ctx, network, address)
		c.Conn = raw
		return c, err
	}
	post := func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(make([]byte, 1<<20)))
		if err != nil {
			return err
		}
		res, err := tr.RoundTrip(req)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, res.Body)
		return errors.Join(err, res.Body.Close())
	}
	if err := post(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.stalls.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- post(ctx) }()
	<-c.stalled
	cancel()
	select {
	case err := <-ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("unexpected error; got %v; want that of the context", err)
		}
	case <-time.After(30 * time.Second):
		_ = c.Close()
		t.Fatal("the request goes on after it was cancelled")
	}
}

func TestHandshakeThatTakesTooLongIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer far.Close()
		go func() { _, _ = io.Copy(io.Discard, far) }() // it never answers
		tr := &http.Transport{
			TLSHandshakeTimeout: 6 * time.Second, TLSClientConfig: &tls.Config{},
			DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil },
		}
		awsclient.GatherWrites(tr)
		begun := time.Now()
		_, err := tr.DialTLSContext(t.Context(), "tcp", "kinesis.test:443")
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || err.Error() != "net/http: TLS handshake timeout" || time.Since(begun) != 6*time.Second {
			t.Errorf("unexpected error after %v; got %v; want a time-out after 6s", time.Since(begun), err)
		}
		if _, err := near.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("unexpected connection; got %v; want it closed", err)
		}
	})
}
