// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/core"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/emulators"
)

// local is a Kinesis on this machine.
type local struct {
	name string
	url  string
	stop func()
	api  *kinesis.Client
}

func startKinesis(ctx context.Context, kind string) (*local, error) {
	l := &local{name: kind}
	switch kind {
	case "", "embedded":
		s := kinesistest.New(kinesistest.WithStream(streamName, shardCount), kinesistest.WithLimits(kinesistest.AWSLimits))
		if err := s.Start(); err != nil {
			return nil, err
		}
		l.name, l.url, l.stop, l.api = "embedded", s.URL(), func() { _ = s.Close() }, s.SDK()
		return l, nil
	case string(emulators.Kinesalite), string(emulators.KinesisLocal):
		s, err := emulators.Start(ctx, emulators.Kind(kind), emulators.Config{})
		if err != nil {
			return nil, fmt.Errorf("cannot start %s: %w", kind, err)
		}
		l.url, l.stop = s.URL(), s.Stop
		l.api = kinesis.New(kinesis.Options{
			Region: "us-east-1", BaseEndpoint: aws.String(s.URL()),
			Credentials: credentials.NewStaticCredentialsProvider("demo", "demo", ""),
		})
		if err := l.create(ctx); err != nil {
			s.Stop()
			return nil, err
		}
		return l, nil
	default:
		return nil, fmt.Errorf("KINESIS=%q is not known; allowed: embedded, kinesalite, kinesis-local", kind)
	}
}

func (l *local) create(ctx context.Context) error {
	if _, err := l.api.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String(streamName), ShardCount: aws.Int32(shardCount)}); err != nil {
		return fmt.Errorf("cannot create the stream: %w", err)
	}
	w := kinesis.NewStreamExistsWaiter(l.api, func(o *kinesis.StreamExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second
	})
	return w.Wait(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String(streamName)}, time.Minute)
}

// contents is what the stream holds.
type contents struct {
	kinesistest.Consumed
	units int
}

// read reads the whole stream as a consumer built on the KCL does, which drops an
// aggregate if one of its records is out of the range of the shard.
func (l *local) read(ctx context.Context) (*contents, error) {
	c := &contents{}
	var err error
	c.Consumed, err = kinesistest.ReadAll(ctx, &counter{Client: l.api, units: &c.units}, streamName)
	return c, err
}

// counter counts payload units while records are read.
type counter struct {
	*kinesis.Client
	units *int
}

// GetRecords implements kinesistest.ReadAPI.
func (c *counter) GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	out, err := c.Client.GetRecords(ctx, in, opts...)
	if err == nil {
		for _, r := range out.Records {
			*c.units += max(1, (len(r.Data)+len(aws.ToString(r.PartitionKey))+core.PutPayloadUnit-1)/core.PutPayloadUnit)
		}
	}
	return out, err
}
