// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
)

// TestChaosWithJournalAndReadBack lets three processes with journal and read-back write to one
// stream, while each of them is killed and started again, shards are split and merged, and calls
// fail in all ways. It goes in rounds, each with a stream of its own, for the time in CHAOS, or CHAOS_ROUNDS
// of a minute of a clock that does not wait, by default one of each load. Nothing may be lost, and at most
// one event in a million may be doubled, two more in short runs, as calls have several. In one round after the
// other some 20 kB/s go to each shard, all of which may be read in time, and 250 kB/s, which is more than may
// be read. With 20 kB/s the log of the stream has to show of each doubled event that its first copy was stored
// after the process had looked for it the last time, or not in an aggregate, so that it has no key by which it
// can be looked for; with 250 kB/s that, or that its search was given up. CHAOS_SEED repeats a run, as far
// as the scheduler lets it.
func TestChaosWithJournalAndReadBack(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("CHAOS_SEED"); s != "" {
		if _, err := fmt.Sscan(s, &seed); err != nil {
			t.Fatalf("cannot parse CHAOS_SEED=%q: %v", s, err)
		}
	}
	t.Logf("CHAOS_SEED=%d", seed)
	var sums [2]chaosCounts // by load
	defer func() {
		t.Logf("%+v", sums)
		if busy := sums[1]; busy.Unexplained > int(busy.GivenUp) {
			t.Errorf("unexpected duplicates where more is written than may be read; got %d that are not explained, %d given up", busy.Unexplained, busy.GivenUp)
		}
		sum := sums[0]
		if sum.Kills == 0 || sum.Reshards == 0 || sum.Known == 0 || sum.Stored == 0 || sum.Missing == 0 {
			t.Error("some kind of fault did not happen")
		}
		for load, sum := range sums {
			if most := sum.Events/1_000_000 + 2; sum.Doubled > most {
				t.Errorf("unexpected duplicates with load %d; got %d of %d events; want at most %d", load, sum.Doubled, sum.Events, most)
			}
		}
	}()
	s := os.Getenv("CHAOS")
	if s == "" {
		rounds := 1
		if s := os.Getenv("CHAOS_ROUNDS"); s != "" {
			if _, err := fmt.Sscan(s, &rounds); err != nil {
				t.Fatalf("cannot parse CHAOS_ROUNDS=%q: %v", s, err)
			}
		}
		for i := range rounds {
			for load := range chaosLoads {
				synctest.Test(t, func(t *testing.T) { chaosRound(t, seed+uint64(i), load, time.Minute, &sums[load]) })
			}
		}
		return
	}
	total, err := time.ParseDuration(s)
	if err != nil {
		t.Fatalf("cannot parse CHAOS=%q: %v", s, err)
	}
	for i, began := 0, time.Now(); time.Since(began) < total && !t.Failed(); i, seed = i+1, seed+1 {
		chaosRound(t, seed, i%2, min(total, time.Minute), &sums[i%2])
		t.Logf("after %v: %+v", time.Since(began).Round(time.Second), sums)
	}
}

// chaosLoads are the bytes by which events are longer, round by round.
var chaosLoads = [2]int{0, 1200}

// chaosCounts is what happened.
type chaosCounts struct {
	// Alone counts doubled events whose first copy is not in an aggregate.
	Events, Doubled, Alone, Unexplained int
	Kills, Reshards                     int
	// Known counts contents of which a later process knew something, Uncertain events that it has
	// sent again without knowing; Stored, Missing and GivenUp what was looked for.
	Known, Uncertain, Stored, Missing, GivenUp uint64
}

// chaosProcess is a process that is started again whenever it is killed.
type chaosProcess struct {
	t      *testing.T
	server *kinesistest.Server
	detach bool
	opts   []core.Option

	mu    sync.RWMutex // for reading: a client takes notice of an answer
	life  *life        // nil while it is down
	lives int

	looksMu sync.Mutex
	looks   map[string][]time.Time // when reads of a shard began
}

func (p *chaosProcess) start(dir string) {
	p.life = liveAndTell(p.t, p.server, dir, p.detach, true, func(shard string) {
		p.looksMu.Lock()
		defer p.looksMu.Unlock()
		p.looks[shard] = append(p.looks[shard], time.Now())
	}, p.opts...)
}

// account adds what the process has counted.
func (p *chaosProcess) account(sum *chaosCounts) {
	s, j := p.life.producer.Stats(), p.life.journal.Stats()
	sum.Stored += s.VerifyStored
	sum.Missing += s.VerifyMissing
	sum.GivenUp += s.VerifyGivenUp
	sum.Known += j.Used
	sum.Uncertain += j.Uncertain
}

// kill ends the process, and starts it again after a while.
func (p *chaosProcess) kill(down time.Duration, sum *chaosCounts) {
	p.mu.Lock()
	dir := p.life.kill()
	p.account(sum)
	p.life, p.lives = nil, p.lives+1
	p.mu.Unlock()
	time.Sleep(down)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start(dir)
	sum.Kills++
}

// deliver lets a content come until its answer is heard, as hosts do.
func (p *chaosProcess) deliver(rng *rand.Rand, next func() *Content) {
	for {
		p.mu.RLock()
		l, life := p.life, p.lives
		p.mu.RUnlock()
		if l == nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		began := l.journal.Enter()
		out := l.attempt(next())
		l.journal.Leave(began)
		p.mu.RLock()
		heard := out.State == Stored && life == p.lives
		p.mu.RUnlock()
		if heard {
			return
		}
		time.Sleep(time.Duration(1+rng.IntN(100)) * time.Millisecond)
	}
}

// attempt is one attempt of a host.
func (a *life) attempt(c *Content) Outcome {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	d, _ := a.Take(c.Scope, c.Bytes)
	if old := d.Content(); old != nil {
		old.Bytes = c.Bytes
		c = old
	}
	out := d.Outcome()
	if !d.Finished() {
		out = a.Deliver(ctx, d, c)
	}
	if out.State == Stored {
		a.Answered(d, true)
	}
	return out
}

func chaosRound(t *testing.T, seed uint64, load int, d time.Duration, sum *chaosCounts) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	s := kinesistest.New(kinesistest.WithStream("logs", 4), kinesistest.WithLimits(kinesistest.AWSLimits))
	for i, e := range []kinesistest.Effect{
		kinesistest.LoseReply(),
		{HangReply: true},
		kinesistest.Hang(), kinesistest.Reset(), kinesistest.Status(500), kinesistest.Status(503),
		{EntryCode: "InternalFailure", EntryShare: 0.3},
		{EntryCode: "ProvisionedThroughputExceededException", EntryShare: 0.3},
		kinesistest.Delay(200 * time.Millisecond),
	} {
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Probability: 0.01, Seed: seed*100 + uint64(i), Effect: e})
	}
	for i, e := range []kinesistest.Effect{
		kinesistest.Fail("ProvisionedThroughputExceededException", ""), kinesistest.Fail("ExpiredIteratorException", ""), kinesistest.Status(500), kinesistest.Delay(300 * time.Millisecond),
	} {
		s.Fault(kinesistest.Fault{Operation: "GetRecords", Probability: 0.02, Seed: seed*100 + 50 + uint64(i), Effect: e})
	}
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var next atomic.Int64
	var clients, faults sync.WaitGroup
	var processes []*chaosProcess
	for i, opts := range [][]core.Option{
		{}, {core.WithOrdering(core.OrderingStrict), core.WithAggregationMaxBytes(3000)}, {core.WithMaxInFlight(3), core.WithMaxBufferedTime(20 * time.Millisecond)},
	} {
		p := &chaosProcess{t: t, server: s, detach: i == 1, looks: map[string][]time.Time{}, opts: append(opts, core.WithRequestTimeout(time.Duration(1+i)*time.Second))}
		p.start(t.TempDir())
		processes = append(processes, p)
		for w := range 3 {
			rng := rand.New(rand.NewPCG(seed, uint64(10+3*i+w)))
			clients.Go(func() {
				for ctx.Err() == nil {
					n := 1 + rng.IntN(150)
					first := int(next.Add(int64(n))) - n
					p.deliver(rng, func() *Content { return chaosContent(first, n, chaosLoads[load], w > 0) })
					time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
				}
			})
		}
	}
	faults.Go(func() {
		for sleepUntil(ctx, time.Duration(500+rng.IntN(1500))*time.Millisecond) {
			switch open := s.OpenShards("logs"); rng.IntN(4) {
			case 0:
				if i := rng.IntN(len(open)); len(open) < 8 && s.SplitEven("logs", open[i].ID) == nil {
					sum.Reshards++
				}
			case 1:
				if i := rng.IntN(len(open)); i > 0 && len(open) > 4 && s.Merge("logs", open[i-1].ID, open[i].ID) == nil {
					sum.Reshards++
				}
			default:
				processes[rng.IntN(len(processes))].kill(time.Duration(rng.IntN(1000))*time.Millisecond, sum)
			}
		}
	})
	faults.Wait()
	clients.Wait()
	for _, p := range processes {
		p.account(sum)
		p.life.close()
	}
	chaosCheck(t, s, processes, int(next.Load()), load, sum)
}

func sleepUntil(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// chaosContent has events with the numbers from first on, which are longer by more bytes.
func chaosContent(first, n, more int, keyed bool) *Content {
	c := &Content{Bytes: binary.BigEndian.AppendUint64(nil, uint64(first)), Stream: "logs", Probe: NoProbe, Receiver: retryAll{}}
	for k := range n {
		r := core.Record{Data: append(binary.BigEndian.AppendUint64(nil, uint64(first+k)), "a log line as they come from a host"...)}
		r.Data = append(r.Data, make([]byte, more)...)
		if keyed {
			r.PartitionKey = fmt.Sprint("pod-", k%100)
		}
		c.Records = append(c.Records, r)
	}
	return c
}

// chaosCheck looks at what is in the stream.
func chaosCheck(t *testing.T, s *kinesistest.Server, processes []*chaosProcess, events, load int, sum *chaosCounts) {
	t.Helper()
	copies := make([][]int32, events)
	records := s.Consume("logs").Records
	for i, r := range records {
		id := binary.BigEndian.Uint64(r.Data)
		copies[id] = append(copies[id], int32(i))
	}
	lost := 0
	for id, list := range copies {
		if len(list) == 0 {
			lost++
			continue
		}
		slices.SortFunc(list, func(a, b int32) int { return records[a].ArrivalTime.Compare(records[b].ArrivalTime) })
		for k := range list[1:] {
			sum.Doubled++
			first, second := records[list[k]], records[list[k+1]]
			if !first.Aggregated {
				sum.Alone++
				continue
			}
			if look := lastLook(processes, first.ShardID, second.ArrivalTime); look.IsZero() || first.ArrivalTime.Before(look) {
				if sum.Unexplained++; load == 0 && sum.Unexplained <= 20 {
					t.Errorf("event %d is there twice without reason: %s at %v, looked for at %v, %s at %v", id, first.ShardID, first.ArrivalTime, look, second.ShardID, second.ArrivalTime)
				}
			}
		}
	}
	sum.Events += events
	if lost > 0 {
		t.Errorf("unexpected loss; got %d of %d events; want 0", lost, events)
	}
}

// lastLook is when a shard was read the last time before a moment, by the process that read it then.
func lastLook(processes []*chaosProcess, shard string, before time.Time) (last time.Time) {
	for _, p := range processes {
		for _, at := range p.looks[shard] {
			if at.Before(before) && at.After(last) {
				last = at
			}
		}
	}
	return last
}
