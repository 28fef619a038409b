// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/core/metrics/prometheus"
)

// fakeRegistry keeps what it gets.
type fakeRegistry struct {
	t        *testing.T
	mu       sync.Mutex // guards everything below
	families []Family
	values   map[string]float64 // by "name{a,b}"
	counts   map[string]uint64  // of distributions
}

func newRegistry(t *testing.T) *fakeRegistry {
	return &fakeRegistry{t: t, values: map[string]float64{}, counts: map[string]uint64{}}
}

func (b *fakeRegistry) Family(f Family) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.families = append(b.families, f)
	return len(b.families) - 1
}

func (b *fakeRegistry) key(id int, labels []string) string {
	if len(labels) != len(b.families[id].Labels) {
		b.t.Errorf("unexpected labels of %s; got %q; want values for %q", b.families[id].Name, labels, b.families[id].Labels)
	}
	labels = slices.DeleteFunc(slices.Clone(labels), func(l string) bool { return l == "" }) // as good as absent
	return b.families[id].Name + "{" + strings.Join(labels, ",") + "}"
}

func (b *fakeRegistry) Set(id int, labels []string, v float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.key(id, labels)
	if b.families[id].Kind == core.Counter && v < b.values[k] {
		b.t.Errorf("unexpected value of %s; got %v after %v", k, v, b.values[k])
	}
	b.values[k] = v
}

func (b *fakeRegistry) SetHistogram(id int, labels []string, cumulative []uint64, _ float64, count uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(cumulative) != len(b.families[id].Bounds) {
		b.t.Errorf("unexpected histogram %s; got %d counts; want %d", b.families[id].Name, len(cumulative), len(b.families[id].Bounds))
	}
	b.counts[b.key(id, labels)] = count
}

func (b *fakeRegistry) get(key string) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.values[key]
	if !ok {
		return -1
	}
	return v
}

func TestMeter(t *testing.T) {
	run := func(t *testing.T, options map[string]string, put int) (*fakeRegistry, *Instance) {
		t.Helper()
		conf := MapConfig{"stream": "logs", "region": "us-east-1"}
		for k, v := range options {
			conf[k] = v
		}
		cfg, err := ParseConfig(conf, func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		registry := newRegistry(t)
		srv := kinesistest.New(kinesistest.WithStream("logs", 2))
		in, err := New(cfg, Deps{Registry: registry, NewProducer: func(cfg *Config, logger *slog.Logger) (Producer, error) {
			p, err := core.New(srv.Client(), producerOptions(cfg, logger)...)
			return coreProducer{p}, err
		}})
		if err != nil {
			t.Fatal(err)
		}
		for range put {
			if got := in.Flush("tag", []byte{0x92, 0x92, 0xd7, 0x00, 0x6a, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x81, 0xa1, 'a', 1}); got != OK {
				t.Fatalf("unexpected answer %v", got)
			}
		}
		return registry, in
	}
	for _, c := range []struct {
		name      string
		options   map[string]string
		confirmed string
		chunks    int
		times     uint64 // observations of the time of requests
	}{
		{"summary", map[string]string{"metrics_level": "summary"}, "user_records_put_total{logs,confirmed}", 3, 0},
		{"summary, global", map[string]string{"metrics_level": "summary", "metrics_granularity": "global"}, "user_records_put_total{confirmed}", 3, 0},
		{"detailed, the default", nil, "user_records_put_total{logs,confirmed}", 3, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				registry, in := run(t, c.options, c.chunks)
				before := registry.get(c.confirmed)
				time.Sleep(meterInterval + time.Millisecond) // fake time
				synctest.Wait()
				if got := registry.get(c.confirmed); before != 0 || got != float64(c.chunks) {
					t.Errorf("unexpected %s; got %v, a second later %v; want 0, %d", c.confirmed, before, got, c.chunks)
				}
				if got := registry.get("chunks_total{ok}"); got != float64(c.chunks) {
					t.Errorf("unexpected chunks; got %v; want %d", got, c.chunks)
				}
				if got := registry.counts["request_time_seconds{logs}"]; got != c.times {
					t.Errorf("unexpected times of requests; got %d; want %d", got, c.times)
				}
				if err := in.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
		})
	}
	t.Run("the last numbers are shown at the end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			registry, in := run(t, nil, 2)
			if err := in.Close(context.Background()); err != nil {
				t.Error(err)
			}
			if got := registry.get("user_records_put_total{logs,confirmed}"); got != 2 {
				t.Errorf("unexpected number; got %v; want 2", got)
			}
		})
	})
	t.Run("every series of one stream is there from the start", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			registry, in := run(t, map[string]string{"metrics_level": "detailed"}, 0)
			before := len(registry.values) + len(registry.counts)
			if got := in.Flush("tag", []byte{0x92, 0x92, 0xd7, 0x00, 0x6a, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x81, 0xa1, 'a', 1}); got != OK {
				t.Errorf("unexpected answer %v", got)
			}
			if err := in.Close(context.Background()); err != nil {
				t.Error(err)
			}
			if after := len(registry.values) + len(registry.counts); after != before {
				t.Errorf("unexpected series; got %d at the start, %d at the end; want the same", before, after)
			}
		})
	})
	t.Run("none", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			registry, in := run(t, map[string]string{"metrics_level": "none"}, 1)
			if len(registry.families) != 0 || in.cfg.observer != nil {
				t.Errorf("unexpected metrics; got %d families", len(registry.families))
			}
			if err := in.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
	})
}

// The host puts the metrics of all outputs together.
func TestLabelsDoNotDependOnTheConfiguration(t *testing.T) {
	labels := map[string][]string{}
	for _, level := range []string{"summary", "detailed"} {
		for _, granularity := range []string{"global", "stream", "shard"} {
			cfg, err := ParseConfig(with("metrics_level", level, "metrics_granularity", granularity), noEnv)
			if err != nil {
				t.Fatal(err)
			}
			registry := newRegistry(t)
			in, err := New(cfg, Deps{Registry: registry, NewProducer: func(cfg *Config, logger *slog.Logger) (Producer, error) {
				p, err := core.New(kinesistest.New(kinesistest.WithStream("logs", 2)).Client(), producerOptions(cfg, logger)...)
				return coreProducer{p}, err
			}})
			if err != nil {
				t.Fatal(err)
			}
			if err := in.Close(context.Background()); err != nil {
				t.Error(err)
			}
			for _, f := range registry.families {
				if want, ok := labels[f.Name]; ok && !slices.Equal(f.Labels, want) {
					t.Errorf("unexpected labels of %s with %s by %s; got %q; want %q as elsewhere", f.Name, level, granularity, f.Labels, want)
				}
				labels[f.Name] = f.Labels
			}
		}
	}
}

func TestHostNamesAreThoseOfPrometheus(t *testing.T) {
	for _, m := range core.Metrics() {
		if got, want := "kpl_"+hostName(m), prometheus.Name(m); got != want {
			t.Errorf("unexpected name; got %s; want %s", got, want)
		}
	}
}
