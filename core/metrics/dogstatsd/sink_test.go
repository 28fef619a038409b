// SPDX-License-Identifier: Apache-2.0

package dogstatsd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/metrics"
	"github.com/outkpl/outkpl/core/metrics/dogstatsd"
	"github.com/outkpl/outkpl/core/metrics/internal/metricstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const shard0 = "shardId-000000000000"

// agent adds up messages as a Datadog Agent does.
type agent struct {
	sum, count map[string]float64 // by "name{tags}"
	max        map[string]float64
	values     map[string]map[float64]float64
}

func newAgent() *agent {
	return &agent{map[string]float64{}, map[string]float64{}, map[string]float64{}, map[string]map[float64]float64{}}
}

func (a *agent) add(name, kind string, values []float64, rate float64, tags string) {
	k := name + "{" + tags + "}"
	if a.values[k] == nil {
		a.values[k] = map[float64]float64{}
	}
	for _, v := range values {
		n := 1.0
		if kind == "d" {
			n = math.Trunc(1 / rate) // the Agent counts the whole part
		}
		if kind == "g" {
			a.sum[k] = 0
		}
		a.sum[k] += v * n
		a.count[k] += n
		a.max[k] = max(a.max[k], v)
		a.values[k][v] += n
	}
}

// read takes a datagram apart: "name:1:2|d|@0.5|#a:b,c:d".
func (a *agent) read(t *testing.T, datagram string) {
	for _, line := range strings.Split(strings.TrimSpace(datagram), "\n") {
		parts := strings.Split(line, "|")
		names := strings.Split(parts[0], ":")
		var values []float64
		for _, v := range names[1:] {
			f, err := strconv.ParseFloat(v, 64)
			if err != nil {
				t.Errorf("unexpected message %q", line)
			}
			values = append(values, f)
		}
		rate, tags := 1.0, ""
		for _, p := range parts[2:] {
			switch p[0] {
			case '@':
				rate, _ = strconv.ParseFloat(p[1:], 64)
			case '#':
				tags = p[1:]
			}
		}
		a.add(names[0], parts[1], values, rate, tags)
	}
}

// fake is a client that hands everything to an agent.
type fake struct {
	mu      sync.Mutex
	agent   *agent
	calls   int
	err     error
	hold    chan struct{}
	flushed int
	closed  int
}

func (f *fake) add(name, kind string, values []float64, tags []string, rate float64) error {
	if f.hold != nil {
		<-f.hold
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.err == nil {
		f.agent.add(name, kind, values, rate, strings.Join(tags, ","))
	}
	return f.err
}

func (f *fake) Count(name string, v int64, tags []string, rate float64) error {
	return f.add(name, "c", []float64{float64(v)}, tags, rate)
}

func (f *fake) Gauge(name string, v float64, tags []string, rate float64) error {
	return f.add(name, "g", []float64{v}, tags, rate)
}

func (f *fake) DistributionSamples(name string, v []float64, tags []string, rate float64) error {
	return f.add(name, "d", v, tags, rate)
}

func (f *fake) Flush() error { f.flushed++; return nil }
func (f *fake) Close() error { f.closed++; return nil }

func newSink(t testing.TB, c dogstatsd.Config) (*dogstatsd.Sink, *fake) {
	t.Helper()
	f := &fake{agent: newAgent()}
	s, err := dogstatsd.NewWithClient(f, c)
	if err != nil {
		t.Fatal(err)
	}
	return s, f
}

func closeSink(t testing.TB, s *dogstatsd.Sink) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestWhatTheAgentCountsAgreesWithTheProducer(t *testing.T) {
	s, f := newSink(t, dogstatsd.Config{Interval: time.Second})
	st := metricstest.Run(t, s)
	closeSink(t, s)
	sum := func(values map[string]float64, name, tag string) (sum float64) {
		for k, v := range values {
			if strings.HasPrefix(k, name+"{") && strings.Contains(k, tag) {
				sum += v
			}
		}
		return sum
	}
	for _, c := range []struct {
		values    map[string]float64
		name, tag string
		want      uint64
	}{
		{f.agent.sum, "kpl.user_records_received", "stream:logs", st.Accepted},
		{f.agent.sum, "kpl.user_records_put", "result:confirmed", st.Confirmed},
		{f.agent.sum, "kpl.user_records_put", "result:failed", st.FailedTotal()},
		{f.agent.sum, "kpl.user_records_data_put", "", st.ConfirmedBytes},
		{f.agent.sum, "kpl.errors_by_code", "error_code:ProvisionedThroughputExceededException", st.Throttled},
		{f.agent.sum, "kpl.retries_per_record", "", st.Retries},
		{f.agent.count, "kpl.retries_per_record", "", st.Confirmed},
		{f.agent.count, "kpl.buffering_time", "", st.Retries + st.Confirmed},
		{f.agent.count, "kpl.request_time", "", st.Requests},
	} {
		if got := sum(c.values, c.name, c.tag); math.Abs(got-float64(c.want)) > 1e-6 {
			t.Errorf("unexpected %s %s; got %v; want %d", c.name, c.tag, got, c.want)
		}
	}
	if f.closed != 1 || f.flushed != 1 {
		t.Errorf("unexpected end of the client; got %d flushes, %d closes; want one each", f.flushed, f.closed)
	}
}

// TestDistributionsHoldEachPoint: not only means, and whatever the count.
func TestDistributionsHoldEachPoint(t *testing.T) {
	s, f := newSink(t, dogstatsd.Config{})
	name := "kpl.buffering_time{stream:logs,shard:" + shard0 + "}"
	want := map[float64]float64{}
	total := 0.0
	for i, n := range []int{1, 2, 3, 49, 98, 103, 107, 161, 99_999, 1_000_003} {
		v := math.Pow(2, float64(i))
		s.Observe([]core.Observation{metricstest.Obs(core.MetricBufferingTime, "logs", shard0, "", n, v)})
		want[v] = float64(n)
		total += float64(n)
	}
	closeSink(t, s)
	for v, n := range want {
		if got := f.agent.values[name][v]; got != n {
			t.Errorf("unexpected count of %v; got %v; want %v", v, got, n)
		}
	}
	if f.agent.count[name] != total || f.agent.max[name] != 512 {
		t.Errorf("unexpected distribution; got %v points up to %v; want %v up to 512", f.agent.count[name], f.agent.max[name], total)
	}
}

func TestEachPointIsSentOnceAndGaugesAreStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := newSink(t, dogstatsd.Config{})
		state := metricstest.Pending(metricstest.Stream, 7)
		s.Watch(state)
		for range 5 {
			s.Observe([]core.Observation{metricstest.Obs(core.MetricUserRecordsReceived, "logs", "", "", 3, 1)})
			time.Sleep(4 * time.Second) // a send with it, and one without
			synctest.Wait()
		}
		state.Pend(2)
		closeSink(t, s)
		if got := f.agent.sum["kpl.user_records_received{stream:logs}"]; got != 15 {
			t.Errorf("unexpected counter; got %v; want 15", got)
		}
		if got := f.agent.sum["kpl.user_records_pending{stream:logs}"]; got != 2 {
			t.Errorf("unexpected gauge; got %v; want 2", got)
		}
		if got := f.agent.sum["kpl.shard_share{stream:logs,shard:"+shard0+"}"]; got != 0.5 {
			t.Errorf("unexpected share; got %v; want 0.5", got)
		}
	})
}

func TestLevelAndGranularity(t *testing.T) {
	s, f := newSink(t, dogstatsd.Config{Config: metrics.Config{Level: core.LevelSummary, Granularity: core.GranularityStream}})
	s.Observe([]core.Observation{
		metricstest.Obs(core.MetricUserRecordsPut, "logs", shard0, "", 2, 1),
		metricstest.Obs(core.MetricUserRecordsReceived, "logs", "", "", 2, 1),
	})
	closeSink(t, s)
	got := f.agent.sum
	if _, zero := got["kpl.user_records_put{stream:logs,result:failed}"]; len(got) != 2 || got["kpl.user_records_put{stream:logs,result:confirmed}"] != 2 || !zero {
		t.Errorf("unexpected metrics; got %v; want confirmed records and zero failures of the stream", got)
	}
}

// TestRealClientSends through a socket of each kind.
func TestRealClientSends(t *testing.T) {
	for _, network := range []string{"udp", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			var conn net.PacketConn
			var err error
			var address string
			if network == "udp" {
				conn, err = net.ListenPacket("udp", "127.0.0.1:0")
				if err == nil {
					address = conn.LocalAddr().String()
				}
			} else {
				path := filepath.Join(t.TempDir(), "s")
				conn, err = net.ListenPacket("unixgram", path)
				address = "unix://" + path
			}
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			s, err := dogstatsd.New(dogstatsd.Config{Address: address, Tags: []string{"env:prod"}})
			if err != nil {
				t.Fatal(err)
			}
			s.Observe([]core.Observation{
				metricstest.Obs(core.MetricUserRecordsPut, "logs", shard0, "", 5, 1),
				metricstest.Obs(core.MetricBufferingTime, "logs", shard0, "", 49, 20),
				metricstest.Obs(core.MetricBufferingTime, "logs", shard0, "", 1, 40),
			})
			closeSink(t, s)
			if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 64<<10)
			n, _, err := conn.ReadFrom(buf)
			if err != nil {
				t.Fatal(err)
			}
			a := newAgent()
			a.read(t, string(buf[:n]))
			find := func(values map[string]float64, parts ...string) float64 {
			next:
				for k, v := range values {
					for _, p := range parts {
						if !strings.Contains(k, p) {
							continue next
						}
					}
					return v
				}
				return -1
			}
			if find(a.sum, "kpl.user_records_put{", "env:prod", "stream:logs", "shard:"+shard0, "result:confirmed") != 5 ||
				find(a.count, "kpl.buffering_time{") != 50 || find(a.sum, "kpl.buffering_time{") != 49*20+40 {
				t.Errorf("unexpected datagram: %s", buf[:n])
			}
		})
	}
}

func TestFailuresAreLoggedWhenTheyBeginAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s, f := newSink(t, dogstatsd.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		for i := range 9 {
			f.mu.Lock()
			f.err = nil
			if i%4 != 0 {
				f.err = fmt.Errorf("no socket")
			}
			f.mu.Unlock()
			s.Observe([]core.Observation{metricstest.Obs(core.MetricRequestTime, "logs", "", "", 1, 1), metricstest.Obs(core.MetricUserRecordsReceived, "logs", "", "", 1, 1)})
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}
		closeSink(t, s)
		if got := log.String(); strings.Count(got, "no socket") != 2 || strings.Count(got, "again") != 2 || strings.Count(got, "\n") != 4 {
			t.Errorf("unexpected log; want failures twice, each with an end:\n%s", got)
		}
	})
}

func TestCloseKeepsItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, f := newSink(t, dogstatsd.Config{})
		f.hold = make(chan struct{})
		s.Observe([]core.Observation{metricstest.Obs(core.MetricUserRecordsReceived, "logs", "", "", 1, 1)})
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("unexpected error; got %v; want the deadline", err)
		}
		close(f.hold)
		closeSink(t, s) // the second Close waits for the end
		if f.closed != 1 {
			t.Errorf("unexpected closes of the client; got %d; want 1", f.closed)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]dogstatsd.Config{
		"interval": {Interval: time.Millisecond}, "series": {MaxSeries: -1},
	} {
		if _, err := dogstatsd.New(c); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("unexpected error for a bad %s: %v", name, err)
		}
	}
	if _, err := dogstatsd.New(dogstatsd.Config{Address: "no port"}); err == nil {
		t.Error("an address without a port was taken")
	}
	if _, err := dogstatsd.NewWithClient(nil, dogstatsd.Config{}); err == nil {
		t.Error("a nil client was taken")
	}
}
