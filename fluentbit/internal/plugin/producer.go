// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"log/slog"
	"slices"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/core/deadletter"
	"github.com/outkpl/outkpl/core/delivery"
	"github.com/outkpl/outkpl/internal/arn"
	"github.com/outkpl/outkpl/internal/remedy"
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

// CheckCredentials says why there are no credentials.
func (p awsProducer) CheckCredentials(ctx context.Context) error {
	if c, ok := p.client.(credentialChecker); ok {
		return c.CheckCredentials(ctx)
	}
	return nil
}

// Where returns the region and the address that records go to.
func (p awsProducer) Where(ctx context.Context) (region, endpoint string) {
	c, ok := p.client.(interface{ AWS() *awsclient.AWS })
	if !ok {
		return "", ""
	}
	return c.AWS().Where(ctx)
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
	aws := cfg.AWS.Client()
	aws.Product, aws.Version, aws.Logger = "out_kpl", version.Version(), logger
	client, err := awsclient.New(context.Background(), aws)
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
	return slices.Concat(cfg.Producer.Options(), cfg.journal.Options(), []core.Option{core.WithLogger(logger), core.WithOptionNames(remedy.Plugin), core.WithObserver(cfg.observer), core.WithPlaces(false)})
}

// recordLimit is what the producer knows of the limit of a stream, "" for the
// configured one; 0 if nothing. It is asked for chunks with events of a megabyte, not
// for each.
func (in *Instance) recordLimit(stream string) (limit int) {
	for _, s := range in.snapshotsOf(stream) {
		if limit == 0 || s.MaxRecordBytes < limit {
			limit = s.MaxRecordBytes
		}
	}
	return limit
}

// snapshotsOf is what the producer knows of a stream, "" for the configured one. Several
// streams, in accounts of their own, may have one name.
func (in *Instance) snapshotsOf(stream string) (list []core.StreamSnapshot) {
	p, ok := in.producer.(interface{ Snapshot() core.Snapshot })
	if !ok {
		return nil
	}
	if stream == "" {
		stream = in.cfg.Stream
	}
	name, _, _ := arn.Stream(stream)
	for _, s := range p.Snapshot().Streams {
		if s.Stream == name {
			list = append(list, s)
		}
	}
	return list
}

// snapshotOf is that of the one of them that is worst off, or nil.
func (in *Instance) snapshotOf(stream string) (worst *core.StreamSnapshot) {
	list := in.snapshotsOf(stream)
	for i := range list {
		if worst == nil || list[i].LastError != "" || list[i].InUse > worst.InUse {
			worst = &list[i]
		}
	}
	return worst
}

// openDeadLetters opens the dead letter file.
func openDeadLetters(cfg *Config, logger *slog.Logger) (deadletter.Sink, error) {
	return deadletter.OpenFile(deadletter.FileConfig{
		Path:       cfg.DeadLetterFile,
		MaxBytes:   cfg.DeadLetterMaxBytes,
		MaxFiles:   cfg.DeadLetterMaxFiles,
		DropOldest: cfg.DeadLetterDropOldest,
		Logger:     logger,
	})
}
