// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// reading tries what a consumer calls, at the tip of one shard.
func (e *exam) reading(ctx context.Context) {
	const iterator, records = "kinesis:GetShardIterator", "kinesis:GetRecords"
	if e.shard == "" {
		e.add(iterator, Note, "not checked: no shard is known", "")
		return
	}
	ctx, cancel := e.timed(ctx)
	defer cancel()
	in := &kinesis.GetShardIteratorInput{
		StreamName: e.name(), StreamARN: e.arn(), ShardId: &e.shard, ShardIteratorType: types.ShardIteratorTypeLatest,
	}
	out, err := e.Client.GetShardIterator(ctx, in)
	if err != nil {
		e.refused(iterator, err, Consumer)
		return
	}
	e.add(iterator, OK, "allowed", "")
	if e.aws {
		// Does the service know dry runs? A read tells without harm.
		dry := *in
		dry.DryRun = aws.Bool(true)
		_, err := e.Client.GetShardIterator(ctx, &dry)
		e.noDryRuns = err == nil
	}
	if _, err := e.Client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: out.ShardIterator, StreamARN: e.arn(), Limit: aws.Int32(1)}); err != nil {
		e.refused(records, err, Consumer)
		return
	}
	e.add(records, OK, "allowed", "")
}

// writing asks whether a producer may write, without writing.
func (e *exam) writing(ctx context.Context) {
	const put = "kinesis:PutRecords"
	switch {
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
	detail := e.WireFormat() + ": requests are written in it from now on"
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
		e.refused(check, err, Producer)
		return
	}
	if len(out.Records) != 1 {
		e.add(check, Fail, fmt.Sprintf("the answer has %d results for one record", len(out.Records)), "report this to the maker of the server")
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
	switch code := api.ErrorCode(); {
	case code == "AccessDeniedException" || code == "AccessDenied":
		return Fail, detail, fmt.Sprintf("allow %s on %s: in the IAM policy, and if they exist in the stream's resource policy, the VPC endpoint's policy, permission boundaries and service control policies", action, e.target())
	case code == "ResourceNotFoundException":
		return Fail, detail, fmt.Sprintf("check name, account and region (%s): aws kinesis list-streams; a stream of another account must be given by its ARN", e.options.Region)
	case strings.HasPrefix(code, "ExpiredToken"):
		return Fail, detail, "renew the credentials: log in again, or fetch a new session token"
	case code == "UnrecognizedClientException" || code == "InvalidClientTokenId":
		return Fail, detail, "the access key is not known: it was deleted, is of another partition (aws, aws-cn, aws-us-gov), or misses its session token"
	case code == "IncompleteSignature" || strings.HasPrefix(code, "MissingAuthenticationToken"):
		return Fail, detail, "something between here and AWS removes or changes headers: check proxies"
	case code == "SignatureDoesNotMatch" || code == "InvalidSignatureException" || code == "RequestExpired":
		return Fail, detail, "check the secret key, the clock (see below), and that no proxy changes calls"
	case strings.HasPrefix(code, "KMS") && code != "KMSThrottlingException":
		return Fail, detail, "check the stream's KMS key: it must be enabled, and the caller needs kms:GenerateDataKey to write and kms:Decrypt to read"
	case strings.Contains(code, "Throttling") || code == "LimitExceededException" || code == "ProvisionedThroughputExceededException":
		return Warn, detail, "others call too often as well: look at the metric ReadProvisionedThroughputExceeded and at the number of consumers"
	}
	return Fail, detail, "try again; if it stays, look the code up in the API reference of Kinesis"
}

func (e *exam) classifyNetwork(err error) (level Level, detail, advice string) {
	var resp *smithyhttp.ResponseError
	var send *smithyhttp.RequestSendError
	var unknown x509.UnknownAuthorityError
	var wrong x509.HostnameError
	detail = firstLine(err)
	if errors.As(err, &send) {
		e.unreachable = true
		var call *url.Error // it has the address once more
		if detail = firstLine(send.Err); errors.As(send.Err, &call) {
			detail = firstLine(call.Err)
		}
	}
	switch {
	case errors.As(err, &unknown):
		return Fail, detail, "the certificate is of an authority that is not known: if a proxy looks into TLS, put its CA into a file and set AWS_CA_BUNDLE"
	case errors.As(err, &wrong):
		return Fail, detail, "the certificate is for another host: check --endpoint, DNS and proxies"
	case errors.Is(err, context.DeadlineExceeded):
		return Fail, detail, fmt.Sprintf("no answer in %v: check security groups, the VPC endpoint and the proxy", e.Timeout)
	case send == nil && errors.As(err, &resp):
		return Fail, detail, "the answer is not one of Kinesis: check --endpoint and proxies"
	}
	return Fail, detail, "check --endpoint, the network and the proxy"
}
