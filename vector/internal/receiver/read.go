// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/outkpl/outkpl/vector/internal/config"
)

const (
	// readStep is how much is read at a time, and where memory for a body of unknown
	// length begins.
	readStep = 64 << 10
)

var errSlow = errors.New("the body arrives too slowly")

// upload is the body of a request while it is read.
type upload struct {
	q       *request
	dest    *destination // nil if the request is refused before that is known
	src     io.Reader
	length  int64  // or -1
	reading *paced // the reader in use
}

// newUpload is the body of a request, not read yet.
func newUpload(q *request, dest *destination) *upload {
	return &upload{q: q, dest: dest, src: q.r.Body, length: q.r.ContentLength}
}

// refuse drains what the client is still sending before the answer goes out.
func (u *upload) refuse(f *failure) *failure {
	if f.reason != ReasonGone && f.reason != ReasonSlow && !u.drain() {
		f.close = true
	}
	return f
}

// readWire reads the body as it is on the wire.
func (u *upload) readWire() ([]byte, *failure) {
	if u.q.protocol.grpc() {
		if f := u.openMessage(); f != nil {
			return nil, f
		}
	}
	wire, f := u.readBody()
	if f == nil {
		u.q.s.counters.bodies.Add(1)
		u.q.s.counters.wireBytes.Add(uint64(len(wire)))
		u.q.route.counters.wireBytes.Add(uint64(len(wire)))
	}
	return wire, f
}

// paced reads a body that has to keep a pace: at each moment it may be body_grace
// behind body_min_rate, and body_timeout bounds the whole. A fixed deadline would
// either cut large bodies or let small ones dawdle.
type paced struct {
	u     *upload
	rc    *http.ResponseController
	start time.Time
	n     int64
}

func (u *upload) paced() *paced {
	return &paced{u: u, rc: http.NewResponseController(u.q.w), start: time.Now()}
}

func (p *paced) Read(b []byte) (int, error) {
	srv := &p.u.q.s.cfg.Server
	if len(b) > readStep {
		b = b[:readStep]
	}
	allowance := srv.BodyGrace + time.Duration(float64(p.n)/float64(srv.BodyMinRate)*float64(time.Second))
	// Not every ResponseWriter has deadlines; then only the tests can be slow.
	_ = p.rc.SetReadDeadline(p.start.Add(min(allowance, srv.BodyTimeout)))
	n, err := p.u.src.Read(b)
	p.n += int64(n)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errSlow
	}
	return n, err
}

// done takes the deadline away. It must not end the wait for the outcome, while
// net/http keeps reading to see whether the client is still there.
func (p *paced) done() { _ = p.rc.SetReadDeadline(time.Time{}) }

// readBody reads the body as it is on the wire. Memory is taken before each byte.
func (u *upload) readBody() ([]byte, *failure) {
	ctx, lease := u.q.r.Context(), u.q.lease
	limit := u.q.s.cfg.Limits.WireMaxBytes
	length := u.length
	tooLarge := unusable(ReasonTooLarge, "the body is larger than limits.wire_max_size = "+config.FormatSize(limit))
	if length > limit {
		return nil, unusable(ReasonTooLarge, fmt.Sprintf("the body has %d bytes; the most is limits.wire_max_size = %s", length, config.FormatSize(limit)))
	}
	room := length + 1 // one byte more, so that the end is seen without growing
	if length < 0 {
		room = readStep
	}
	buf := u.q.s.spares.body(int(room))
	if int64(cap(buf)) > lease.Most() {
		buf = nil
	}
	room = max(room, int64(cap(buf)))
	// With a known length everything that the body is likely to need is asked for at
	// once. To ask for more with some taken makes requests wait for each other.
	need := room
	if length >= 0 {
		need = u.q.s.decoder.Estimate(int(room), u.dest.form, u.dest.route.body.Limits)
	}
	// What is asked for ahead is a guess, and a body is not refused for a guess.
	if f := lease.reserve(ctx, max(room, min(need, lease.Most()))); f != nil {
		return nil, f
	}
	p := u.paced()
	u.reading = p
	defer p.done()
	if buf == nil {
		buf = make([]byte, 0, room)
	}
	for {
		if len(buf) == cap(buf) {
			if int64(len(buf)) > limit {
				return nil, tooLarge
			}
			grown := min(2*int64(cap(buf)), limit+1)
			// While it is copied both are there.
			if f := lease.reserve(ctx, int64(cap(buf))+grown); f != nil {
				return nil, f
			}
			next := make([]byte, len(buf), grown)
			copy(next, buf)
			buf = next
			_ = lease.reserve(ctx, grown) // less cannot fail
		}
		n, err := p.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return nil, tooLarge
		case errors.Is(err, io.EOF):
			lease.body = buf
			return buf, nil
		case errors.Is(err, errSlow):
			f := retryable(ReasonSlow, "the body arrived too slowly")
			f.close = true
			return nil, f
		case errors.Is(err, errTwoMessages):
			return nil, unusable(ReasonMalformed, err.Error())
		case err != nil:
			if u.q.r.Context().Err() != nil || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil, goneFailure()
			}
			if f := u.brokenChunks(err); f != nil {
				return nil, f
			}
			f := goneFailure()
			f.text = "the body could not be read"
			return nil, f
		}
	}
}

// brokenChunks is the answer to a body in chunks that are none, or nil if err may be of
// the connection. The same bytes would be refused for ever.
func (u *upload) brokenChunks(err error) *failure {
	var network net.Error
	cut := strings.Contains(err.Error(), io.ErrUnexpectedEOF.Error()) // in a trailer, without being that error
	if cut || u.q.r.ProtoMajor != 1 || len(u.q.r.TransferEncoding) == 0 || errors.As(err, &network) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	f := unusable(ReasonMalformed, "the body is not in chunks as Transfer-Encoding says")
	f.close = true // where the next request begins is unknown
	return f
}

// drain reads and forgets what is left of a body that is refused, up to a bound. A
// client that is still writing when the connection is closed sees a broken
// connection, which it retries, instead of the answer. It tells whether nothing is
// left, so that the connection can be used again.
func (u *upload) drain() (all bool) {
	if u.q.r.Body == nil {
		return true
	}
	if strings.EqualFold(u.q.r.Header.Get("Expect"), "100-continue") {
		return false // a client that asks first has not sent anything
	}
	p := u.reading
	if p == nil {
		p = u.paced()
	}
	defer p.done()
	limit := 4 * max(u.q.s.cfg.Limits.WireMaxBytes, u.q.s.cfg.Limits.BodyMaxBytes)
	n, err := io.Copy(io.Discard, io.LimitReader(p, limit))
	return err == nil && n < limit
}
