// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Vector's own protocol and OTLP over gRPC have one message each way. They are served by
// net/http, which speaks HTTP/2: so bodies are admitted before they are read, paced, counted
// and delivered by the same code as over HTTP, which a gRPC library that reads messages by
// itself does not allow. The message is what the body is over HTTP, byte by byte.

// protocol is how the events of a request came.
type protocol uint8

const (
	protocolHTTP protocol = iota
	protocolVector
	protocolOTLP // over gRPC; OTLP over HTTP is a format of protocolHTTP
	protocolCount
)

// String is a label of metrics.
func (p protocol) String() string { return [protocolCount]string{"http", "vector", "otlp_grpc"}[p] }

func (p protocol) grpc() bool { return p != protocolHTTP }

// grpcHealth is the method of the health check that all gRPC services may have.
const grpcHealth = "/grpc.health.v1.Health/Check"

const grpcContentType = "application/grpc"

// grpcEncodings are the compressions of messages by the names that clients have for them.
const grpcEncodings = "identity,gzip,deflate,snappy,zstd,lz4"

// Status codes of gRPC (https://grpc.io/docs/guides/status-codes/, checked 2026-11-24).
//
// Vector's sink gives up on NOT_FOUND, INVALID_ARGUMENT, ALREADY_EXISTS,
// PERMISSION_DENIED, OUT_OF_RANGE, UNIMPLEMENTED, UNAUTHENTICATED and DATA_LOSS, and
// repeats on every other code for ever (src/sinks/vector/config.rs of
// https://github.com/vectordotdev/vector at c3445d42d2, checked 2026-11-24). So the
// rule for 4xx and 503 holds here, too; see codeOf. RESOURCE_EXHAUSTED, which a library
// would say of a message that is too large, would come back for ever. Clients of OTLP
// repeat on UNAVAILABLE, and give up on the codes that codeOf has besides it
// (https://opentelemetry.io/docs/specs/otlp/#failures, checked 2026-11-29).
const (
	grpcOK            = 0
	grpcUnimplemented = 12
)

// grpcHeader is before each message: whether it is compressed, and its length.
const grpcHeader = 5

// grpcListener takes events over gRPC.
type grpcListener struct {
	option, address string
	server          *http.Server
	ln              net.Listener // after Start
}

// newGRPC makes the listener of an option for an address, or nil if that is "off".
func (s *Server) newGRPC(option, address string, serve http.HandlerFunc) (*grpcListener, error) {
	if address == "" || address == "off" {
		return nil, nil
	}
	tlsConfig, err := newTLS(&s.cfg.TLS, true, s.log)
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	protocols.SetHTTP1(true) // to tell clients of it, and the log, that they are wrong here
	return &grpcListener{option: option, address: address, server: &http.Server{
		Handler:           s.onlyGRPC(option, serve),
		TLSConfig:         tlsConfig,
		Protocols:         protocols,
		ReadHeaderTimeout: s.cfg.Server.HeaderTimeout,
		IdleTimeout:       s.cfg.Server.IdleTimeout,
		MaxHeaderBytes:    s.cfg.Server.HeaderMaxBytes,
		ConnContext:       s.connContext,
		ConnState:         s.connState(option),
		ErrorLog:          s.connErrors(option),
		// What a connection may hold of bodies that are not admitted yet, on top of
		// limits.memory. Vector has at most 200 requests under way.
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 256, MaxReceiveBufferPerConnection: 1 << 20, MaxReceiveBufferPerStream: 256 << 10,
			SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second,
		},
	}}, nil
}

// addr is the address in use, or "off".
func (l *grpcListener) addr() string {
	if l == nil || l.ln == nil {
		return "off"
	}
	return l.ln.Addr().String()
}

// onlyGRPC refuses what is not gRPC.
func (s *Server) onlyGRPC(option string, serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), grpcContentType):
			s.notServed(option, r.RemoteAddr, speaksHTTP)
			http.Error(w, "this is the listener for gRPC (POST with content type application/grpc); want "+s.want(option, speaksHTTP), http.StatusUnsupportedMediaType)
		case r.URL.Path == grpcHealth: // SERVING is 1, NOT_SERVING 2
			writeGRPC(w, &answer{body: s.health([]byte{0x08, 1}, []byte{0x08, 2})})
		default:
			serve(w, r)
		}
	})
}

func (s *Server) health(serving, notServing []byte) []byte {
	message := serving
	if s.draining.Load() {
		message = notServing
	}
	return frame(message)
}

// openMessage reads the header of the message and makes the rest the body of the upload.
func (u *upload) openMessage() *failure {
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

// frame puts the header before a message.
func frame(message []byte) []byte {
	b := make([]byte, grpcHeader, grpcHeader+len(message))
	binary.BigEndian.PutUint32(b[1:], uint32(len(message)))
	return append(b, message...)
}

// writeGRPC sends an answer, whose body is a frame, or empty where there is only a status.
func writeGRPC(w http.ResponseWriter, a *answer) {
	h := w.Header()
	h.Set("Content-Type", grpcContentType)
	h.Set("Grpc-Accept-Encoding", grpcEncodings)
	h.Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(a.grpcCode))
	if a.grpcText != "" {
		// Spaces and what is not printable ASCII are escaped, more than has to be.
		h.Set(http.TrailerPrefix+"Grpc-Message", url.PathEscape(a.grpcText))
	}
	if len(a.grpcDetails) > 0 {
		h.Set(http.TrailerPrefix+"Grpc-Status-Details-Bin", base64.RawStdEncoding.EncodeToString(a.grpcDetails))
		h.Set(http.TrailerPrefix+"Google.rpc.retryinfo-Bin", base64.RawStdEncoding.EncodeToString(a.grpcRetry))
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(a.body) // the stream's end says whether it arrived
}

// grpcTimeout is how long the client waits for the answer, by its header grpc-timeout: up to
// eight digits and a unit. It is 0 where the client does not say.
func grpcTimeout(r *http.Request) time.Duration {
	text := r.Header.Get("Grpc-Timeout")
	if len(text) < 2 || len(text) > 9 {
		return 0
	}
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	if err != nil {
		return 0
	}
	var unit time.Duration
	switch text[len(text)-1] {
	case 'H':
		unit = time.Hour
	case 'M':
		unit = time.Minute
	case 'S':
		unit = time.Second
	case 'm':
		unit = time.Millisecond
	case 'u':
		unit = time.Microsecond
	case 'n':
		unit = time.Nanosecond
	default:
		return 0
	}
	// A hundred million hours are more than a Duration holds.
	return min(time.Duration(n), 24*time.Hour*365/unit) * unit
}
