// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"
)

// Vector's own protocol is gRPC with one message each way. It is served by net/http,
// which speaks HTTP/2: so bodies are admitted before they are read, paced, counted and
// delivered by the same code as over HTTP, which a gRPC library that reads messages by
// itself does not allow.

// Paths of the methods.
const (
	nativePush   = "/vector.Vector/PushEvents"
	nativeHealth = "/vector.Vector/HealthCheck"
	grpcHealth   = "/grpc.health.v1.Health/Check"
)

const grpcContentType = "application/grpc"

// Status codes of gRPC (https://grpc.io/docs/guides/status-codes/, checked 2026-11-24).
//
// Vector's sink gives up on NOT_FOUND, INVALID_ARGUMENT, ALREADY_EXISTS,
// PERMISSION_DENIED, OUT_OF_RANGE, UNIMPLEMENTED, UNAUTHENTICATED and DATA_LOSS, and
// repeats on every other code for ever (src/sinks/vector/config.rs of
// https://github.com/vectordotdev/vector at c3445d42d2, checked 2026-11-24). So the
// rule for 4xx and 503 holds here, too; see codeOf. RESOURCE_EXHAUSTED, which a library
// would say of a message that is too large, would come back for ever.
const (
	grpcOK            = 0
	grpcUnimplemented = 12
)

// grpcHeader is before each message: whether it is compressed, and its length.
const grpcHeader = 5

// newNative makes the server for Vector's protocol, or nil if it is off.
func (s *Server) newNative() (*http.Server, error) {
	if !s.cfg.Native.Enabled() {
		return nil, nil
	}
	tlsConfig, err := newTLS(&s.cfg.TLS, true, s.log)
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           http.HandlerFunc(s.serveNative),
		TLSConfig:         tlsConfig,
		Protocols:         protocols,
		ReadHeaderTimeout: s.cfg.Server.HeaderTimeout,
		IdleTimeout:       s.cfg.Server.IdleTimeout,
		MaxHeaderBytes:    s.cfg.Server.HeaderMaxBytes,
		ConnContext:       s.connContext,
		ConnState:         s.connState("native.listen"),
		ErrorLog:          s.main.ErrorLog,
		// What a connection may hold of bodies that are not admitted yet, on top of
		// limits.memory. Vector has at most 200 requests under way.
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 256, MaxReceiveBufferPerConnection: 1 << 20, MaxReceiveBufferPerStream: 256 << 10,
			SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second,
		},
	}, nil
}

// serveNative dispatches by method. Requests for health do not count.
func (s *Server) serveNative(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), grpcContentType) {
		http.Error(w, "this is gRPC: want POST with content type application/grpc", http.StatusUnsupportedMediaType)
		return
	}
	switch r.URL.Path {
	case nativePush:
		s.serveRequest(&request{w: w, r: r, native: true})
	case nativeHealth: // SERVING is 0, NOT_SERVING 1
		writeGRPC(w, grpcOK, "", s.health(nil, []byte{0x08, 1}))
	case grpcHealth: // SERVING is 1, NOT_SERVING 2
		writeGRPC(w, grpcOK, "", s.health([]byte{0x08, 1}, []byte{0x08, 2}))
	default:
		s.anotherProtocol(r, "native.listen", r.URL.Path[:min(len(r.URL.Path), 100)])
		writeGRPC(w, grpcUnimplemented, "no such method", nil)
	}
}

func (s *Server) health(serving, notServing []byte) []byte {
	message := serving
	if s.draining.Load() {
		message = notServing
	}
	return frame(message)
}

// openNative reads the header of the message and makes the rest the body of the
// upload.
func (u *upload) openNative() *failure {
	var header [grpcHeader]byte
	p := u.paced()
	_, err := io.ReadFull(p, header[:])
	p.done()
	switch {
	case errors.Is(err, errSlow):
		f := retryable(ReasonSlow, "the body arrived too slowly")
		f.close = true
		return f
	case err != nil:
		return goneFailure()
	}
	u.length = int64(binary.BigEndian.Uint32(header[1:]))
	switch header[0] {
	case 0:
	case 1:
		encoding := u.q.r.Header.Get("Grpc-Encoding")
		if encoding == "" || strings.EqualFold(encoding, "identity") {
			return unusable(ReasonMalformed, "a compressed message without grpc-encoding")
		}
		u.dest.form.Encodings = encoding
	default:
		return unusable(ReasonMalformed, "not a gRPC message")
	}
	u.src = &oneMessage{r: u.src, left: u.length}
	return nil
}

// oneMessage reads a message whose length is known. The end of the stream has to come
// behind it, not before: half a message is a client that is gone.
type oneMessage struct {
	r    io.Reader
	left int64
}

var errTwoMessages = errors.New("more than one message")

func (m *oneMessage) Read(b []byte) (int, error) {
	if m.left == 0 {
		var more [1]byte
		n, err := m.r.Read(more[:])
		if n > 0 {
			return 0, errTwoMessages
		}
		return 0, err
	}
	if int64(len(b)) > m.left {
		b = b[:m.left]
	}
	n, err := m.r.Read(b)
	m.left -= int64(n)
	if errors.Is(err, io.EOF) && m.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
