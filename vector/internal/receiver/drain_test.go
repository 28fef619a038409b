// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// Whatever was answered with 200 before, during and after the signal is in Kinesis.
func TestShutdownUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, each = 20, 25
		r := newRig(t, "--server.drain_delay=2s")
		r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{
			Delay: 300 * time.Millisecond, EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.2,
		}})
		var mu sync.Mutex // guards acked and next
		acked, next := map[int]bool{}, 0
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				for {
					mu.Lock()
					lo := next
					next += each
					mu.Unlock()
					rp := r.post(t.Context(), "/", ndjson(lo, lo+each))
					if rp.err != nil {
						return // refused: the server is gone
					}
					if rp.status != 200 && rp.status != 503 {
						t.Errorf("unexpected answer; got %d %s; want 200 or 503", rp.status, rp.body)
					}
					if rp.status == 200 {
						mu.Lock()
						for i := lo; i < lo+each; i++ {
							acked[i] = true
						}
						mu.Unlock()
					}
				}
			})
		}
		wait(t.Context(), 5*time.Second)
		begin := time.Now()
		done := make(chan error)
		go func() { done <- r.server.Shutdown(t.Context()) }()
		synctest.Wait()
		ready := func() int {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url("/readyz"), nil)
			return r.do(req).status
		}
		if got := ready(); got != 503 {
			t.Errorf("unexpected readiness while draining; got %d; want 503", got)
		}
		r.post(t.Context(), "/", ndjson(1_000_000, 1_000_001)).want(t, 200, "")
		if err := <-done; err != nil {
			t.Errorf("unexpected error of Shutdown; got %v; want none", err)
		}
		if took := time.Since(begin); took < 2*time.Second || took > 12*time.Second {
			t.Errorf("unexpected time of Shutdown; got %v; want the delay of 2s and an ack timeout at most", took)
		}
		wg.Wait()
		r.client.CloseIdleConnections()
		got := r.stored("logs")
		lost := 0
		for i := range acked {
			if got[i] == 0 {
				lost++
			}
		}
		if lost > 0 || len(acked) < clients*each {
			t.Errorf("unexpected account; got %d of %d acknowledged events lost; want 0 of many", lost, len(acked))
		}
	})
}

// When Kinesis does not answer, the end comes all the same, and nothing is acknowledged.
func TestShutdownIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "--route.ack_timeout=5m", "--server.drain_timeout=10s")
		r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Hang()})
		answers := make(chan reply, 1)
		go func() { answers <- r.post(t.Context(), "/", ndjson(0, 10)) }()
		wait(t.Context(), time.Second)
		begin := time.Now()
		err := r.server.Shutdown(t.Context())
		if err == nil || !strings.Contains(err.Error(), "cannot deliver 10 records") {
			t.Errorf("unexpected error; got %v; want one that counts the records left", err)
		}
		if took := time.Since(begin); took > 11*time.Second {
			t.Errorf("unexpected time of Shutdown; got %v; want at most 11s", took)
		}
		if rp := <-answers; rp.status == 200 {
			t.Errorf("unexpected answer; got 200 for events that are not stored")
		}
		r.client.CloseIdleConnections()
	})
}

// stuck is a place for dead letters that cannot be closed.
type stuck struct{ memory }

func (*stuck) Close(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// A drain that runs out of time for records says nothing of dead letters, unless they
// cannot be closed.
func TestShutdownOutOfTimeTellsOfDeadLettersOnlyIfTheyAreNotClosed(t *testing.T) {
	for _, c := range []struct {
		name   string
		open   func(dir string) (deadletter.Sink, error)
		closed bool
	}{
		{"a file", func(dir string) (deadletter.Sink, error) {
			return deadletter.OpenFile(deadletter.FileConfig{Path: filepath.Join(dir, "dead-letters")})
		}, true},
		{"memory", func(string) (deadletter.Sink, error) { return &memory{}, nil }, true},
		{"a place that is stuck", func(string) (deadletter.Sink, error) { return &stuck{}, nil }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				deadLetters, err := c.open(dir)
				if err != nil {
					t.Fatal(err)
				}
				r := poisonRig(t, deadLetters, 1<<20, "--dead_letter.file=unused", "--route.ack_timeout=5m", "--server.drain_timeout=10s")
				r.post(t.Context(), "/", []byte(largeEvent(0, 1<<20))).want(t, 200, `"dead_lettered":1`)
				r.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Hang()})
				go func() { r.post(t.Context(), "/", ndjson(0, 10)) }()
				wait(t.Context(), time.Second)
				begin := time.Now()
				err = r.server.Shutdown(t.Context())
				if err == nil || !strings.Contains(err.Error(), "cannot deliver 10 records") || strings.Contains(err.Error(), "dead letter") == c.closed {
					t.Errorf("unexpected error; got %v; want one that counts the records, and of dead letters only if they are not closed", err)
				}
				if took := time.Since(begin); took > 13*time.Second {
					t.Errorf("unexpected time of Shutdown; got %v; want about 10s", took)
				}
				r.client.CloseIdleConnections()
			})
		})
	}
}

func TestShutdownWithoutStart(t *testing.T) {
	r := &rig{t: t, kinesis: kinesistest.New(), real: true}
	r.configure("--server.listen=127.0.0.1:0")
	r.start()
	taken := r.server.Addr()
	second := &rig{t: t, kinesis: kinesistest.New(), real: true}
	second.configure("--server.listen="+taken, "--server.drain_timeout=1s")
	if err := second.run(); err == nil || !strings.Contains(err.Error(), "server.listen "+taken) {
		t.Errorf("unexpected error; got %v; want one that names the address", err)
	}
	r.stop()
}

// A server that cannot start has nothing to drain: it does not speak of it, nor wait, and gives its other
// addresses free. One that started does all that.
func TestServerThatCannotStartDoesNotDrain(t *testing.T) {
	for _, taken := range []string{"", "server.listen", "server.admin_listen", "native.listen", "otlp_grpc.listen"} {
		t.Run("taken "+taken, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				addresses := map[string]string{"server.listen": "127.0.0.1:1", "server.admin_listen": "127.0.0.1:2", "native.listen": "127.0.0.1:3", "otlp_grpc.listen": "127.0.0.1:4"}
				args := []string{"--route.stream=logs", "--server.drain_delay=3s"}
				for name, address := range addresses {
					args = append(args, "--"+name+"="+address)
				}
				cfg, err := config.Load(config.Sources{Args: args})
				if err != nil {
					t.Fatal(err)
				}
				producer, err := core.New(kinesistest.New(kinesistest.WithStream("logs", 1)).Client())
				if err != nil {
					t.Fatal(err)
				}
				var opened []*pipes
				var out bytes.Buffer
				s, err := New(cfg, producer, Deps{Logger: slog.New(slog.NewTextHandler(&out, nil)), Listen: func(_, address string) (net.Listener, error) {
					if address == addresses[taken] {
						return nil, errors.New("address already in use")
					}
					opened = append(opened, newPipes())
					return opened[len(opened)-1], nil
				}})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel() // what starts ends at once
				began := time.Now()
				err = s.Run(ctx)
				took, drained := time.Since(began), strings.Contains(out.String(), "drain")
				if taken == "" {
					if err != nil || took < 3*time.Second || !drained {
						t.Errorf("unexpected end after %v; got %v, %s; want it drained", took, err, out.String())
					}
				} else if err == nil || !strings.Contains(err.Error(), "cannot listen on "+taken) || took >= 3*time.Second || drained {
					t.Errorf("unexpected end after %v; got %v, %s; want it to name the address, at once, and nothing of draining", took, err, out.String())
				}
				for i, ln := range opened {
					select {
					case <-ln.closed:
					default:
						t.Errorf("listener %d is left open", i)
					}
				}
			})
		})
	}
}
