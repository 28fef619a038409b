// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"

	"github.com/outkpl/outkpl/combined"
	"github.com/outkpl/outkpl/core/kinesistest"
	"github.com/outkpl/outkpl/internal/cost"
	"github.com/outkpl/outkpl/internal/emulators"
)

// embedded is the Kinesis in this process.
const embedded = "embedded"

// local is a Kinesis on this machine.
type local struct {
	name string
	url  string
	stop func()
	api  *kinesis.Client
}

func startKinesis(ctx context.Context, kind string, events int) (*local, error) {
	l := &local{name: kind}
	switch kind {
	case "", embedded:
		opts := []kinesistest.Option{kinesistest.WithLimits(kinesistest.AWSLimits)}
		for _, m := range modes {
			opts = append(opts, kinesistest.WithStream(m.stream, m.shards(events)))
		}
		s := kinesistest.New(opts...)
		if err := s.Start(); err != nil {
			return nil, err
		}
		l.name, l.url, l.stop, l.api = embedded, s.URL(), func() { _ = s.Close() }, s.SDK()
		return l, nil
	default: // check has seen it
		s, err := emulators.Start(ctx, emulators.Kind(kind), emulators.Config{})
		if err != nil {
			return nil, fmt.Errorf("cannot start %s: %w", kind, err)
		}
		l.url, l.stop = s.URL(), s.Stop
		l.api = kinesis.New(kinesis.Options{
			Region: "us-east-1", BaseEndpoint: aws.String(s.URL()),
			Credentials: credentials.NewStaticCredentialsProvider("demo", "demo", ""),
		})
		for _, m := range modes {
			if err := l.create(ctx, m.stream, m.shards(events)); err != nil {
				s.Stop()
				return nil, err
			}
		}
		return l, nil
	}
}

func (l *local) create(ctx context.Context, stream string, shards int) error {
	if _, err := l.api.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: aws.String(stream), ShardCount: aws.Int32(int32(shards))}); err != nil {
		return fmt.Errorf("cannot create the stream %s: %w", stream, err)
	}
	w := kinesis.NewStreamExistsWaiter(l.api, func(o *kinesis.StreamExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 100*time.Millisecond, time.Second
	})
	return w.Wait(ctx, &kinesis.DescribeStreamInput{StreamName: aws.String(stream)}, time.Minute)
}

// contents is what a stream holds.
type contents struct {
	kinesistest.Consumed
	writes cost.Writes // the Kinesis records
	events []event
}

// event is one event, with the user record that it is in and its number there.
type event struct {
	user   *kinesistest.UserRecord
	number int
	data   []byte
}

// read reads a whole stream as a consumer does that is built on the KCL, which drops an
// aggregate if one of its records is out of the range of the shard, and takes the user
// records apart.
func (l *local) read(ctx context.Context, stream string) (*contents, error) {
	c := &contents{}
	var err error
	if c.Consumed, err = kinesistest.ReadAll(ctx, &counter{Client: l.api, writes: &c.writes}, stream); err != nil {
		return nil, err
	}
	var d combined.Decoder // an event alone is a JSON object, which is not taken for a combined record
	for i := range c.Records {
		r, err := d.Decode(c.Records[i].Data)
		if err != nil {
			return nil, fmt.Errorf("user record %d: %w", i, err)
		}
		for n, e := range r.Events {
			c.events = append(c.events, event{user: &c.Records[i], number: n, data: e})
		}
	}
	return c, nil
}

// counter counts Kinesis records while they are read.
type counter struct {
	*kinesis.Client
	writes *cost.Writes
}

// GetRecords implements kinesistest.ReadAPI.
func (c *counter) GetRecords(ctx context.Context, in *kinesis.GetRecordsInput, opts ...func(*kinesis.Options)) (*kinesis.GetRecordsOutput, error) {
	out, err := c.Client.GetRecords(ctx, in, opts...)
	if err == nil {
		for _, r := range out.Records {
			c.writes.Add(1, len(r.Data)+len(aws.ToString(r.PartitionKey)))
		}
	}
	return out, err
}
