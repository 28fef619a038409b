// SPDX-License-Identifier: Apache-2.0

package receiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	awscloudwatch "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/metrics"
	"github.com/outkpl/outkpl/core/metrics/cloudwatch"
	"github.com/outkpl/outkpl/core/metrics/dogstatsd"
	kplprometheus "github.com/outkpl/outkpl/core/metrics/prometheus"
	"github.com/outkpl/outkpl/vector/internal/config"
)

// observers are where the program's metrics go.
type observers struct {
	registry *prometheus.Registry // nil: no /metrics
	sink     metrics.Sink         // nil: nothing measures the producer
}

// openObservers makes the sinks that the configuration asks for. It uses no network.
func openObservers(ctx context.Context, cfg *config.Config, shared *awsclient.AWS, log *slog.Logger) (*observers, error) {
	o := &observers{}
	if cfg.Metrics.Prometheus {
		o.registry = prometheus.NewRegistry()
		for _, c := range []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})} {
			if err := o.registry.Register(c); err != nil {
				return nil, fmt.Errorf("cannot register metrics of the process: %w", err)
			}
		}
	}
	what, on, err := cfg.Metrics.Config()
	if err != nil || !on {
		return o, err
	}
	var sinks []metrics.Sink
	var errs []error
	add := func(s metrics.Sink, err error) {
		if err != nil {
			errs = append(errs, err)
			return
		}
		sinks = append(sinks, s)
	}
	if o.registry != nil {
		add(kplprometheus.New(o.registry, kplprometheus.Config{Config: what, Logger: log}))
	}
	if cfg.Metrics.CloudWatch {
		client, err := cloudWatchClient(shared, cfg.Metrics.CloudWatchEndpoint)
		if err != nil {
			errs = append(errs, err)
		} else {
			add(cloudwatch.New(client, cloudwatch.Config{
				Config: what, Namespace: cfg.Metrics.CloudWatchNamespace,
				Interval: cfg.Metrics.CloudWatchInterval, Logger: log,
			}))
		}
	}
	if a := cfg.Metrics.DogStatsD; a != "" {
		if a == "env" {
			a = ""
		}
		add(dogstatsd.New(dogstatsd.Config{Config: what, Address: a, Tags: cfg.Metrics.DogStatsDTags, Logger: log}))
	}
	if len(sinks) > 0 {
		o.sink = metrics.Tee(sinks...)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, o.close(ctx))
	}
	return o, nil
}

// serve puts /metrics on the admin listener.
func (o *observers) serve(s *Server, log *slog.Logger) error {
	if o.registry == nil {
		return nil
	}
	if err := o.registry.Register(s.Collector()); err != nil {
		return fmt.Errorf("cannot register metrics of the server: %w", err)
	}
	s.Handle("GET /metrics", promhttp.HandlerFor(o.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), EnableOpenMetrics: true,
	}))
	return nil
}

// observe reports what the server measures under the producer's metrics.
func (s *Server) observe(m core.Metric, stream string, n int) {
	if s.observer == nil {
		return
	}
	if name, _, err := core.ParseStream(stream); err == nil {
		stream = name // as the producer has it
	}
	s.observer.Observe([]core.Observation{{Metric: m, Stream: stream, Count: n, Sum: float64(n), Min: 1, Max: 1}})
}

// close sends what is left.
func (o *observers) close(ctx context.Context) error {
	if o.sink == nil {
		return nil
	}
	if err := o.sink.Close(ctx); err != nil {
		return fmt.Errorf("cannot report the last metrics: %w", err)
	}
	return nil
}

// cloudWatchClient uses the settings, credentials and connections that Kinesis is
// written with.
func cloudWatchClient(shared *awsclient.AWS, endpoint string) (*awscloudwatch.Client, error) {
	var err error
	client := awscloudwatch.NewFromConfig(shared.Config(), func(o *awscloudwatch.Options) {
		err = shared.Address(awscloudwatch.ServiceID, endpoint, &o.BaseEndpoint, &o.EndpointOptions.UseFIPSEndpoint, &o.EndpointOptions.UseDualStackEndpoint)
	})
	if err != nil {
		return nil, fmt.Errorf("cannot make CloudWatch client: %w", err)
	}
	return client, nil
}
