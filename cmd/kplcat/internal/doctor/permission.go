// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/outkpl/outkpl/internal/plural"
	"github.com/outkpl/outkpl/internal/remedy"
)

// The IAM actions of reading.
const (
	getShardIterator = "kinesis:GetShardIterator"
	getRecords       = "kinesis:GetRecords"
	put              = "kinesis:PutRecords"
)

// reading tries what a consumer calls, at the tip of one shard.
func (e *exam) reading(ctx context.Context) {
	if e.shard == "" {
		e.add(getShardIterator, Note, "not checked: no shard is known", "")
		return
	}
	ctx, cancel := e.timed(ctx)
	defer cancel()
	in := &kinesis.GetShardIteratorInput{
		StreamName: e.name(), StreamARN: e.arn(), ShardId: &e.shard, ShardIteratorType: types.ShardIteratorTypeLatest,
	}
	out, err := e.Client.GetShardIterator(ctx, in)
	if err != nil {
		e.refused(getShardIterator, err, Consumer)
		return
	}
	e.add(getShardIterator, OK, "allowed", "")
	if e.aws {
		// Does the service know dry runs? A read tells without harm.
		dry := *in
		dry.DryRun = aws.Bool(true)
		_, err := e.Client.GetShardIterator(ctx, &dry)
		e.noDryRuns = err == nil
	}
	if _, err := e.Client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: out.ShardIterator, StreamARN: e.arn(), Limit: aws.Int32(1)}); err != nil {
		e.refused(getRecords, err, Consumer)
		return
	}
	e.add(getRecords, OK, "allowed", "")
}

// writing asks whether a producer may write, without writing.
func (e *exam) writing(ctx context.Context) {
	switch {
	case e.ProbeWrite && len(e.open) > 0 && (!e.aws || e.noDryRuns):
		return // the probe tells
	case !e.aws:
		e.add(put, Note, "not checked: only AWS itself at its usual address knows dry runs; another server could store the record", "")
		return
	case e.noDryRuns:
		e.add(put, Note, "not checked: the service does not know dry runs here and could store the record", "")
		return
	}
	ctx, cancel := e.timed(ctx)
	defer cancel()
	_, err := e.Client.PutRecords(ctx, &kinesis.PutRecordsInput{
		StreamName: e.name(), StreamARN: e.arn(), DryRun: aws.Bool(true),
		Records: []types.PutRecordsRequestEntry{{PartitionKey: aws.String("kplcat-doctor"), Data: []byte("kplcat doctor: dry run")}},
	})
	var fine *types.DryRunOperationException
	switch {
	case errors.As(err, &fine):
		e.add(put, OK, "allowed, says a dry run; nothing was written", "")
	case err == nil:
		e.add(put, Warn, "allowed, but the service took the dry run for a real call: one record with the partition key kplcat-doctor was written", "do not use kplcat doctor with this service")
	default:
		e.refused(put, err, Producer)
	}
}

// wireFormat says how requests are written, as the calls before have shown.
func (e *exam) wireFormat() {
	if e.WireFormat == nil {
		return
	}
	detail := e.WireFormat() + ", in which requests are written"
	if e.WireFormat() == "json" {
		detail += "; each byte of data takes 1.33"
	}
	e.add("wire format", OK, detail, "")
}

// probeWrite writes a record for a hash key in the middle of a shard, and looks which shard
// takes it.
func (e *exam) probeWrite(ctx context.Context) {
	const check = "probe write"
	if len(e.open) == 0 {
		e.add(check, Note, "not made: no shard is known", "")
		return
	}
	ctx, cancel := e.timed(ctx)
	defer cancel()
	to := e.open[len(e.open)/2]
	key := to.last.String()
	out, err := e.Client.PutRecords(ctx, &kinesis.PutRecordsInput{
		StreamName: e.name(), StreamARN: e.arn(),
		Records: []types.PutRecordsRequestEntry{{PartitionKey: aws.String("kplcat-doctor"), ExplicitHashKey: &key, Data: []byte("kplcat doctor: probe write")}},
	})
	if err != nil {
		e.refused(put, err, Producer)
		return
	}
	if len(out.Records) != 1 {
		e.add(check, Fail, fmt.Sprintf("the answer has %s for one record", plural.Count(len(out.Records), "result")), "report this to the maker of the server")
		return
	}
	r := out.Records[0]
	if aws.ToString(r.SequenceNumber) == "" {
		e.add(check, Fail, aws.ToString(r.ErrorCode)+": "+aws.ToString(r.ErrorMessage), "try again; if it stays, look the code up in the API reference of Kinesis")
		return
	}
	detail := fmt.Sprintf("one record with the partition key kplcat-doctor is in %s at %s", aws.ToString(r.ShardId), aws.ToString(r.SequenceNumber))
	if e.WireFormat != nil {
		detail += ", sent as " + e.WireFormat()
	}
	switch {
	case aws.ToString(r.ShardId) == to.id:
		e.add(check, OK, fmt.Sprintf("%s; the range of the shard, %s to %s, has its hash key", detail, to.first, to.last), "")
	case e.auto:
		e.add(check, Note, detail+"; Kinesis chooses the shard", "")
	default:
		e.add(check, Warn, fmt.Sprintf("%s; its hash key %s is in the range of %s", detail, key, to.id),
			"a shard may have been split or merged a moment ago: ask again; if it stays, do not aggregate for this stream")
	}
}

// refused reports a call that failed. If only the other role needs it, it is a note.
func (e *exam) refused(action string, err error, needs Role) {
	level, detail, advice := e.classify(action, err)
	if e.tls { // the way to all actions
		action, needs = "tls", Both
	}
	if level == Fail && (e.Role != Both && needs != Both && needs != e.Role) {
		level, advice = Note, "nothing: a "+string(e.Role)+" does not need it"
	}
	e.add(action, level, detail, advice)
}

// classify says what the error of a call means and what to do.
func (e *exam) classify(action string, err error) (level Level, detail, advice string) {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return e.classifyNetwork(err)
	}
	detail = api.ErrorCode()
	if m := api.ErrorMessage(); m != "" {
		detail += ": " + m
	}
	r := remedy.Find(api.ErrorCode(), api.ErrorMessage(), nil)
	level = Fail
	switch r.Kind {
	case remedy.AccessDenied:
		return level, detail, strings.Replace(e.advice(r, action), "on the stream", "on "+e.target(), 1)
	case remedy.Throttled, remedy.CallsThrottled, remedy.KMSThrottled:
		level = Warn
		if action == getRecords || action == getShardIterator {
			r = remedy.Of(remedy.ReadsThrottled)
		}
	default: // the call cannot succeed
	}
	return level, detail, e.advice(r, action)
}

// advice says what to do, in the words of kplcat.
func (e *exam) advice(r *remedy.Remedy, action string) string {
	return r.Advice(func(option string) string {
		name := remedy.Command(option)
		switch option {
		case "region":
			name += " (" + e.options.Region + ")"
		case "stream":
			name = "the name of the stream"
		}
		return name
	}, action)
}

func (e *exam) classifyNetwork(err error) (level Level, detail, advice string) {
	var resp *smithyhttp.ResponseError
	var send *smithyhttp.RequestSendError
	detail = firstLine(err)
	code := "RequestFailed"
	if errors.As(err, &send) {
		e.unreachable = true
		var call *url.Error // it has the address once more
		if detail = firstLine(send.Err); errors.As(send.Err, &call) {
			detail = firstLine(call.Err)
		}
	} else if errors.As(err, &resp) && !errors.Is(err, context.DeadlineExceeded) {
		code = "HTTP"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		detail = fmt.Sprintf("no answer in %v", e.Timeout)
	}
	r := remedy.Find(code, detail, err)
	switch r.Kind {
	case remedy.NotTLS, remedy.UnknownAuthority, remedy.WrongCertificate:
		e.tls, detail = true, r.Cause+": "+detail
	default:
	}
	return Fail, detail, e.advice(r, "")
}
