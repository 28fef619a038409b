// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"

	"github.com/outkpl/outkpl/cmd/kplcat/internal/reader"
	"github.com/outkpl/outkpl/core/awsclient"
	"github.com/outkpl/outkpl/internal/remedy"
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
		return explain(err, o)
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
	if errors.Is(err, awsclient.ErrNoRegion) {
		return &reworded{err, "no region is set\n" + setRegion} // the error has the names of options of the library
	}
	r, action := remedyOf(err)
	if r == nil {
		return err
	}
	advice := r.Advice(func(option string) string {
		if option == "stream" {
			return "the name of the stream"
		}
		return remedy.Command(option)
	}, action)
	if r.Kind == remedy.NoCredentials && cmp.Or(o.aws.Endpoint, os.Getenv("AWS_ENDPOINT_URL_KINESIS"), os.Getenv("AWS_ENDPOINT_URL")) != "" {
		advice = "for an emulator any will do: AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x"
	}
	return fmt.Errorf("%w\n%s: %s", err, r.Cause, advice)
}

// reworded is an error with a text of its own.
type reworded struct {
	error
	text string
}

func (e *reworded) Error() string { return e.text }
func (e *reworded) Unwrap() error { return e.error }

// setRegion is what to do if nothing says which region is meant.
const setRegion = "set --region, AWS_REGION or the region of the profile, or give the stream by its ARN"

// remedyOf says what is known about the error of a call, and the IAM action of that call. It is
// nil for other errors.
func remedyOf(err error) (r *remedy.Remedy, action string) {
	var call *smithy.OperationError
	if errors.Is(err, context.Canceled) || !errors.As(err, &call) {
		return nil, ""
	}
	code, text := "RequestFailed", ""
	var api smithy.APIError
	switch {
	case errors.As(err, &api):
		code, text = api.ErrorCode(), api.ErrorMessage()
	case reader.NoCredentials(err):
		code = "NoCredentials"
	}
	if r = remedy.Find(code, text, err); r.Kind == remedy.Unknown {
		return nil, ""
	}
	return r, "kinesis:" + call.Operation()
}
