// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/journal"
)

// mortal is the client of a process that can be killed: nothing leaves it afterwards.
type mortal struct {
	*kinesistest.Client
	dead *atomic.Bool
	look func(shard string) // called before each read, nil for none
}

// PutRecords implements core.Client.
func (m mortal) PutRecords(ctx context.Context, in *kinesis.PutRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.PutRecordsOutput, error) {
	if m.dead.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return m.Client.PutRecords(ctx, in, opts...)
}

// iterators of a mortal are those of the server, behind the shard.

// GetShardIterator implements core.ReadClient.
func (m mortal) GetShardIterator(ctx context.Context, in *kinesis.GetShardIteratorInput, opts ...func(*kinesis.Options)) (*kinesis.GetShardIteratorOutput, error) {
	out, err := m.Client.GetShardIterator(ctx, in, opts...)
	if err == nil {
		out.ShardIterator = aws.String(*in.ShardId + " " + *out.ShardIterator)
	}
	return out, err
}

// GetRecords implements core.ReadClient.
func (m mortal) GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	shard, it, _ := strings.Cut(*in.ShardIterator, " ")
	if m.look != nil {
		m.look(shard)
	}
	own := *in
	own.ShardIterator = &it
	out, err := m.Client.GetRecords(ctx, &own, opts...)
	if err == nil && out.NextShardIterator != nil {
		out.NextShardIterator = aws.String(shard + " " + *out.NextShardIterator)
	}
	return out, err
}

// life is a process with a producer and a journal.
type life struct {
	*Deliverer
	t        *testing.T
	producer *core.Producer
	journal  *journal.Journal
	dir      string
	dead     atomic.Bool
}

func live(t *testing.T, s *kinesistest.Server, dir string, detach, verify bool, more ...core.Option) *life {
	t.Helper()
	return liveAs(t, s, dir, detach, verify, nil, nil, more...)
}

// liveAndTell tells of each read, too.
func liveAndTell(t *testing.T, s *kinesistest.Server, dir string, detach, verify bool, look func(shard string), more ...core.Option) *life {
	t.Helper()
	return liveAs(t, s, dir, detach, verify, look, nil, more...)
}

// liveAs lets change see the configuration before the process begins.
func liveAs(t *testing.T, s *kinesistest.Server, dir string, detach, verify bool, look func(shard string), change func(*Config), more ...core.Option) *life {
	t.Helper()
	a := &life{t: t, dir: dir}
	var err error
	if a.journal, err = journal.Open(journal.Config{Dir: dir, Name: "one"}); err != nil {
		t.Fatal(err)
	}
	opts := append(a.journal.Options(), core.WithVerifyUncertain(verify), core.WithRetryBackoff(1e6, 1e7))
	if a.producer, err = core.New(mortal{s.Client(), &a.dead, look}, append(opts, more...)...); err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		PutBatch: func(ctx context.Context, stream string, records []core.Record) (Batch, error) {
			b, err := a.producer.PutBatch(ctx, stream, records)
			if b == nil {
				return nil, err
			}
			return b, err
		},
		Journal: a.journal, Detached: detach,
		Panicked: func(p any, stack []byte) { t.Errorf("panic: %v\n%s", p, stack) },
	}
	if verify {
		cfg.LookFor = a.producer.LookFor
	}
	if change != nil {
		change(&cfg)
	}
	a.Deliverer = New(cfg)
	return a
}

// end closes what the process has open, without a drain.
func (a *life) end() {
	a.close()
	synctest.Wait()
}

func (a *life) close() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = a.producer.Close(ctx)
	a.Stop(ctx)
	if err := a.journal.Close(); err != nil {
		a.t.Error(err)
	}
}

// die ends the process as SIGKILL does, and returns the files that it leaves.
func (a *life) die() (dir string) {
	dir = a.kill()
	synctest.Wait()
	return dir
}

func (a *life) kill() (dir string) {
	a.dead.Store(true)
	dir = a.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(a.dir)); err != nil {
		a.t.Fatal(err)
	}
	a.close()
	return dir
}

// retryAll is a Receiver that retries everything.
type retryAll struct{}

func (retryAll) Dispose(*Content, int, *core.RecordError) Disposition { return Retry }
func (retryAll) Settled(*Content, *Report)                            {}
func (retryAll) Written(_ *Content, _, _, _ []int32, _ error)         {}
func (retryAll) Waiting(stream string, b Batch, progress bool)        {}
func (a *life) content(name string, n int, streams ...string) *Content {
	c := &Content{Bytes: []byte(name), Stream: "logs", Probe: NoProbe, Receiver: retryAll{}}
	for i := range n {
		c.Records = append(c.Records, core.Record{PartitionKey: fmt.Sprint(name, i), Data: fmt.Appendf(nil, "%s %d", name, i)})
	}
	if len(streams) > 0 {
		c.Streams, c.Routes = streams, routes(func(n int) int { return n % len(streams) })
	}
	return c
}

// try lets a content come once.
func (a *life) try(c *Content, timeout time.Duration) Outcome {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	d, _ := a.Take(c.Scope, c.Bytes)
	if old := d.Content(); old != nil {
		old.Bytes = c.Bytes
		c = old
	}
	if d.Finished() {
		return d.Outcome()
	}
	out := a.Deliver(ctx, d, c)
	if out.State == Stored {
		a.Answered(d, false)
	}
	return out
}

// deliver lets it come until it is stored.
func (a *life) deliver(c *Content) {
	a.t.Helper()
	for range 100 {
		if a.try(&Content{Scope: c.Scope, Bytes: c.Bytes, Stream: c.Stream, Streams: c.Streams, Routes: c.Routes, Probe: c.Probe, Receiver: c.Receiver, Records: c.Records}, 300*time.Millisecond).State == Stored {
			return
		}
	}
	a.t.Error("not stored after 100 attempts")
}

// checkStored fails unless each of n records of a content is in the stream that often.
func checkStored(t *testing.T, s *kinesistest.Server, stream, name string, n, times int) {
	t.Helper()
	count := map[string]int{}
	got := s.Consume(stream)
	for _, r := range got.Records {
		count[string(r.Data)]++
	}
	for i := range n {
		if c := count[fmt.Sprintf("%s %d", name, i)]; c != times {
			t.Errorf("unexpected copies of record %d of %s; got %d; want %d", i, name, c, times)
			return
		}
	}
}

func everyWay(t *testing.T, f func(t *testing.T, detach bool)) {
	for _, detach := range []bool{false, true} {
		t.Run(fmt.Sprint("detached ", detach), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, detach) })
		})
	}
}

// putAndDie has a process put contents, of which no call is answered.
func putAndDie(t *testing.T, s *kinesistest.Server, e kinesistest.Effect, detach, verify bool, list ...*Content) (dir string) {
	t.Helper()
	a := live(t, s, t.TempDir(), detach, verify)
	a.deliver(a.content("before", 40))
	f := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: e})
	for _, c := range list {
		go a.try(c, time.Second)
	}
	time.Sleep(500 * time.Millisecond)
	dir = a.die()
	f.Remove()
	return dir
}

func TestWhatAKilledProcessHasSentIsLookedFor(t *testing.T) {
	stored, lost := kinesistest.Effect{HangReply: true}, kinesistest.Hang()
	fault := func(op, code string) func(*testing.T, *kinesistest.Server) {
		return func(_ *testing.T, s *kinesistest.Server) {
			s.Fault(kinesistest.Fault{Operation: op, Effect: kinesistest.Fail(code, "")})
		}
	}
	for _, c := range []struct {
		name          string
		effect        kinesistest.Effect
		first, second bool // with read-back
		meanwhile     func(t *testing.T, s *kinesistest.Server)
		copies        int
		uncertain     uint64
	}{
		{"stored", stored, true, true, nil, 1, 0},
		{"not stored", lost, true, true, nil, 1, 0},
		{"stored, split", stored, true, true, func(t *testing.T, s *kinesistest.Server) { mustDo(t, s.SplitEven("logs", "shardId-000000000000")) }, 1, 0},
		{"not stored, split", lost, true, true, func(t *testing.T, s *kinesistest.Server) { mustDo(t, s.SplitEven("logs", "shardId-000000000000")) }, 1, 0},
		{"stored, merged", stored, true, true, func(t *testing.T, s *kinesistest.Server) {
			mustDo(t, s.Merge("logs", "shardId-000000000000", "shardId-000000000001"))
		}, 1, 0},
		{"no permission", stored, true, true, fault("GetRecords", "AccessDeniedException"), 2, 60},
		{"throttled reads", stored, true, true, fault("GetRecords", "ProvisionedThroughputExceededException"), 2, 60},
		{"without read-back before", stored, false, true, nil, 2, 60},
		{"without read-back afterwards", stored, true, false, nil, 2, 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			everyWay(t, func(t *testing.T, detach bool) {
				s := kinesistest.New(kinesistest.WithStream("logs", 2))
				content := (&life{}).content("c", 60)
				dir := putAndDie(t, s, c.effect, detach, c.first, content)
				if c.meanwhile != nil {
					c.meanwhile(t, s)
				}
				b := live(t, s, dir, detach, c.second)
				b.deliver(content)
				if got := b.journal.Stats(); got.Uncertain != c.uncertain || got.Used != 1 {
					t.Errorf("unexpected journal; got %d records uncertain, %d contents used; want %d, 1", got.Uncertain, got.Used, c.uncertain)
				}
				b.deliver(b.content("after", 10))
				b.end()
				checkStored(t, s, "logs", "c", 60, c.copies)
				checkStored(t, s, "logs", "after", 10, 1)
				checkStored(t, s, "logs", "before", 40, 1)
			})
		})
	}
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Two contents share aggregates, two are equal, and they come in another order.
func TestContentsThatShareAggregatesAreEachLookedFor(t *testing.T) {
	for name, e := range map[string]kinesistest.Effect{"stored": {HangReply: true}, "not stored": kinesistest.Hang()} {
		t.Run(name, func(t *testing.T) {
			everyWay(t, func(t *testing.T, detach bool) {
				s := kinesistest.New(kinesistest.WithStream("logs", 2))
				of := (&life{}).content
				dir := putAndDie(t, s, e, detach, true, of("x", 30), of("y", 30), of("same", 20), of("same", 20))
				b := live(t, s, dir, detach, true)
				for range 3 {
					b.deliver(of("same", 20))
				}
				go b.deliver(of("y", 30))
				b.deliver(of("x", 30))
				synctest.Wait()
				time.Sleep(10 * time.Second)
				if got := b.journal.Stats(); got.Uncertain != 0 || got.Used != 4 {
					t.Errorf("unexpected journal; got %d records uncertain, %d contents used; want 0, 4", got.Uncertain, got.Used)
				}
				b.end()
				checkStored(t, s, "logs", "x", 30, 1)
				checkStored(t, s, "logs", "y", 30, 1)
				checkStored(t, s, "logs", "same", 20, 3)
			})
		})
	}
}

// The process is killed again while it looks, and after it has resent what was missing.
func TestAKillWhileRecordsAreLookedForLosesAndDoublesNothing(t *testing.T) {
	for name, e := range map[string]kinesistest.Effect{"stored": {HangReply: true}, "not stored": kinesistest.Hang()} {
		t.Run(name, func(t *testing.T) {
			everyWay(t, func(t *testing.T, detach bool) {
				s := kinesistest.New(kinesistest.WithStream("logs", 2))
				content := (&life{}).content("c", 60)
				dir := putAndDie(t, s, e, detach, true, content)
				slow := s.Fault(kinesistest.Fault{Operation: "GetRecords", Effect: kinesistest.Hang()})
				b := live(t, s, dir, detach, true)
				if out := b.try(content, time.Second); out.State != Unfinished {
					t.Fatalf("unexpected outcome %+v while records are looked for", out)
				}
				dir = b.die()
				slow.Remove()
				content = b.content("c", 60)
				hang := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{HangReply: true}})
				c := live(t, s, dir, detach, true)
				state := c.try(content, 4*time.Second).State
				dir = c.die()
				hang.Remove()
				if name == "not stored" { // and was resent meanwhile
					if state != Unfinished {
						t.Errorf("unexpected state %d; want that no answer came", state)
					}
					d := live(t, s, dir, detach, true)
					d.deliver(d.content("c", 60))
					d.end()
				} else if state != Stored {
					t.Errorf("unexpected state %d; want that all is found", state)
				}
				checkStored(t, s, "logs", "c", 60, 1)
			})
		})
	}
}

// A producer that is closed while records are looked for takes none of them, and the next
// process looks again.
func TestACloseWhileRecordsAreLookedForLosesNothing(t *testing.T) {
	everyWay(t, func(t *testing.T, detach bool) {
		s := kinesistest.New(kinesistest.WithStream("logs", 2))
		content := (&life{}).content("c", 60)
		dir := putAndDie(t, s, kinesistest.Hang(), detach, true, content)
		b := live(t, s, dir, detach, true)
		b.try(content, 300*time.Millisecond)
		b.end()
		c := live(t, s, dir, detach, true)
		c.deliver(c.content("c", 60))
		if got := c.journal.Stats(); got.Uncertain != 0 || got.Used != 1 {
			t.Errorf("unexpected journal: %+v", got)
		}
		c.end()
		checkStored(t, s, "logs", "c", 60, 1)
	})
}

// A content for several streams, of which one was answered, and one with a probe, which is put
// before all others.
func TestPartsOfAContentAreLookedForInTheirStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("logs", 2), kinesistest.WithStream("more", 1))
		content := func() *Content { return (&life{}).content("c", 60, "logs", "more") }
		dir := putAndDie(t, s, kinesistest.Effect{HangReply: true}, false, true, content())
		b := live(t, s, dir, false, true)
		b.deliver(content())
		b.end()
		for i := range 60 {
			stream := []string{"logs", "more"}[i%2]
			n := 0
			for _, r := range s.Consume(stream).Records {
				if string(r.Data) == fmt.Sprint("c ", i) {
					n++
				}
			}
			if n != 1 {
				t.Fatalf("unexpected copies of record %d in %s; got %d; want 1", i, stream, n)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("logs", 2))
		content := (&life{}).content("c", 60)
		dir := putAndDie(t, s, kinesistest.Effect{HangReply: true}, true, true, content)
		content = (&life{}).content("c", 60)
		content.Probe = 7
		b := live(t, s, dir, true, true)
		b.deliver(content)
		if got := b.journal.Stats(); got.Uncertain != 0 {
			t.Errorf("unexpected journal: %+v", got)
		}
		b.end()
		checkStored(t, s, "logs", "c", 60, 1)
	})
}

// A panic in what the caller gave fails the batch and nothing else.
func TestAPanicWhileRecordsAreLookedForFailsTheBatch(t *testing.T) {
	everyWay(t, func(t *testing.T, detach bool) {
		s := kinesistest.New(kinesistest.WithStream("logs", 2))
		content := (&life{}).content("c", 60)
		dir := putAndDie(t, s, kinesistest.Effect{HangReply: true}, detach, true, content)
		var noted atomic.Int32 // in the background, and for the content
		b := liveAs(t, s, dir, detach, true, nil, func(c *Config) {
			c.LookFor = func(context.Context, string, []core.Unanswered) []core.Found { panic("a bug") }
			c.Panicked = func(p any, _ []byte) {
				if p == "a bug" {
					noted.Add(1)
				}
			}
		})
		synctest.Wait()
		if out := b.try(content, time.Second); out.State != Unfinished || out.Open || out.Worst.Detail != "internal error" || noted.Load() != 2 {
			t.Errorf("unexpected outcome %+v, noted of it: %d times", out, noted.Load())
		}
		b.deliver(b.content("c", 60))
		b.end()
		checkStored(t, s, "logs", "c", 60, 2)
	})
}

// What was found once is not looked for again.
func TestWhatWasFoundIsKnownAfterTheNextKill(t *testing.T) {
	everyWay(t, func(t *testing.T, detach bool) {
		s := kinesistest.New(kinesistest.WithStream("logs", 2))
		a := live(t, s, t.TempDir(), detach, true, core.WithCollectionMaxCount(1)) // a request for each shard
		a.deliver(a.content("before", 40))
		s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.Effect{HangReply: true}})
		hang := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Hang()})
		go a.try(a.content("c", 60), time.Second)
		time.Sleep(500 * time.Millisecond)
		dir := a.die()
		b := live(t, s, dir, detach, true)
		go b.try(b.content("c", 60), 10*time.Second)
		time.Sleep(9 * time.Second)
		found := uint64(len(s.Consume("logs").Records) - 40)
		dir = b.die()
		hang.Remove()
		s.Fault(kinesistest.Fault{Operation: "GetRecords", Effect: kinesistest.Fail("AccessDeniedException", "")})
		c := live(t, s, dir, detach, true)
		c.deliver(c.content("c", 60))
		if got := c.journal.Stats().Uncertain; got != 60-found || found == 0 || found == 60 {
			t.Errorf("unexpected records uncertain; got %d, with %d found before; want the others", got, found)
		}
		c.end()
		checkStored(t, s, "logs", "c", 60, 1)
	})
}

// Records that are not in an aggregate have no key of their own; and before the first answer no time
// of the service is known.
func TestRecordsThatCannotBeLookedForCountAsUncertain(t *testing.T) {
	for _, c := range []struct {
		name   string
		option core.Option
	}{{"not aggregated", core.WithAggregation(false)}, {"AUTO", core.WithDistribution(core.DistributionAuto)}} {
		t.Run(c.name, func(t *testing.T) {
			everyWay(t, func(t *testing.T, detach bool) {
				s := kinesistest.New(kinesistest.WithStream("logs", 2))
				a := live(t, s, t.TempDir(), detach, true, c.option)
				hang := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{HangReply: true}})
				go a.try(a.content("c", 60), time.Second)
				time.Sleep(500 * time.Millisecond)
				dir := a.die()
				hang.Remove()
				b := live(t, s, dir, detach, true)
				b.deliver(b.content("c", 60))
				if got := b.journal.Stats(); got.Uncertain != 60 || s.Calls("GetRecords") != 0 {
					t.Errorf("unexpected journal; got %d uncertain, after %d reads; want 60, 0", got.Uncertain, s.Calls("GetRecords"))
				}
				b.end()
				checkStored(t, s, "logs", "c", 60, 2)
			})
		})
	}
}

// Of two equal contents under way one is stored, and nothing of the other. After a crash that
// one comes, and is not taken for the one that was answered.
func TestContentThatIsParkedWithNothingIsNotTakenForAnEqualOne(t *testing.T) {
	everyWay(t, func(t *testing.T, detach bool) {
		s := kinesistest.New(kinesistest.WithStream("logs", 1))
		a := live(t, s, t.TempDir(), detach, false)
		slow := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Delay(3 * time.Second)})
		first := a.content("c", 10)
		d, _ := a.Take(first.Scope, first.Bytes)
		stored := make(chan Outcome)
		go func() { stored <- a.Deliver(t.Context(), d, first) }()
		time.Sleep(time.Second) // it is under way
		slow.Remove()
		refused := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Fail("AccessDeniedException", "no")})
		if out := a.try(a.content("c", 10), time.Second); out.State != Unfinished {
			t.Fatalf("unexpected state %v of the second; want that it is unfinished", out.State)
		}
		if out := <-stored; out.State != Stored {
			t.Fatalf("unexpected state %v of the first; want that it is stored", out.State)
		}
		a.Answered(d, true)
		dir := a.die()
		refused.Remove()
		b := live(t, s, dir, detach, false)
		b.deliver(b.content("c", 10))
		b.end()
		checkStored(t, s, "logs", "c", 10, 2)
	})
}

// What the first call has stored is found after a kill, though the journal does not keep it of all calls of
// an outage.
func TestTheFirstOfManyCallsIsFoundAfterAKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := kinesistest.New(kinesistest.WithStream("logs", 1))
		a := live(t, s, t.TempDir(), true, true)
		a.deliver(a.content("before", 40))
		lost := s.Fault(kinesistest.Fault{Operation: "PutRecords", Times: 1, Effect: kinesistest.LoseReply()})
		c := a.content("c", 40)
		read := s.Fault(kinesistest.Fault{Operation: "GetShardIterator", Effect: kinesistest.Reset()})
		go a.try(c, time.Hour)
		time.Sleep(2 * time.Second)
		lost.Remove()
		put := s.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Reset()})
		time.Sleep(400 * time.Second)
		for range 60 { // until the file is written anew
			a.journal.Begin(journal.Head{Identity: a.journal.Identity(Scope{}, []byte("other")), Total: 1, Plan: make([]byte, 200_000)}).End()
		}
		if a.journal.Stats().Rewrites == 0 {
			t.Error("unexpected file of the journal; want it written anew")
		}
		dir := a.die()
		put.Remove()
		read.Remove()
		b := live(t, s, dir, true, true)
		b.deliver(c)
		checkStored(t, s, "logs", "c", 40, 1)
		b.end()
	})
}
