// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/emulators/emulatorstest"
	"github.com/outkpl/outkpl/internal/emulators/kcltest"
)

// kclRun is one producer, or several in turn, that write under load while the stream
// changes, in virtual time.
type kclRun struct {
	t       *testing.T
	fake    *kinesistest.Server
	client  core.Client
	opts    []core.Option
	records int // to submit

	mu        sync.Mutex
	producer  *core.Producer
	confirmed map[string]confirmation // by data
	stats     core.Stats              // of the producers that are closed
}

// confirmation is what the producer says of a record.
type confirmation struct {
	sequenceNumber string
	uncertain      bool // an attempt may have stored it without an answer
}

const (
	kclKeys    = 2000
	kclWorkers = 8
)

// key returns the partition key of the n-th record. Each writer has keys of its own,
// so that the order of a key is that of its writer.
func key(writer, n int) string { return fmt.Sprintf("pod-%d-%d", writer, n%(kclKeys/kclWorkers)) }

// kclCases are the ways in which a stream changes under a producer. The real KCL
// class must then deliver what was confirmed.
var kclCases = []struct {
	name   string
	shards int
	opts   []core.Option
	faults []kinesistest.Fault
	client func(*kinesistest.Server) core.Client
	during func(*kclRun)
	// resent: the case must have had aggregates resent; otherwise it shows nothing.
	resent bool
	// uncertain: records may be seen twice, if the producer says so.
	uncertain bool
	// ordered: the records of a key must come in their order.
	ordered bool
	check   func(*testing.T, *kclRun, core.Stats)
}{
	{
		name: "split", shards: 1, resent: true,
		during: func(r *kclRun) {
			for range 5 {
				r.pause(time.Second)
				open := r.fake.OpenShards(kclStream)
				r.try(r.fake.SplitEven(kclStream, open[len(open)/2].ID))
			}
		},
	},
	{
		name: "merge", shards: 8, opts: []core.Option{core.WithMaxBufferedTime(50 * time.Millisecond)},
		during: func(r *kclRun) {
			for range 5 {
				r.pause(time.Second)
				open := r.fake.OpenShards(kclStream)
				r.try(r.fake.Merge(kclStream, open[0].ID, open[1].ID))
			}
		},
		check: func(t *testing.T, r *kclRun, s core.Stats) {
			if s.WrongShard != 0 || s.MapRefreshes < 5 {
				t.Errorf("unexpected counters; got %d resent, %d maps; want 0, since a merged shard holds all, and 5 at least", s.WrongShard, s.MapRefreshes)
			}
		},
	},
	{
		name: "UpdateShardCount", shards: 4, resent: true,
		during: func(r *kclRun) {
			for _, n := range []int{8, 16, 5, 3} {
				r.pause(time.Second)
				r.try(r.fake.UpdateShardCount(kclStream, n))
			}
		},
	},
	{
		name: "AUTO detection", shards: 4, resent: true,
		client: func(s *kinesistest.Server) core.Client { return undescribed{s.Client()} },
		during: func(r *kclRun) {
			r.pause(time.Second)
			r.try(r.fake.SetDistribution(kclStream, types.RecordDistributionStrategyAuto))
			r.pause(time.Second)
			r.try(r.fake.UpdateShardCount(kclStream, 6))
			r.pause(time.Second)
			r.try(r.fake.SetDistribution(kclStream, types.RecordDistributionStrategyUserPartitionKey))
		},
		check: func(t *testing.T, r *kclRun, s core.Stats) {
			if s.AutoInferred == 0 {
				t.Error("the strategy was not noticed")
			}
		},
	},
	{
		name: "parked aggregates", shards: 2, resent: true,
		faults: []kinesistest.Fault{{Operation: "ListShards", Effect: kinesistest.Effect{Delay: 2 * time.Second}}},
		during: func(r *kclRun) {
			for range 4 {
				r.pause(3 * time.Second)
				open := r.fake.OpenShards(kclStream)
				r.try(r.fake.SplitEven(kclStream, open[0].ID))
				// The first child is gone before any map can show it.
				r.pause(500 * time.Millisecond)
				open = r.fake.OpenShards(kclStream)
				r.try(r.fake.SplitEven(kclStream, open[0].ID))
			}
		},
	},
	{
		name: "parked aggregates without ListShards", shards: 2, resent: true, uncertain: true,
		during: func(r *kclRun) {
			r.pause(time.Second)
			outage := r.fake.Fault(kinesistest.Fault{Operation: "ListShards", Effect: kinesistest.Status(503)})
			r.try(r.fake.SplitEven(kclStream, r.fake.OpenShards(kclStream)[0].ID))
			r.pause(20 * time.Second)
			outage.Remove()
			r.pause(40 * time.Second)
		},
	},
	{
		name: "strict ordering", shards: 2, resent: true, ordered: true, opts: []core.Option{core.WithOrdering(core.OrderingStrict)},
		during: func(r *kclRun) {
			for i := range 5 {
				r.pause(time.Second)
				open := r.fake.OpenShards(kclStream)
				if i == 3 {
					r.try(r.fake.Merge(kclStream, open[0].ID, open[1].ID))
				} else {
					r.try(r.fake.SplitEven(kclStream, open[i%len(open)].ID))
				}
			}
		},
	},
	{
		name: "restart", shards: 1, resent: true,
		during: func(r *kclRun) {
			for range 4 {
				r.pause(time.Second)
				open := r.fake.OpenShards(kclStream)
				r.try(r.fake.SplitEven(kclStream, open[0].ID))
				r.pause(20 * time.Millisecond) // with answers of the children under way
				r.restart()
			}
		},
	},
	{
		name: "stale ListShards", shards: 2, resent: true,
		client: func(s *kinesistest.Server) core.Client { return &late{Client: s.Client(), lag: 3 * time.Second} },
		during: func(r *kclRun) {
			for _, n := range []int{4, 7, 3} {
				r.pause(5 * time.Second)
				r.try(r.fake.UpdateShardCount(kclStream, n))
			}
			r.pause(5 * time.Second)
		},
	},
	{name: "recreated with more shards", shards: 4, resent: true, during: func(r *kclRun) { r.recreate(7) }},
	{name: "recreated with fewer shards", shards: 4, resent: true, during: func(r *kclRun) { r.recreate(3) }},
}

// What the producer confirms, the KCL delivers, and each record once, as long as the
// producer does not say that it may be stored twice.
func TestKCLDeliversEachConfirmedRecordOnce(t *testing.T) {
	emulatorstest.RequireJVM(t)
	for _, c := range kclCases {
		t.Run(c.name, func(t *testing.T) {
			r := &kclRun{t: t, records: 40_000, opts: c.opts, confirmed: map[string]confirmation{}}
			synctest.Test(t, func(t *testing.T) {
				r.fake = kinesistest.New(kinesistest.WithStream(kclStream, c.shards))
				// Both ways take time, so that the stream changes with requests and answers under way.
				r.fake.Fault(kinesistest.Fault{Operation: "PutRecords", Effect: kinesistest.Effect{Delay: 20 * time.Millisecond, DelayReply: 20 * time.Millisecond}})
				for _, f := range c.faults {
					r.fake.Fault(f)
				}
				r.client = r.fake.Client()
				if c.client != nil {
					r.client = c.client(r.fake)
				}
				r.run(c.during)
			})
			if t.Failed() {
				return
			}
			s := r.stats
			seen, dropped := r.check(c.uncertain, c.ordered)
			if c.resent && (s.WrongShard == 0 || dropped == 0) {
				t.Errorf("no aggregate was in a wrong shard: %d resent, %d dropped by the KCL; the case shows nothing", s.WrongShard, dropped)
			}
			if !c.uncertain && s.Uncertain != 0 {
				t.Errorf("unexpected number of records that may be there twice; got %d; want 0", s.Uncertain)
			}
			if c.check != nil {
				c.check(t, r, s)
			}
			t.Logf("confirmed %d, delivered by the KCL %d, dropped by it %d, resent %d, uncertain %d, Kinesis records %d, maps %d",
				len(r.confirmed), seen, dropped, s.WrongShard, s.Uncertain, s.KinesisRecords, s.MapRefreshes)
		})
	}
}

func (r *kclRun) pause(d time.Duration) { <-time.After(d) }

func (r *kclRun) try(err error) {
	if err != nil {
		r.t.Error(err)
	}
}

func (r *kclRun) start() {
	// The shards' limits are out of the way: what counts is what is under way at a change.
	p, err := core.New(r.client, append([]core.Option{core.WithRateLimit(1_000_000)}, r.opts...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.producer = p
	r.mu.Unlock()
}

func (r *kclRun) current() *core.Producer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.producer
}

func (r *kclRun) end() {
	p := r.current()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r.try(p.Close(ctx))
	s := p.Stats()
	if s.Accepted != s.Confirmed+s.FailedTotal() || s.Pending != 0 {
		r.t.Errorf("accounts do not add up: %+v", s)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.WrongShard += s.WrongShard
	r.stats.Uncertain += s.Uncertain
	r.stats.KinesisRecords += s.KinesisRecords
	r.stats.MapRefreshes += s.MapRefreshes
	r.stats.AutoInferred += s.AutoInferred
}

// restart closes the producer, which drains, and goes on with another one.
func (r *kclRun) restart() {
	r.end()
	r.start()
}

// recreate puts another stream with the same name in the place of the stream, before
// anybody can see that it is missing.
func (r *kclRun) recreate(shards int) {
	r.pause(2 * time.Second)
	r.try(r.fake.DeleteStream(kclStream))
	r.try(r.fake.CreateStream(kclStream, kinesistest.StreamConfig{Shards: shards}))
	// What the old stream has confirmed is gone with it.
	out, err := r.fake.Client().ListShards(context.Background(), &kinesis.ListShardsInput{StreamName: aws.String(kclStream)})
	r.try(err)
	first := aws.ToString(out.Shards[0].SequenceNumberRange.StartingSequenceNumber)
	r.pause(5 * time.Second)
	r.mu.Lock()
	defer r.mu.Unlock()
	for data, c := range r.confirmed {
		if c.sequenceNumber < first {
			delete(r.confirmed, data)
		}
	}
}

// run has writers hand the records over, evenly over the time of during and beyond it.
func (r *kclRun) run(during func(*kclRun)) {
	r.start()
	var load sync.WaitGroup
	perWriter := r.records / kclWorkers
	changed := make(chan struct{})
	for w := range kclWorkers {
		load.Go(func() {
			for n := 0; n < perWriter; {
				// Some stay for after the changes.
				if n > perWriter*4/5 {
					<-changed
				}
				batch := make([]core.Record, 50)
				for i := range batch {
					batch[i] = core.Record{PartitionKey: key(w, n+i), Data: fmt.Appendf(nil, "%d/%d", w, n+i)}
				}
				r.put(batch)
				n += len(batch)
				<-time.After(30 * time.Millisecond)
			}
		})
	}
	during(r)
	close(changed)
	load.Wait()
	r.end()
}

// put hands a batch over until it is confirmed. The records of a producer that was
// closed meanwhile go to the next one, if they were not confirmed.
func (r *kclRun) put(batch []core.Record) {
	for rest := batch; len(rest) > 0; {
		p := r.current()
		b, err := p.PutBatch(context.Background(), kclStream, rest)
		if errors.Is(err, core.ErrClosed) {
			<-time.After(10 * time.Millisecond)
			continue
		}
		if err != nil {
			r.try(err)
			return
		}
		r.try(b.WaitSettled(context.Background()))
		var again []core.Record
		r.mu.Lock()
		for i := range rest {
			res := b.Result(i)
			switch {
			case res.Err == nil:
				c := confirmation{sequenceNumber: res.SequenceNumber}
				for _, a := range res.Attempts {
					c.uncertain = c.uncertain || a.Uncertain
				}
				r.confirmed[string(rest[i].Data)] = c
			case res.Err.Reason == core.ReasonClosed:
				again = append(again, rest[i])
			default:
				r.t.Errorf("unexpected error: %v", res.Err)
			}
		}
		r.mu.Unlock()
		rest = again
	}
}

// check compares what the KCL delivers with what was confirmed, and, if it is promised,
// the order of each key. The KCL reads parents before children, as kcltest does.
func (r *kclRun) check(uncertain, ordered bool) (seen, dropped int) {
	t := r.t
	t.Helper()
	got := map[string]int{}
	last := map[string]int{} // by key
	for _, u := range kcltest.Consume(t, r.fake, kclStream) {
		seen++
		got[string(u.Data)]++
		_, number, _ := strings.Cut(string(u.Data), "/")
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatalf("cannot parse data %q: %v", u.Data, err)
		}
		if before, ok := last[u.PartitionKey]; ordered && ok && n < before {
			t.Fatalf("record %d of key %s comes after record %d", n, u.PartitionKey, before)
		}
		last[u.PartitionKey] = n
	}
	missing, twice := 0, 0
	for data, c := range r.confirmed {
		switch n := got[data]; {
		case n == 0:
			missing++
		case n > 1 && !(uncertain && c.uncertain):
			twice++
		}
	}
	if missing > 0 || twice > 0 || len(r.confirmed) < r.records/4 {
		t.Errorf("of %d confirmed records the KCL does not deliver %d, and %d more than once without reason", len(r.confirmed), missing, twice)
	}
	return seen, len(r.fake.Consume(kclStream).Dropped)
}

// undescribed is a client that may not describe streams, so that its producer has to
// find out about the distribution strategy by itself.
type undescribed struct{ core.Client }

// DescribeStreamSummary implements core.Client.
func (undescribed) DescribeStreamSummary(context.Context, *kinesis.DescribeStreamSummaryInput, ...func(*kinesis.Options)) (*kinesis.DescribeStreamSummaryOutput, error) {
	return nil, &smithy.GenericAPIError{Code: "AccessDeniedException", Message: "not authorized to perform kinesis:DescribeStreamSummary"}
}

// late is a client whose ListShards answers as it would have some time ago.
type late struct {
	core.Client
	lag time.Duration

	mu   sync.Mutex
	past []listing // the newest last
}

type listing struct {
	at  time.Time
	out *kinesis.ListShardsOutput
}

// ListShards implements core.Client.
func (c *late) ListShards(ctx context.Context, in *kinesis.ListShardsInput, opts ...func(*kinesis.Options)) (*kinesis.ListShardsOutput, error) {
	out, err := c.Client.ListShards(ctx, in, opts...)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.past = append(c.past, listing{now, out})
	for i := len(c.past) - 1; i > 0; i-- {
		if now.Sub(c.past[i].at) >= c.lag {
			return c.past[i].out, nil
		}
	}
	return c.past[0].out, nil
}
