// SPDX-License-Identifier: Apache-2.0

package awsclient

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// gatherWrites has a transport give the kernel several records of TLS at once. crypto/tls makes a
// system call for each 16 KiB, and each of them may wake the threads of both ends.
func gatherWrites(t *http.Transport) {
	t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		raw, err := t.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c, err := handshake(ctx, t, raw, address)
		if err != nil {
			_ = raw.Close()
			return nil, err
		}
		return c, nil
	}
}

// handshake makes a connection one with TLS, as the transport would do it.
func handshake(ctx context.Context, t *http.Transport, raw net.Conn, address string) (net.Conn, error) {
	set := t.TLSClientConfig.Clone()
	if set.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		set.ServerName = host
	}
	g := &gatherer{Conn: raw}
	c := tls.Client(g, set)
	within, cancel := context.WithTimeoutCause(ctx, t.TLSHandshakeTimeout, errHandshakeTimeout)
	defer cancel()
	if err := c.HandshakeContext(within); err != nil {
		if errors.Is(context.Cause(within), errHandshakeTimeout) {
			return nil, errHandshakeTimeout
		}
		return nil, err
	}
	return &tlsConn{Conn: c, raw: g}, nil
}

// errHandshakeTimeout is the error of the transport in this case.
var errHandshakeTimeout error = handshakeTimeout{}

type handshakeTimeout struct{}

func (handshakeTimeout) Error() string   { return "net/http: TLS handshake timeout" }
func (handshakeTimeout) Timeout() bool   { return true }
func (handshakeTimeout) Temporary() bool { return true }

// tlsConn writes what it is given with one system call for each pieceBytes.
type tlsConn struct {
	*tls.Conn
	raw     *gatherer
	writing atomic.Int32
}

// Close implements net.Conn. As crypto/tls does, it cuts a write that is under way.
func (c *tlsConn) Close() error {
	if c.writing.Load() > 0 {
		_ = c.raw.Conn.Close()
	}
	return c.Conn.Close()
}

// pieceBytes is how much is written at once. More than that saves nothing.
const pieceBytes = 64 << 10

// pieces have room for what tlsConn reads and for its records, of which each has some bytes more.
var pieces = sync.Pool{New: func() any { return new([pieceBytes + 512]byte) }}

// Write implements net.Conn.
func (c *tlsConn) Write(p []byte) (int, error) {
	c.writing.Add(1)
	defer c.writing.Add(-1)
	c.raw.begin()
	n, err := c.Conn.Write(p)
	sent, flushed := c.raw.end()
	if err == nil {
		err = flushed
	}
	if !sent {
		n = 0 // so that the transport knows that nothing has left
	}
	return n, err
}

// ReadFrom implements io.ReaderFrom, with which the transport sends a body.
func (c *tlsConn) ReadFrom(r io.Reader) (n int64, err error) {
	piece := pieces.Get().(*[pieceBytes + 512]byte)
	defer pieces.Put(piece)
	for {
		got, readErr := io.ReadFull(r, piece[:pieceBytes])
		if got > 0 {
			wrote, err := c.Write(piece[:got])
			if n += int64(wrote); err != nil {
				return n, err
			}
		}
		switch {
		case errors.Is(readErr, io.EOF) || errors.Is(readErr, io.ErrUnexpectedEOF):
			return n, nil
		case readErr != nil:
			return n, readErr
		}
	}
}

// gatherer keeps what is written between begin and end, as far as there is room for it. Besides what
// is sent, crypto/tls writes when the server wants other keys, and then maybe in between.
type gatherer struct {
	net.Conn

	mu    sync.Mutex // guards what follows
	piece *[pieceBytes + 512]byte
	n     int
	sent  bool // something has left since begin
	err   error
}

func (g *gatherer) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.piece, g.n, g.sent = pieces.Get().(*[pieceBytes + 512]byte), 0, false
}

// end writes the rest. It reports whether anything has left since begin.
func (g *gatherer) end() (sent bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.flush()
	pieces.Put(g.piece)
	g.piece = nil
	return g.sent, g.err
}

// Write implements net.Conn.
func (g *gatherer) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.piece == nil {
		return g.Conn.Write(p)
	}
	if len(p) > len(g.piece)-g.n {
		g.flush()
	}
	if len(p) > len(g.piece) {
		g.write(p)
	} else if g.err == nil {
		g.n += copy(g.piece[g.n:], p)
	}
	if g.err != nil {
		return 0, g.err
	}
	return len(p), nil
}

func (g *gatherer) flush() {
	g.write(g.piece[:g.n])
	g.n = 0
}

// write writes, unless it failed before: what comes after a gap is of no use to anybody.
func (g *gatherer) write(p []byte) {
	if g.err != nil || len(p) == 0 {
		return
	}
	var n int
	n, g.err = g.Conn.Write(p)
	g.sent = g.sent || n > 0
}
