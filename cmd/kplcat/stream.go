// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/cmd/kplcat/internal/reader"
	"github.com/outkpl/outkpl/core/awsclient"
)

// readBytesPerSecond is what a shard gives its consumers of this kind together
// (https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html,
// checked 2026-11-24).
const readBytesPerSecond = 2 << 20

// retries is how often in a row a call may fail by chance; see reader.Config.
const retries = 5

// catStream shows a stream.
func catStream(ctx context.Context, o *options, v *view, warn *warner) error {
	client, err := awsclient.New(ctx, o.client())
	if err != nil {
		return err
	}
	api, ok := client.(reader.API)
	if !ok {
		return errors.New("cannot read: the Kinesis client has no GetRecords")
	}
	c := reader.Config{
		API: api, Stream: o.stream, ARN: o.arn, Shards: o.shards,
		From: o.from, UntilNow: o.untilNow, Until: o.until, Poll: o.poll, Retries: retries,
		Handle: func(b reader.Batch) error {
			for i := range b.Records {
				r := &b.Records[i]
				if at := aws.ToTime(r.ApproximateArrivalTimestamp); at.After(v.latest) {
					v.latest = at
				}
				if err := v.add(record{
					shard: b.Shard, sequence: aws.ToString(r.SequenceNumber), arrival: aws.ToTime(r.ApproximateArrivalTimestamp),
					key: aws.ToString(r.PartitionKey), data: r.Data,
				}); err != nil {
					return err
				}
			}
			return nil
		},
		Idle: v.flush,
		Warn: warn.warn,
	}
	if isEmulator(o.aws.Endpoint) {
		c.ScanTimes = true
	} else {
		c.BytesPerSecond = readBytesPerSecond // emulators have no such limit
	}
	setTicks(&c, o, v)
	return explain(reader.Run(ctx, c), o)
}

// setTicks has the table of --interval printed, and the line of waiting renewed.
func setTicks(c *reader.Config, o *options, v *view) {
	table := func() error {
		if err := v.stats.print(v.out, o); err != nil {
			return err
		}
		if o.stats == "table" {
			if err := v.out.WriteByte('\n'); err != nil {
				return err
			}
		}
		return v.flush()
	}
	interval := o.interval
	if v.stats == nil {
		interval = 0
	}
	if v.wait.term == nil {
		c.Every, c.Tick = interval, table
		return
	}
	c.Every = time.Second
	next := v.began.Add(interval)
	before := 0 // records at the last tick
	c.Tick = func() error {
		now := time.Now()
		if interval > 0 && !now.Before(next) {
			next = now.Add(interval)
			return table()
		}
		idle := v.records == before
		before = v.records
		v.wait.say((&progress{
			idle:    idle,
			records: v.records, users: v.users, shown: v.shown, shards: len(v.shards), arrival: v.latest, follow: o.follow, counting: v.stats != nil,
		}).text(now), now)
		return nil
	}
}

// isEmulator tells emulators from AWS and its VPC endpoints, which speak TLS.
func isEmulator(endpoint string) bool { return strings.HasPrefix(endpoint, "http://") }

// explain adds what to do to errors that users meet first.
func explain(err error, o *options) error {
	if err == nil {
		return nil
	}
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) && o.stream != "" {
		if st, statErr := os.Stat(o.stream); statErr == nil && st.Mode().IsRegular() {
			return fmt.Errorf("%w\nthere is a file of that name; to read it, write .%c%s", err, os.PathSeparator, o.stream)
		}
	}
	if reader.NoCredentials(err) && o.aws.Endpoint != "" {
		return fmt.Errorf("%w\nfor an emulator any will do: AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x", err)
	}
	return err
}
