// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// mortal is a client of a process that can be killed: nothing leaves it afterwards.
type mortal struct {
	core.Client
	core.ReadClient
	dead *atomic.Bool
}

var errDead = errors.New("the process is dead")

func (m mortal) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	if m.dead.Load() {
		return nil, errDead
	}
	return m.Client.PutRecords(ctx, in, opts...)
}

// lives is a server that is killed and started again over one journal.
type lives struct {
	*rig
	flags []string
	dir   string

	mu   sync.RWMutex // for reading: a client takes notice of an answer
	life int
	dead *atomic.Bool
}

func newLives(t *testing.T, flags ...string) *lives {
	t.Helper()
	l := &lives{rig: &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 4))}, flags: flags, dir: t.TempDir()}
	l.rig.wrap = func(c core.Client) core.Client { return mortal{c, l.kinesis.Client(), l.dead} }
	l.begin()
	return l
}

func (l *lives) begin(more ...string) {
	l.dead = new(atomic.Bool)
	l.configure(append(append([]string{"--journal.dir=" + l.dir, "--route.ack_timeout=1s", "--server.drain_timeout=10s"}, l.flags...), more...)...)
	l.start()
}

// die ends the process as SIGKILL does. The next one gets the files as they are at that
// moment.
func (l *lives) die(more ...string) {
	l.t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.life++
	l.dead.Store(true)
	copied := l.t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(l.dir)); err != nil {
		l.t.Fatal(err)
	}
	l.kill()
	l.dir = copied
	l.begin(more...)
}

// deliver sends a body until it is answered with 200, as shippers do.
func (l *lives) deliver(body []byte, header ...string) {
	for {
		l.mu.RLock()
		life := l.life
		l.mu.RUnlock()
		rp := l.post(context.Background(), "/", body, header...)
		l.mu.RLock()
		heard := rp.err == nil && rp.status == 200 && life == l.life
		l.mu.RUnlock()
		if heard {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func (l *lives) stored(text string) (n int) {
	for _, r := range l.kinesis.Consume("logs").Records {
		if strings.Contains(string(r.Data), text) {
			n++
		}
	}
	return n
}

func TestSameBodyThousandTimesAcrossKillsIsNeverSwallowed(t *testing.T) {
	for _, named := range []bool{false, true} {
		t.Run(fmt.Sprint("named ", named), func(t *testing.T) {
			const bodies, kills, clients, events = 1000, 5, 8, 3
			l := newLives(t)
			defer func() { l.stop() }()
			l.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.1, Seed: 3, Effect: kinesistest.Delay(5 * time.Millisecond)})
			l.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{DelayReply: 2 * time.Millisecond}})
			body := []byte(strings.Repeat("{\"same\":1}\n", events))
			var next, done atomic.Int64
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					for n := next.Add(1); n <= bodies; n = next.Add(1) {
						var header []string
						if named {
							header = []string{"Idempotency-Key", fmt.Sprint(n)}
						}
						l.deliver(body, header...)
						done.Add(1)
					}
				})
			}
			rng := rand.New(rand.NewPCG(1, 2))
			for k := range kills {
				for done.Load() < int64((k+1)*bodies/(kills+1)) {
					time.Sleep(time.Millisecond)
				}
				time.Sleep(time.Duration(rng.IntN(5)) * time.Millisecond)
				l.die()
			}
			wg.Wait()
			n := l.stored(`"same"`)
			t.Logf("%d bodies of %d events answered with 200 across %d kills: %d events stored", bodies, events, kills, n)
			if n < bodies*events {
				t.Errorf("unexpected loss; got %d events stored of %d that were answered with 200", n, bodies*events)
			}
			if most := bodies*events + kills*clients*events; n > most {
				t.Errorf("unexpected duplicates; got %d events; want at most %d", n, most)
			}
		})
	}
}

func TestBodyUnderWayAtAKillIsContinued(t *testing.T) {
	l := newLives(t, "--producer.aggregation=false", "--route.partition_key=n")
	defer func() { l.stop() }()
	// Half of the records are throttled until the first process is dead.
	throttle := l.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Shard: "shardId-000000000000", Effect: kinesistest.ThrottleEntries()})
	body := ndjson(0, 100)
	if rp := l.post(t.Context(), "/", body); rp.status == 200 {
		t.Skip("everything was stored at once")
	}
	throttle.Remove()
	before := len(l.kinesis.Consume("logs").Records)
	l.die()
	l.deliver(body)
	if n := len(l.kinesis.Consume("logs").Records); n != 100 || before == 0 {
		t.Errorf("unexpected events; got %d after %d before the kill; want 100", n, before)
	}
	if st := l.server.Stats(); st.Journal.Used != 1 || st.Journal.Entries != 0 {
		t.Errorf("unexpected journal; got %+v; want one body used, and none left", st.Journal)
	}
}

// Options that shape records change between a kill and the start: what was known is not used.
func TestOptionsThatChangeOverAKillLoseNothing(t *testing.T) {
	for _, flag := range []string{"--route.combine=lines", "--route.compression=gzip", "--route.partition_key=", "--route.format=json", "--route.append_newline=true"} {
		t.Run(flag, func(t *testing.T) {
			l := newLives(t, "--producer.aggregation=false", "--route.partition_key=n")
			defer func() { l.stop() }()
			throttle := l.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Shard: "shardId-000000000000", Effect: kinesistest.ThrottleEntries()})
			body := ndjson(0, 50)
			l.post(t.Context(), "/", body)
			throttle.Remove()
			first := len(l.kinesis.Consume("logs").Records)
			l.die(flag)
			l.deliver(body)
			whole := newLives(t, "--producer.aggregation=false", "--route.partition_key=n", flag)
			whole.deliver(body)
			want := len(whole.kinesis.Consume("logs").Records)
			whole.stop()
			if n := len(l.kinesis.Consume("logs").Records); n != first+want {
				t.Errorf("unexpected events; got %d; want %d as before and %d under the new option", n, first, want)
			}
		})
	}
}

func TestSecondProcessOverOneJournalGoesOnWithout(t *testing.T) {
	l := newLives(t)
	defer func() { l.stop() }()
	var text strings.Builder
	second := &rig{t: t, kinesis: l.kinesis, log: &text}
	second.configure("--journal.dir=" + l.dir)
	second.start()
	second.post(t.Context(), "/", ndjson(0, 5)).want(t, 200, "")
	second.stop()
	if !strings.Contains(text.String(), "in use by another process") || !strings.Contains(text.String(), "at least once") {
		t.Errorf("unexpected log; want a line that says why there is no journal; got:\n%s", text.String())
	}
}

// With read-back, what was sent without an answer is looked for.
func TestBodySentWithoutAnAnswerAtAKillIsLookedFor(t *testing.T) {
	for _, c := range []struct {
		name      string
		effect    kinesistest.Effect
		verify    string
		events    int
		uncertain uint64
	}{
		{"stored", kinesistest.Effect{HangReply: true}, "true", 100, 0},
		{"not stored", kinesistest.Hang(), "true", 100, 0},
		{"stored, without read-back", kinesistest.Effect{HangReply: true}, "false", 200, 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLives(t, "--route.partition_key=n", "--producer.verify_uncertain="+c.verify)
			defer func() { l.stop() }()
			hang := l.kinesis.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: c.effect})
			body := ndjson(0, 100)
			if rp := l.post(t.Context(), "/", body); rp.status == 200 {
				t.Fatal("unexpected answer 200")
			}
			hang.Remove()
			l.die()
			l.deliver(body)
			if n := len(l.kinesis.Consume("logs").Records); n != c.events {
				t.Errorf("unexpected events; got %d; want %d", n, c.events)
			}
			if st := l.server.Stats(); st.Journal.Used != 1 || st.Journal.Uncertain != c.uncertain {
				t.Errorf("unexpected journal; got %+v; want one body used, %d records uncertain", st.Journal, c.uncertain)
			}
		})
	}
}

// lateBatch refuses record 1 as too large.
type lateBatch struct {
	settled
	n int
}

func (b lateBatch) Counts() (int, int, int) { return b.n - 1, 1, 0 }

func (b lateBatch) Failures(yield func(int, *core.RecordError) bool) {
	yield(1, &core.RecordError{Stream: "logs", Reason: core.ReasonTooLarge})
}

// A client that is told that its body can never be stored does not come again with it.
func TestBodyThatIsRejectedLateLeavesTheJournal(t *testing.T) {
	r := &rig{t: t, kinesis: kinesistest.New(kinesistest.WithStream("logs", 1))}
	r.configure("--journal.dir="+t.TempDir(), "--route.oversize=reject")
	r.start()
	defer r.stop()
	r.server.putBatch = func(_ context.Context, _ string, records []core.Record) (delivery.Batch, error) {
		return lateBatch{n: len(records)}, nil
	}
	if rp := r.post(t.Context(), "/", ndjson(0, 5)); rp.status != http.StatusUnprocessableEntity {
		t.Fatalf("unexpected status; got %d; want 422", rp.status)
	}
	if n := r.server.Stats().Journal.Entries; n != 0 {
		t.Errorf("unexpected entries of the journal; got %d; want none", n)
	}
}
