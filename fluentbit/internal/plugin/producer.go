// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"cmp"
	"context"
	"log/slog"
	"strings"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/internal/event"
	"github.com/outkpl/outkpl/internal/version"
)

// Batch is what the plugin needs of *core.Batch.
type Batch = delivery.Batch

// Producer is what the plugin needs of *core.Producer.
type Producer interface {
	// PutBatch hands records over; see core.Producer.
	PutBatch(ctx context.Context, stream string, records []core.Record) (Batch, error)
	// Close drains.
	Close(ctx context.Context) error
}

// coreProducer makes *core.Producer a Producer.
type coreProducer struct{ *core.Producer }

// awsProducer is a Producer with a client of its own.
type awsProducer struct {
	coreProducer
	client core.Client
}

// Close also closes connections, which would pile up over reloads.
func (p awsProducer) Close(ctx context.Context) error {
	err := p.Producer.Close(ctx)
	if c, ok := p.client.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
	return err
}

func (p coreProducer) PutBatch(ctx context.Context, stream string, records []core.Record) (Batch, error) {
	b, err := p.Producer.PutBatch(ctx, stream, records)
	if b == nil {
		// A nil *core.Batch in an interface would not be nil.
		return nil, err
	}
	return b, err
}

// newProducer builds the real producer. It does not use the network.
func newProducer(cfg *Config, logger *slog.Logger) (Producer, error) {
	client, err := awsclient.New(context.Background(), awsclient.Config{
		Region:      cfg.Region,
		Endpoint:    cfg.Endpoint,
		Profile:     cfg.Profile,
		RoleARN:     cfg.RoleARN,
		ExternalID:  cfg.ExternalID,
		STSEndpoint: cfg.STSEndpoint,

		FIPS:           cfg.FIPS,
		DualStack:      cfg.DualStack,
		Proxy:          cfg.Proxy,
		CAFile:         cfg.CAFile,
		SkipVerify:     cfg.SkipVerify,
		ConnectTimeout: cfg.ConnectTimeout,
		MaxConnections: cfg.MaxConnections,
		Product:        "out_kpl",
		Version:        version.Version(),
		ExtraUserAgent: cfg.ExtraUserAgent,
		Logger:         logger,
	})
	if err != nil {
		return nil, err
	}
	p, err := core.New(client, producerOptions(cfg, logger)...)
	if err != nil {
		return nil, err
	}
	return awsProducer{coreProducer{p}, client}, nil
}

// producerOptions are the settings of the producer.
func producerOptions(cfg *Config, logger *slog.Logger) []core.Option {
	return []core.Option{
		core.WithAggregation(cfg.Aggregation),
		core.WithAggregationMaxBytes(cfg.AggregationMaxBytes),
		core.WithAggregationGrowBytes(cfg.AggregationGrowBytes),
		core.WithAggregationMaxCount(cfg.AggregationMaxCount),
		core.WithMaxBufferedTime(cfg.MaxBufferedTime),
		core.WithCollectionMaxCount(cfg.CollectionMaxCount),
		core.WithCollectionMaxBytes(cfg.CollectionMaxBytes),
		core.WithMaxInFlight(cfg.MaxInFlight),
		core.WithDistribution(cfg.Distribution),
		core.WithOrdering(cfg.Ordering),
		core.WithRateLimit(cfg.RateLimitPercent),
		core.WithShardLimit(cfg.ShardRecords, cfg.ShardBytes),
		core.WithAdaptiveRate(cfg.AdaptiveRate),
		core.WithFailIfThrottled(cfg.FailIfThrottled),
		core.WithRecordTTL(cfg.RecordTTL),
		core.WithRetryBackoff(cfg.RetryBackoffMin, cfg.RetryBackoffMax),
		core.WithRequestTimeout(cfg.RequestTimeout),
		core.WithBufferBytes(cfg.BufferBytes),
		core.WithBufferRecords(cfg.BufferRecords),
		core.WithStreamIdle(cfg.StreamIdle),
		core.WithDescribeInterval(cfg.DescribeInterval),
		core.WithMaxStreams(event.MaxStreams), // the shaper's bound is lower
		core.WithLogger(logger),
		core.WithObserver(cfg.observer),
	}
}

// recordLimit is what the producer knows of the limit of a stream, "" for the
// configured one; 0 if nothing. It is asked for chunks with events of a megabyte, not
// for each.
func (in *Instance) recordLimit(stream string) (limit int) {
	p, ok := in.producer.(interface{ Snapshot() core.Snapshot })
	if !ok {
		return 0
	}
	if stream == "" {
		stream = in.cfg.Stream
	}
	_, name, _ := strings.Cut(stream, ":stream/")
	name = cmp.Or(name, stream)
	for _, s := range p.Snapshot().Streams {
		if s.Stream == name && (limit == 0 || s.MaxRecordBytes < limit) {
			limit = s.MaxRecordBytes
		}
	}
	return limit
}

// openDeadLetters opens the dead letter file.
func openDeadLetters(cfg *Config, logger *slog.Logger) (deadletter.Sink, error) {
	return deadletter.OpenFile(deadletter.FileConfig{
		Path:       cfg.DeadLetterFile,
		MaxBytes:   int64(cfg.DeadLetterMaxBytes),
		MaxFiles:   cfg.DeadLetterMaxFiles,
		DropOldest: cfg.DeadLetterDropOldest,
		Logger:     logger,
	})
}
