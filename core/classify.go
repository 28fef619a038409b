// SPDX-License-Identifier: Apache-2.0

package core

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// action is what is done about a failure.
type action uint8

const (
	// actRetry: the failure may pass; try again after a backoff.
	actRetry action = iota
	// actThrottle: as actRetry, and the shard has said that it is full.
	actThrottle
	// actBisect: one record of the request is not acceptable; find it.
	actBisect
	// actFail: every record of the stream fails like this until an operator acts.
	actFail
)

// classification is the result for of a failed request or record.
type classification struct {
	action  action
	reason  Reason // for actFail and, once the record at fault is isolated, actBisect
	code    string
	message string
	// uncertain is set when Kinesis may have stored the records all the same.
	uncertain bool
	// foreign is set when the answer is likely not of Kinesis, but of something on the
	// way to it: it has no error code.
	foreign bool
	entry   bool // code and message are those of an entry of an answer
	// recordLimit is the most that the data of a record may have, if the message says that
	// one has more; see learnRecordLimit.
	recordLimit int
	cause       error // of a call that failed; see causeOf
}

// codes lists every error code with a meaning of its own. What is not listed is
// retried: giving up on an unknown code would lose data, and the log names it.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
// and .../CommonErrors.html (checked 2026-11-24).
var codes = map[string]classification{
	// The shard, or the call as a whole, is over its limit.
	"ProvisionedThroughputExceededException": {action: actThrottle, reason: ReasonThrottled},
	"LimitExceededException":                 {action: actRetry},
	"ThrottlingException":                    {action: actRetry},
	"Throttling":                             {action: actRetry},
	"RequestLimitExceeded":                   {action: actRetry},
	"KMSThrottlingException":                 {action: actRetry},

	// The service is degraded.
	"InternalFailure":             {action: actRetry},
	"InternalFailureException":    {action: actRetry},
	"InternalServerError":         {action: actRetry},
	"ServiceUnavailable":          {action: actRetry},
	"ServiceUnavailableException": {action: actRetry},
	// The stream is being created or changed.
	"ResourceInUseException": {action: actRetry},

	// An operator has to act; every record of the stream is hit.
	"ResourceNotFoundException": {action: actFail, reason: ReasonStreamNotFound},
	"AccessDenied":              {action: actFail, reason: ReasonAccessDenied},
	"AccessDeniedException":     {action: actFail, reason: ReasonAccessDenied},
	"NotAuthorized":             {action: actFail, reason: ReasonAccessDenied},
	"OptInRequired":             {action: actFail, reason: ReasonAccessDenied},
	"KMSAccessDeniedException":  {action: actFail, reason: ReasonAccessDenied},
	"KMSDisabledException":      {action: actFail, reason: ReasonAccessDenied},
	"KMSInvalidStateException":  {action: actFail, reason: ReasonAccessDenied},
	"KMSNotFoundException":      {action: actFail, reason: ReasonAccessDenied},
	"KMSOptInRequired":          {action: actFail, reason: ReasonAccessDenied},

	// At least one record is not acceptable.
	"ValidationException":            {action: actBisect, reason: ReasonInvalid},
	"ValidationError":                {action: actBisect, reason: ReasonInvalid},
	"InvalidArgumentException":       {action: actBisect, reason: ReasonInvalid},
	"SerializationException":         {action: actBisect, reason: ReasonInvalid},
	"RequestEntityTooLarge":          {action: actBisect, reason: ReasonTooLarge},
	"RequestEntityTooLargeException": {action: actBisect, reason: ReasonTooLarge},
}

// credentialCodes are those that say that the credentials are not accepted. Calls are
// retried: new ones come from the provider chain. Services, and what stands in between,
// have them with and without the ending.
var credentialCodes = map[string]bool{
	"ExpiredToken": true, "ExpiredTokenException": true, "RequestExpired": true,
	"UnrecognizedClient": true, "UnrecognizedClientException": true,
	"InvalidClientTokenId": true, "InvalidAccessKeyId": true, "InvalidToken": true,
	"InvalidSignature": true, "InvalidSignatureException": true, "SignatureDoesNotMatch": true,
	"IncompleteSignature": true, "IncompleteSignatureException": true,
	"MissingAuthenticationToken": true, "MissingAuthenticationTokenException": true,
}

// RefusesCredentials reports whether an error code of AWS says that the credentials are
// not accepted, so that others may be accepted.
func RefusesCredentials(code string) bool { return credentialCodes[code] }

// codeNoAnswer stands for a call that ended without an answer of the service.
const codeNoAnswer = "RequestFailed"

// classifyEntry classifies one failed entry of a PutRecords answer. Such a record
// was not stored.
func classifyEntry(code, message string) classification {
	v := codes[code] // the zero classification retries
	v.code, v.message, v.entry = code, message, true
	v.learnRecordLimit()
	return v
}

// causeOf returns the part of a call's error that a caller can act on, or nil. What is
// around it may hold the answer, the answer its request, and the request the records, so
// that a caller that keeps an error would keep them all.
func causeOf(err error) error {
	var api smithy.APIError
	var op *net.OpError
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &api):
		return api
	case errors.As(err, &certificate):
		return certificate
	case errors.As(err, &record):
		return tls.RecordHeaderError{Msg: record.Msg} // without the connection
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &op):
		return op
	}
	return nil
}

// classifyRequest classifies a call that failed as a whole.
func classifyRequest(err error) classification {
	v := classifyError(err)
	v.cause = causeOf(err)
	return v
}

func classifyError(err error) classification {
	status := 0
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) && resp.Response != nil {
		status = resp.HTTPStatusCode()
	}
	if text := err.Error(); strings.Contains(text, "get credentials") || strings.Contains(text, "get identity") {
		// The SDK has no error type for a provider chain that came up empty.
		// The chain below may have the answer of another service, so this
		// comes before the code.
		return classification{code: "NoCredentials", message: text}
	}
	var api smithy.APIError
	if errors.As(err, &api) && (status == 0 || api.ErrorCode() != "" && api.ErrorCode() != codeUnknown) {
		v, known := codes[api.ErrorCode()]
		v.code, v.message = cmp.Or(api.ErrorCode(), codeUnknown), withoutValues(api.ErrorMessage())
		switch {
		case status == http.StatusRequestEntityTooLarge:
			v.action, v.reason = actBisect, ReasonTooLarge
		case known, credentialCodes[v.code]:
		case status == http.StatusForbidden:
			v.action, v.reason = actFail, ReasonAccessDenied
		}
		if v.message == "" && status != 0 {
			v.message = "HTTP status " + strconv.Itoa(status)
		}
		// An error of the server's side does not say how far it had come.
		v.uncertain = status >= 500
		v.learnRecordLimit()
		return v
	}
	if status != 0 {
		return classifyStatus(status, err)
	}
	v := classification{code: codeNoAnswer, message: err.Error(), uncertain: true}
	if errors.Is(err, context.DeadlineExceeded) {
		v.message = "no answer within the request timeout"
	}
	var op *net.OpError
	var dns *net.DNSError
	if errors.As(err, &op) && op.Op == "dial" || errors.As(err, &dns) {
		v.uncertain = false // nothing was sent
	}
	return v
}

// codeUnknown is what the SDK calls an error without a code.
const codeUnknown = "UnknownError"

// classifyStatus classifies an answer without an error code. It says what stands between the
// producer and Kinesis, and nothing about the records but their size: no such answer is
// ever counted against a record, except for 413.
func classifyStatus(status int, err error) classification {
	v := classification{code: "HTTP" + strconv.Itoa(status), foreign: true}
	what := "the answer is not one of Kinesis"
	switch {
	case status == http.StatusRequestEntityTooLarge:
		v.action, v.reason = actBisect, ReasonTooLarge
		what = "the request is too large for something on the way"
	case status == http.StatusBadRequest, status == http.StatusForbidden, status == http.StatusNotAcceptable, status == http.StatusUnprocessableEntity:
		// A filter may refuse a request for what is in it. To halve it lets the other
		// records through.
		v.action = actBisect
		what = "a proxy or filter refuses the request"
	case status == http.StatusProxyAuthRequired, status == http.StatusNetworkAuthenticationRequired:
		what = "the proxy or network wants a login"
	case status >= 300 && status < 400:
		what = "a redirect, which is not followed"
	case status >= 500:
		what = "Kinesis or something on the way to it failed"
	}
	// What was refused was not carried out. A proxy that has waited long enough, an error
	// of the server's side, or an answer that cannot be read do not say how far it had come.
	v.uncertain = status < 300 || status >= 500 || status == http.StatusRequestTimeout || status == 499
	v.message = what + "; HTTP status " + strconv.Itoa(status)
	var api smithy.APIError
	switch known := errors.As(err, &api); {
	case !known && status < 300:
		v.message += ", and it cannot be read"
	case known && api.ErrorMessage() != "" && api.ErrorMessage() != codeUnknown:
		text := withoutValues(api.ErrorMessage())
		v.message += ": " + text[:min(len(text), 200)]
	}
	return v
}

// classifyCall is classifyRequest for operations other than PutRecords. Answers that are
// not of Kinesis may pass.
func classifyCall(err error) classification {
	v := classifyRequest(err)
	if v.foreign {
		v.action = actRetry
	}
	return v
}

// repeated is what messages about invalid requests repeat of them, from the first to
// the last value: "Value 'KEY' at 'records.1.member.partitionKey' failed to ...".
var repeated = regexp.MustCompile(`(?s)Value '.*' at '`)

// withoutValues takes values out of a message of the service, since messages are
// logged, and partition keys are contents.
func withoutValues(message string) string {
	return repeated.ReplaceAllString(message, "Value '...' at '")
}

// aboveRecordLimit is how a message says that the data of a record are above a limit.
var aboveRecordLimit = regexp.MustCompile(`'records\.\d+\.member\.data' failed to satisfy constraint: .*?(?:less than or equal to|at most) (\d+)`)

// learnRecordLimit takes the limit out of a message that says that a record is above it.
func (v *classification) learnRecordLimit() {
	if v.action != actBisect || v.reason != ReasonInvalid {
		return
	}
	if m := aboveRecordLimit.FindStringSubmatch(v.message); m != nil {
		v.recordLimit, _ = strconv.Atoi(m[1]) // a number without end is none
	}
}

// callLimit reports whether a call was refused because there were too many.
func callLimit(code string) bool {
	switch code {
	case "LimitExceededException", "ThrottlingException", "Throttling", "RequestLimitExceeded":
		return true
	}
	return false
}
