// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"github.com/outkpl/outkpl/internal/remedy"
)

// CheckError is one thing that Check has found wrong.
type CheckError struct {
	// Stream is the name of the stream, Operation the call that showed the problem.
	Stream, Operation string
	// Action is the IAM action that is missing, or empty.
	Action string
	// Code is the error code of Kinesis; "NoCredentials" and "RequestFailed" stand
	// for a call that got no answer.
	Code string
	// Detail is a text for people: what is wrong.
	Detail string
	// Advice is a text for people: what to do about it.
	Advice string
	// Temporary is set when the problem may pass by itself, such as a network that
	// is not up yet. To refuse to start would be too strict then.
	Temporary bool
	// Unreachable is set when there are no credentials or no answer, which is so for every
	// stream.
	Unreachable bool
	// Optional is set when the producer works without it, at a cost that Detail names.
	Optional bool
	// Err is what the call failed with; see RecordError.Err.
	Err error
}

// Unwrap returns Err.
func (e *CheckError) Unwrap() error { return e.Err }

// Error implements error.
func (e *CheckError) Error() string {
	s := fmt.Sprintf("cannot use stream %s: %s: %s (%s)", e.Stream, e.Operation, e.Detail, e.Code)
	if e.Advice != "" {
		s += "; " + e.Advice
	}
	return s
}

// dryRunHash is a decimal of the right form, one above the largest hash key. With
// a partition key missing too, the record is wrong for every server that does not
// stop at DryRun.
const dryRunHash = "340282366920938463463374607431768211456"

// Check asks Kinesis whether records could be written to a stream, given by name
// or ARN: ListShards, DescribeStreamSummary and PutRecords are called once each, and
// no record is written. It returns nil, or all problems joined: each is a
// *CheckError (errors.As finds the first; the joined error has Unwrap() []error). A
// call takes at most the request timeout. Check is meant for the start of a program
// and does not need, change or delay anything else of the producer.
//
// PutRecords is called with DryRun, which checks a request without carrying it
// out. Emulators that do not know DryRun would store the record. So
// the record has no partition key and an explicit hash key out of range. Servers that
// are older than DryRun know partition keys as required only (they became optional
// three weeks later, for AUTO streams), and refuse it. Newer ones can only know whether
// the key may be missing after they have looked at the stream, and so after they
// have checked the permission. Both a refusal of the record and a
// DryRunOperationException therefore mean that the caller may write. This was
// not tried on the service itself. Whether the key of an encrypted stream may be used
// (kms:GenerateDataKey) shows only if the service looks at it before it refuses.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
// (checked 2026-11-24).
func (p *Producer) Check(ctx context.Context, stream string) error {
	id, err := newStreamID(p.streamOrDefault(stream))
	if err != nil {
		return err
	}
	c := checkRun{p: p, id: id}
	for _, step := range []func(context.Context) error{c.checkListShards, c.checkDescribe, c.checkPutRecords} {
		if err := c.callWithTimeout(ctx, step); err != nil {
			return errors.Join(append(c.problems, err)...)
		}
		if c.hopeless {
			break
		}
	}
	return errors.Join(c.problems...)
}

type checkRun struct {
	p        *Producer
	id       streamID
	region   string
	problems []error
	hopeless bool // the other calls would end likewise
}

// callWithTimeout bounds one step. The error is that of the caller's context.
func (c *checkRun) callWithTimeout(ctx context.Context, step func(context.Context) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx2, cancel := context.WithTimeout(ctx, c.p.cfg.requestTimeout)
	defer cancel()
	err = step(ctx2)
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("cannot check stream %s: %w", c.id.name, ctx.Err())
	}
	return nil
}

// spy learns the region that the SDK's client is set to.
func (c *checkRun) spy(o *kinesis.Options) { c.region = o.Region }

func (c *checkRun) checkListShards(ctx context.Context) (err error) {
	defer recoverTo(&err, "ListShards")
	_, err = c.p.client.ListShards(ctx, &kinesis.ListShardsInput{
		StreamName: &c.id.name, StreamARN: c.id.arn, MaxResults: aws.Int32(1),
		ShardFilter: &types.ShardFilter{Type: types.ShardFilterTypeAtLatest},
	}, c.spy)
	c.reportError("ListShards", err)
	return err
}

func (c *checkRun) checkDescribe(ctx context.Context) (err error) {
	defer recoverTo(&err, "DescribeStreamSummary")
	out, err := c.p.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: &c.id.name, StreamARN: c.id.arn}, c.spy)
	c.reportError("DescribeStreamSummary", err)
	if err != nil || out == nil || out.StreamDescriptionSummary == nil {
		return err
	}
	switch status := out.StreamDescriptionSummary.StreamStatus; status {
	case types.StreamStatusCreating:
		c.addProblem(&CheckError{Operation: "DescribeStreamSummary", Code: string(status), Detail: "the stream is still being created", Temporary: true, Advice: c.advice(remedy.NotReady)})
	case types.StreamStatusDeleting:
		c.addProblem(&CheckError{Operation: "DescribeStreamSummary", Code: string(status), Detail: "the stream is being deleted", Advice: c.advice(remedy.NotReady)})
	}
	return nil
}

func (c *checkRun) checkPutRecords(ctx context.Context) (err error) {
	defer recoverTo(&err, "PutRecords")
	_, err = c.p.client.PutRecords(ctx, &kinesis.PutRecordsInput{
		StreamName: &c.id.name, StreamARN: c.id.arn, DryRun: aws.Bool(true),
		Records: []types.PutRecordsRequestEntry{{Data: []byte("x"), ExplicitHashKey: aws.String(dryRunHash)}},
	}, c.spy)
	var ok *types.DryRunOperationException
	if !errors.As(err, &ok) {
		c.reportError("PutRecords", err)
	}
	return err
}

// reportError turns an error into a problem, if it is one.
func (c *checkRun) reportError(operation string, err error) {
	if err == nil {
		return
	}
	v := classifyCall(err)
	if callLimit(v.code) {
		return // many programs start at one time; it says nothing about this one
	}
	r, action := remedyOf(&v), "kinesis:"+operation
	e := &CheckError{
		Operation: operation, Code: v.code, Detail: v.message, Advice: r.Advice(c.p.cfg.names, action),
		Temporary: v.action == actRetry || v.action == actThrottle, Err: v.cause,
	}
	switch {
	case v.action == actBisect && operation == "PutRecords":
		return // the record is refused, not the caller
	case v.action == actThrottle && operation == "PutRecords":
		return // a caller that is throttled is allowed
	case v.code == "NoCredentials":
		e.Detail, c.hopeless, e.Unreachable = r.Cause+": "+v.message, true, true
	case credentialCodes[v.code]:
		e.Detail, c.hopeless = "Kinesis does not accept the credentials: "+r.Cause+": "+v.message, true
		e.Temporary = v.code == "ExpiredToken" || v.code == "ExpiredTokenException" || v.code == "RequestExpired"
	case v.foreign:
		e.Detail, c.hopeless = v.message, true
	case v.code == codeNoAnswer:
		e.Unreachable = true
		e.Detail, c.hopeless = r.Cause+c.regionText(" (region ", ")")+": "+v.message, true
	case v.reason == ReasonStreamNotFound:
		e.Detail, c.hopeless = "there is no such stream"+c.regionText(" in region ", "")+" in the account of the credentials", true
	case v.reason == ReasonAccessDenied:
		if e.Action = r.Permission(action); e.Action == "" {
			e.Detail = r.Cause + ": " + v.message // of the key
			break
		}
		e.Detail = "IAM action " + e.Action + " is missing on the stream"
		if r.Kind == remedy.KMSDenied {
			e.Detail += "'s key"
		}
		switch operation {
		case "DescribeStreamSummary":
			e.Optional = true
			e.Detail += "; without it, records above 1 MiB are refused, and AUTO record distribution shows in the answers only"
		case "ListShards":
			e.Optional = true
			e.Detail += "; without it, records are not aggregated"
		}
	default:
		e.Detail = r.Cause + ": " + cmp.Or(v.message, "the call failed")
	}
	c.addProblem(e)
}

func (c *checkRun) regionText(before, after string) string {
	if c.region == "" {
		return ""
	}
	return before + c.region + after
}

// advice says what to do in the words of the program.
func (c *checkRun) advice(k remedy.Kind) string { return remedy.Of(k).Advice(c.p.cfg.names, "") }

func (c *checkRun) addProblem(e *CheckError) {
	e.Stream = c.id.name
	c.problems = append(c.problems, e)
}
