// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core/kinesistest"
)

// from sends a body from an address, without a connection.
func (r *rig) from(ctx context.Context, address string, body []byte, header ...string) int {
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", bytes.NewReader(body))
	req.RemoteAddr = address
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	r.server.Handler().ServeHTTP(w, req)
	return w.Code
}

// parked leaves a delivered body in the ledger, whose client at 10.0.0.1 is gone.
func (r *rig) parked(body []byte, header ...string) {
	r.t.Helper()
	h := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{DelayReply: 5 * time.Second}})
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Second)
	defer cancel()
	if got := r.from(ctx, "10.0.0.1:1000", body, header...); got != 503 {
		r.t.Fatalf("unexpected answer; got %d; want 503 for a client that is gone", got)
	}
	h.Remove()
	wait(r.t.Context(), 10*time.Second)
	if n := r.server.Stats().Ledger.Entries; n != 1 {
		r.t.Fatalf("unexpected entries of the ledger; got %d; want 1", n)
	}
}

// What one client has given up does not stand for what another one sends.
func TestEqualBodiesOfTwoClients(t *testing.T) {
	const forwarded = "X-Forwarded-For"
	body := []byte(`{"n":0}`)
	for _, c := range []struct {
		name    string
		flags   []string
		first   []string // headers
		address string   // of the second request
		second  []string
		after   time.Duration
		copies  int
	}{
		{name: "the same client, on another connection", address: "10.0.0.1:2000", copies: 1},
		{name: "another client", address: "10.0.0.2:1000", copies: 2},
		{name: "another client, told that addresses say nothing", flags: []string{"--ledger.client=any"}, address: "10.0.0.2:1000", copies: 1},
		{name: "the same client through another proxy", first: []string{forwarded, "192.0.2.1"}, address: "10.0.0.2:1000", second: []string{forwarded, "192.0.2.1"}, copies: 1},
		{name: "another client through the same proxy", first: []string{forwarded, "192.0.2.1"}, address: "10.0.0.1:1000", second: []string{forwarded, "192.0.2.2"}, copies: 2},
		{name: "the same client, whose proxy adds its port", first: []string{forwarded, "192.0.2.1:1000"}, address: "10.0.0.1:1000", second: []string{forwarded, "192.0.2.1:2000"}, copies: 1},
		{name: "the same client, on IPv6 with a port", first: []string{forwarded, "[2001:db8::1]:1000"}, address: "10.0.0.1:1000", second: []string{forwarded, "[2001:DB8::1]:2000"}, copies: 1},
		{name: "the same client, on IPv6 with and without brackets", first: []string{forwarded, "[2001:db8::1]"}, address: "10.0.0.1:1000", second: []string{forwarded, "2001:db8:0::1"}, copies: 1},
		{name: "the same client, on IPv4 as such and inside of IPv6", first: []string{forwarded, "::ffff:192.0.2.1"}, address: "10.0.0.1:1000", second: []string{forwarded, "192.0.2.1"}, copies: 1},
		{name: "the same client, on IPv4 inside of IPv6 in other forms", first: []string{forwarded, "[::FFFF:c000:201]:1000"}, address: "10.0.0.1:1000", second: []string{forwarded, "192.0.2.1:2000"}, copies: 1},
		{name: "the same client, at a listener of IPv6", address: "[::ffff:10.0.0.1]:2000", copies: 1},
		{name: "the same client, whose proxy puts its address into quotes", first: []string{forwarded, `"[2001:db8::1]:1000"`}, address: "10.0.0.1:1000", second: []string{forwarded, "2001:db8::1"}, copies: 1},
		{name: "another client on IPv4 inside of IPv6", first: []string{forwarded, "::ffff:192.0.2.1"}, address: "10.0.0.1:1000", second: []string{forwarded, "::ffff:192.0.2.2"}, copies: 2},
		{name: "the same client through more proxies", first: []string{forwarded, " 192.0.2.1 , 10.0.0.8"}, address: "10.0.0.1:1000", second: []string{forwarded, "192.0.2.1,10.0.0.9"}, copies: 1},
		{name: "the same client through proxies that write lines of their own", first: []string{forwarded, "192.0.2.1", forwarded, "10.0.0.8"}, address: "10.0.0.1:1000", second: []string{forwarded, "192.0.2.1", forwarded, "10.0.0.9"}, copies: 1},
		{name: "another client on IPv6", first: []string{forwarded, "[2001:db8::1]:1000"}, address: "10.0.0.1:1000", second: []string{forwarded, "[2001:db8::2]:1000"}, copies: 2},
		{name: "another client behind the first proxy", first: []string{forwarded, "192.0.2.1, 10.0.0.8"}, address: "10.0.0.1:1000", second: []string{forwarded, "192.0.2.2, 10.0.0.8"}, copies: 2},
		{name: "no client is named, only proxies", first: []string{forwarded, ", 10.0.0.8"}, address: "10.0.0.2:1000", second: []string{forwarded, ", 10.0.0.8"}, copies: 2},
		{name: "a name that hides the address", first: []string{forwarded, "unknown"}, address: "10.0.0.2:1000", second: []string{forwarded, "unknown"}, copies: 1},
		{name: "the same client just before it expires", address: "10.0.0.1:1000", after: 9 * time.Minute, copies: 1},
		{name: "an equal body after the first was given up long ago", address: "10.0.0.1:1000", after: 10 * time.Minute, copies: 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, c.flags...)
				defer r.stop()
				r.parked(body, c.first...)
				wait(t.Context(), c.after)
				if got := r.from(t.Context(), c.address, body, c.second...); got != 200 {
					t.Errorf("unexpected answer; got %d; want 200", got)
				}
				if got := r.stored("logs")[0]; got != c.copies {
					t.Errorf("unexpected copies; got %d; want %d", got, c.copies)
				}
			})
		})
	}
}

// Two clients send equal bodies at the same time: both are written, and when both
// have to come again, each finds its own.
func TestEqualBodiesAtTheSameTime(t *testing.T) {
	for _, addresses := range [][2]string{{"10.0.0.1:1", "10.0.0.2:1"}, {"10.0.0.1:1", "10.0.0.1:2"}} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, "--producer.request_timeout=1m")
			defer r.stop()
			body := []byte(`{"n":0}`)
			h := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{DelayReply: 15 * time.Second}})
			both := func(want int) {
				answers := make(chan int, 2)
				for _, a := range addresses {
					go func() { answers <- r.from(t.Context(), a, body) }()
				}
				for range 2 {
					if got := <-answers; got != want {
						t.Errorf("unexpected answer; got %d; want %d", got, want)
					}
				}
			}
			both(503)
			h.Remove()
			both(200)
			if got := r.stored("logs")[0]; got != 2 {
				t.Errorf("unexpected copies; got %d; want 2", got)
			}
			if st := r.server.Stats(); st.Ledger.Entries != 0 || st.Resumed != 2 {
				t.Errorf("unexpected counts; got %d entries, %d resumed; want 0 and 2", st.Ledger.Entries, st.Resumed)
			}
		})
	}
}

// The memory of bodies that were given up is bounded by that of all bodies, and given
// back when they are delivered, whether or not their clients come again.
func TestMemoryOfParkedBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--limits.memory=8MiB", "--limits.wire_max_size=1MiB", "--limits.body_max_size=1MiB", "--limits.events=10000",
			"--route.ack_timeout=1s", "--producer.request_timeout=1m", "--ledger.max_size=4KiB")
		defer r.stop()
		hold := make(chan struct{})
		h := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Hold: hold}})
		for i := range 64 {
			body := append(bytes.Repeat([]byte(" "), 300<<10), eventText(i)...)
			if got := r.from(t.Context(), "10.0.0.1:1", body); got != 503 {
				t.Errorf("unexpected answer; got %d; want 503", got)
			}
			st := r.server.Stats()
			if st.BudgetUsed > 8<<20 || st.Ledger.Bytes > 4<<10 {
				t.Fatalf("unexpected memory; got %d of bodies, %d of the ledger; want at most 8 MiB and 4 KiB", st.BudgetUsed, st.Ledger.Bytes)
			}
		}
		if used := r.server.Stats().BudgetUsed; used < 7<<20 {
			t.Errorf("unexpected memory; got %d; want nearly 8 MiB", used)
		}
		close(hold)
		h.Remove()
		synctest.Wait()
		wait(t.Context(), time.Minute)
		if st := r.server.Stats(); st.BudgetUsed != 0 {
			t.Errorf("unexpected memory at rest; got %d; want 0", st.BudgetUsed)
		}
	})
}

// What an attempt of an earlier request could not do is from then. The request that finds it
// ended makes an attempt of its own before it says that it failed.
func TestFailureFromBetweenTheRequestsIsTriedAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		defer r.stop()
		denied := kinesistest.Fail("AccessDeniedException", "no")
		denied.Delay = 5 * time.Second
		f := r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: denied})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		body := []byte(`{"n":0}`)
		if got := r.from(ctx, "10.0.0.1:1000", body); got != 503 {
			t.Fatalf("unexpected answer; got %d; want 503 for a client that is gone", got)
		}
		wait(t.Context(), 10*time.Second)
		if f.Hits() != 1 {
			t.Fatalf("unexpected number of failures; got %d; want 1", f.Hits())
		}
		if got := r.from(t.Context(), "10.0.0.1:2000", body); got != 200 {
			t.Errorf("unexpected answer; got %d; want 200", got)
		}
		r.account("logs", 1, 0)
	})
}
