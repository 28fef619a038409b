// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/smithy-go"

	"github.com/outkpl/outkpl/internal/cbor"
)

const (
	targetPrefix = "Kinesis_20131202."
	contentJSON  = "application/x-amz-json-1.1"
)

// webServer is the HTTP side of a server.
type webServer struct {
	handlers sync.WaitGroup // calls being served
	bodies   sync.Pool      // of *bytes.Buffer
	slabs    sync.Pool      // of *[]byte
	writers  sync.Pool      // of *jsonWriter
	cbor     sync.Pool      // of *cbor.Writer

	mu     sync.Mutex // guards the fields below
	closed bool
	stop   context.CancelFunc // ends hanging calls
	ctx    context.Context
	listen net.Listener
	server *http.Server
	served chan struct{}
	certs  *certificates
	client *http.Client
}

// Handler returns the HTTP side: AWS JSON 1.1 and, unless [WithJSONOnly] was given, the same in
// CBOR (application/x-amz-cbor-1.1): POST with X-Amz-Target, any path. What is asked in CBOR is
// answered in CBOR. Signatures are not checked, and keys by [Server.AcceptKey] only. A GET answers
// 200, for health checks.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serveHTTP) }

func (s *Server) serveHTTP(w http.ResponseWriter, req *http.Request) {
	ctx, leave, ok := s.web.enter(req.Context())
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	defer leave()
	r := request{id: s.requestID(), header: req.Header, cbor: req.Header.Get("Content-Type") == cbor.ContentType}
	w.Header().Set("x-amzn-requestid", r.id)
	w.Header().Set("Date", s.date())
	if req.Method != http.MethodPost {
		w.WriteHeader(http.StatusOK)
		return
	}
	if r.cbor && s.cfg.jsonOnly != nil {
		r.cbor = false
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, req.Body, maxHTTPBodyBytes))
		writeFailure(w, &r, s.cfg.jsonOnly)
		return
	}
	if f := s.accepted.Load().refuse(req.Header.Get("Authorization")); f != nil {
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, req.Body, maxHTTPBodyBytes))
		writeFailure(w, &r, f)
		return
	}
	buf := pooled[bytes.Buffer](&s.web.bodies)
	defer s.web.bodies.Put(buf)
	buf.Reset()
	if n := req.ContentLength; n > 0 && n <= maxHTTPBodyBytes {
		buf.Grow(int(n) + bytes.MinRead)
	}
	if _, err := buf.ReadFrom(http.MaxBytesReader(w, req.Body, maxHTTPBodyBytes)); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			writeFailure(w, &r, &failure{status: http.StatusRequestEntityTooLarge, emptyBody: true})
		}
		return
	}
	if s.cfg.countOnly { // nothing refers to the payload after the call
		slab := pooled[[]byte](&s.web.slabs)
		r.slab = *slab
		defer func() { *slab = r.slab; s.web.slabs.Put(slab) }()
	}
	f := decodeRequest(&r, req.Header.Get("X-Amz-Target"), buf.Bytes())
	if f != nil {
		writeFailure(w, &r, f)
		return
	}
	out, f := s.do(ctx, &r)
	if f != nil {
		writeFailure(w, &r, f)
		return
	}
	s.writeOutput(w, &r, out)
}

// acceptedKey is the access key that requests have to be signed with.
type acceptedKey struct{ id, code string }

// AcceptKey makes the HTTP side refuse what is not signed with the access key, with the
// code, such as "ExpiredTokenException" or "UnrecognizedClientException". "" accepts each
// key, as in the beginning. The clock of the service has no part in it: old keys expire
// when this is called.
func (s *Server) AcceptKey(id, code string) {
	if id == "" {
		s.accepted.Store(nil)
		return
	}
	s.accepted.Store(&acceptedKey{id, code})
}

func (a *acceptedKey) refuse(authorization string) *failure {
	if a == nil {
		return nil
	}
	_, rest, _ := strings.Cut(authorization, "Credential=")
	if id, _, _ := strings.Cut(rest, "/"); id != a.id {
		return fail(a.code, "The security token included in the request is expired")
	}
	return nil
}

// pooled takes a value out of a pool, or makes one.
func pooled[T any](p *sync.Pool) *T {
	if v, ok := p.Get().(*T); ok {
		return v
	}
	return new(T)
}

func (s *Server) writeOutput(w http.ResponseWriter, r *request, out smithy.Serializable) {
	if r.cbor {
		c := pooled[cbor.Writer](&s.web.cbor)
		defer s.web.cbor.Put(c)
		c.Reset()
		out.Serialize(c)
		write(w, cbor.ContentType, http.StatusOK, c.Bytes())
		return
	}
	j := pooled[jsonWriter](&s.web.writers)
	defer s.web.writers.Put(j)
	j.reset()
	out.Serialize(j)
	write(w, contentJSON, http.StatusOK, j.buf)
}

func write(w http.ResponseWriter, contentType string, status int, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	// An error means that the client has gone.
	_, _ = w.Write(body)
}

// writeFailure puts a failure into the words of HTTP. A broken connection is a
// reset on HTTP/1.1 and a reset stream on HTTP/2.
func writeFailure(w http.ResponseWriter, r *request, f *failure) {
	switch {
	case f.cause != nil, f.reset:
		if h, ok := w.(http.Hijacker); ok {
			if conn, _, err := h.Hijack(); err == nil {
				if t, ok := conn.(*tls.Conn); ok {
					conn = t.NetConn()
				}
				if tcp, ok := conn.(*net.TCPConn); ok {
					_ = tcp.SetLinger(0) // the close sends RST
				}
				_ = conn.Close()
				return
			}
		}
		panic(http.ErrAbortHandler)
	case f.emptyBody:
		w.WriteHeader(f.status)
	case r.cbor:
		body := cbor.AppendMap(nil, 2)
		for _, text := range []string{"__type", f.code, "message", f.message} {
			body = cbor.AppendText(body, text)
		}
		write(w, cbor.ContentType, f.status, body)
	default:
		body, err := json.Marshal(map[string]string{"__type": f.code, "message": f.message})
		if err != nil {
			panic(err) // two strings always marshal
		}
		write(w, contentJSON, f.status, body)
	}
}

// enter registers a call. The context ends with the client's and with Close.
func (web *webServer) enter(ctx context.Context) (context.Context, func(), bool) {
	web.mu.Lock()
	defer web.mu.Unlock()
	if web.closed {
		return nil, nil, false
	}
	if web.ctx == nil {
		web.ctx, web.stop = context.WithCancel(context.Background())
	}
	web.handlers.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	stopAfter := context.AfterFunc(web.ctx, cancel)
	return ctx, func() { stopAfter(); cancel(); web.handlers.Done() }, true
}

// decodeRequest turns a body into the SDK's input.
func decodeRequest(r *request, target string, body []byte) *failure {
	name, ok := strings.CutPrefix(target, targetPrefix)
	if !ok {
		return fail("UnknownOperationException", "")
	}
	for i, n := range opNames {
		if n == name {
			r.op = op(i)
			if r.cbor {
				return decodeCBOR(r, body)
			}
			return decodeInput(r, body)
		}
	}
	return fail("UnknownOperationException", "")
}

func unmarshal(body []byte, v any) *failure {
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return fail("SerializationException", "cannot parse the request: %s", err)
	}
	return nil
}
