// SPDX-License-Identifier: Apache-2.0

package httpsink

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
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
		x := &exchange{s: r.server, w: w, r: req, id: "a", lease: &lease{b: r.server.budget}, src: req.Body, length: req.ContentLength}
		ok, f := x.ingest()
		if f != nil {
			t.Fatal(f)
		}
		cancel()
		x.answer(ok, f)
		if w.Code != 503 {
			t.Errorf("unexpected answer; got %d; want 503", w.Code)
		}
		if got := r.from(t.Context(), req.RemoteAddr, []byte(`{"n":0}`)); got != 200 {
			t.Errorf("unexpected answer; got %d; want 200", got)
		}
		r.account("logs", 1, 0)
	})
}
