// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// hangUp is a connection that ends at a certain moment of an answer.
type hangUp struct {
	*httptest.ResponseRecorder
	after func() // the answer is out
	err   error
}

func (h *hangUp) FlushError() error {
	if h.after != nil {
		h.after()
	}
	return h.err
}

// A client that closes its connection as soon as it has the answer must not be taken
// for one that never got it: the next equal body would count as sent already.
func TestClientThatHangsUpBehindTheAnswer(t *testing.T) {
	body := []byte(`{"n":0}`)
	for _, c := range []struct {
		name   string
		change func(w *hangUp, cancel func())
		copies int
	}{
		{"behind the answer: it has it, and equal bodies are new ones", func(w *hangUp, cancel func()) { w.after = cancel }, 2},
		{"the answer breaks: the body comes again", func(w *hangUp, _ func()) { w.err = errors.New("broken pipe") }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				defer r.stop()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w := &hangUp{ResponseRecorder: httptest.NewRecorder()}
				c.change(w, cancel)
				r.server.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(body)))
				if w.Code != 200 {
					t.Fatalf("unexpected answer; got %d; want 200", w.Code)
				}
				if got := r.from(t.Context(), "192.0.2.1:2", body); got != 200 {
					t.Errorf("unexpected answer; got %d; want 200", got)
				}
				if got := r.stored("logs")[0]; got != c.copies {
					t.Errorf("unexpected copies; got %d; want %d", got, c.copies)
				}
			})
		})
	}
}

// A client that ended its side while the delivery went on gets no 200, for it may not
// be there to read it, and the body is remembered.
func TestClientThatHangsUpBeforeTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w := httptest.NewRecorder()
		req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader([]byte(`{"n":0}`)))
		q := &request{s: r.server, w: w, r: req, id: "a", lease: &lease{b: r.server.budget}}
		res := q.ingest()
		if res.failure != nil {
			t.Fatal(res.failure)
		}
		cancel()
		q.sendAnswer(res)
		if w.Code != 503 {
			t.Errorf("unexpected answer; got %d; want 503", w.Code)
		}
		if got := r.from(t.Context(), req.RemoteAddr, []byte(`{"n":0}`)); got != 200 {
			t.Errorf("unexpected answer; got %d; want 200", got)
		}
		r.account("logs", 1, 0)
	})
}

// Shippers come again when they are told to, in whole seconds and not before; they go to
// another connection when this one ends; and Fluent Bit retries what has a large
// answer, though it was 200.
func TestAnswersHaveTheHeadersThatShippersObey(t *testing.T) {
	large := make([]byte, maxAnswerBytes+1)
	for _, c := range []struct {
		name           string
		answer         answer
		draining       bool
		retryAfter     string
		length, closes string
	}{
		{name: "success", answer: answer{status: 200, body: []byte("{}")}, length: "2"},
		{name: "later, in a second", answer: answer{status: 503, retryAfter: time.Second}, retryAfter: "1", length: "0"},
		{name: "later, in a part of a second", answer: answer{status: 503, retryAfter: time.Millisecond}, retryAfter: "1", length: "0"},
		{name: "later, in a second and a half", answer: answer{status: 503, retryAfter: 1500 * time.Millisecond}, retryAfter: "2", length: "0"},
		{name: "a body as large as it may be", answer: answer{status: 400, body: large[:maxAnswerBytes]}, length: strconv.Itoa(maxAnswerBytes)},
		{name: "a body that is too large is left out", answer: answer{status: 400, body: large}, length: "0"},
		{name: "the last on its connection", answer: answer{status: 413, close: true}, length: "0", closes: "close"},
		{name: "while the program ends", answer: answer{status: 200}, draining: true, length: "0", closes: "close"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				defer r.stop()
				r.server.draining.Store(c.draining)
				defer r.server.draining.Store(false)
				w := httptest.NewRecorder()
				q := &request{s: r.server, w: w, r: httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil), id: "a"}
				if err := q.writeAnswer(&c.answer); err != nil {
					t.Fatal(err)
				}
				h := w.Header()
				if w.Code != c.answer.status || h.Get("Retry-After") != c.retryAfter || h.Get("Content-Length") != c.length || h.Get("Connection") != c.closes {
					t.Errorf("unexpected answer; got %d, %v; want %d, Retry-After %q, Content-Length %q, Connection %q",
						w.Code, h, c.answer.status, c.retryAfter, c.length, c.closes)
				}
			})
		})
	}
}
