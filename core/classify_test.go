// SPDX-License-Identifier: Apache-2.0

package core

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// answer is an error as the SDK returns it for an HTTP answer.
func answer(status int, err error) error {
	return &smithy.OperationError{ServiceID: "Kinesis", OperationName: "PutRecords", Err: &smithyhttp.ResponseError{
		Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status}}, Err: err,
	}}
}

func code(c string) error { return &smithy.GenericAPIError{Code: c, Message: "text"} }

func TestClassifyRequest(t *testing.T) {
	dial := &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	read := &net.OpError{Op: "read", Err: errors.New("connection reset by peer")}
	for _, c := range []struct {
		name      string
		err       error
		action    action
		reason    Reason
		code      string
		uncertain bool
	}{
		{name: "throttle of the call", err: answer(400, &types.ProvisionedThroughputExceededException{}), action: actThrottle, reason: ReasonThrottled, code: "ProvisionedThroughputExceededException"},
		{name: "limit of the API", err: answer(400, code("LimitExceededException")), code: "LimitExceededException"},
		{name: "throttling", err: answer(400, code("ThrottlingException")), code: "ThrottlingException"},
		{name: "KMS throttling", err: answer(400, &types.KMSThrottlingException{}), code: "KMSThrottlingException"},
		{name: "internal failure", err: answer(500, code("InternalFailure")), code: "InternalFailure", uncertain: true},
		{name: "service unavailable", err: answer(503, code("ServiceUnavailable")), code: "ServiceUnavailable", uncertain: true},
		{name: "500 without a body", err: answer(500, code("UnknownError")), code: "HTTP500", uncertain: true},
		{name: "504 of a gateway", err: answer(504, code("UnknownError")), code: "HTTP504", uncertain: true},
		{name: "stream in change", err: answer(400, &types.ResourceInUseException{}), code: "ResourceInUseException"},
		{name: "expired token", err: answer(400, code("ExpiredTokenException")), code: "ExpiredTokenException"},
		{name: "unknown key", err: answer(400, code("UnrecognizedClientException")), code: "UnrecognizedClientException"},
		{name: "wrong signature", err: answer(403, code("InvalidSignatureException")), code: "InvalidSignatureException"},
		{name: "wrong signature, of something in between", err: answer(403, code("InvalidSignature")), code: "InvalidSignature"},
		{name: "incomplete signature", err: answer(403, code("IncompleteSignatureException")), code: "IncompleteSignatureException"},
		{name: "unknown key without the ending", err: answer(403, code("UnrecognizedClient")), code: "UnrecognizedClient"},
		{name: "no such stream", err: answer(400, &types.ResourceNotFoundException{}), action: actFail, reason: ReasonStreamNotFound, code: "ResourceNotFoundException"},
		{name: "access denied", err: answer(400, &types.AccessDeniedException{}), action: actFail, reason: ReasonAccessDenied, code: "AccessDeniedException"},
		{name: "KMS access denied", err: answer(400, &types.KMSAccessDeniedException{}), action: actFail, reason: ReasonAccessDenied, code: "KMSAccessDeniedException"},
		{name: "403 with an unknown code", err: answer(403, code("Forbidden")), action: actFail, reason: ReasonAccessDenied, code: "Forbidden"},
		{name: "validation", err: answer(400, &types.ValidationException{}), action: actBisect, reason: ReasonInvalid, code: "ValidationException"},
		{name: "invalid argument", err: answer(400, &types.InvalidArgumentException{}), action: actBisect, reason: ReasonInvalid, code: "InvalidArgumentException"},
		{name: "413 without a body", err: answer(413, code("UnknownError")), action: actBisect, reason: ReasonTooLarge, code: "HTTP413"},
		{name: "413 with a code of its own", err: answer(413, code("RequestTooLong")), action: actBisect, reason: ReasonTooLarge, code: "RequestTooLong"},
		{name: "413 with a code that means something else", err: answer(413, code("ThrottlingException")), action: actBisect, reason: ReasonTooLarge, code: "ThrottlingException"},
		{name: "unknown code is retried, not given up", err: answer(400, code("NewException")), code: "NewException"},
		{name: "connection refused is certain", err: fmt.Errorf("send: %w", dial), code: codeNoAnswer},
		{name: "unknown host is certain", err: fmt.Errorf("send: %w", &net.DNSError{}), code: codeNoAnswer},
		{name: "reset is uncertain", err: fmt.Errorf("send: %w", read), code: codeNoAnswer, uncertain: true},
		{name: "timeout is uncertain", err: fmt.Errorf("send: %w", context.DeadlineExceeded), code: codeNoAnswer, uncertain: true},
		{name: "no credentials because another service refused", err: fmt.Errorf("get identity: get credentials: %w", code("AccessDenied")), code: "NoCredentials"},
		{name: "an answer without a code", err: answer(400, code("")), action: actBisect, code: "HTTP400"},
		{name: "no credentials", err: errors.New("get identity: get credentials: no provider"), code: "NoCredentials"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := classifyRequest(c.err)
			if v.action != c.action || v.reason != c.reason || v.code != c.code || v.uncertain != c.uncertain {
				t.Errorf("unexpected classification; got %+v; want action %d, reason %v, code %s, uncertain %v", v, c.action, c.reason, c.code, c.uncertain)
			}
			if v.message == "" && strings.HasPrefix(c.code, "HTTP") {
				t.Error("unexpected empty message; want the HTTP status")
			}
		})
	}
}

func TestOnlyRefusedCredentialsAskForOthers(t *testing.T) {
	for c, want := range map[string]bool{
		"ExpiredToken": true, "ExpiredTokenException": true, "UnrecognizedClientException": true, "InvalidSignatureException": true,
		"InvalidClientTokenId": true, "IncompleteSignature": true, "MissingAuthenticationToken": true,
		"AccessDeniedException": false, "ThrottlingException": false, "ExpiredIteratorException": false, "": false,
	} {
		if got := RefusesCredentials(c); got != want {
			t.Errorf("unexpected classification on %q; got %v; want %v", c, got, want)
		}
	}
}

func TestClassifyEntry(t *testing.T) {
	for _, c := range []struct {
		code   string
		action action
		reason Reason
	}{
		{"ProvisionedThroughputExceededException", actThrottle, ReasonThrottled},
		{"InternalFailure", actRetry, ReasonNone},
		{"KMSThrottlingException", actRetry, ReasonNone},
		{"KMSDisabledException", actFail, ReasonAccessDenied},
		{"InvalidArgumentException", actBisect, ReasonInvalid},
		{"SomethingNew", actRetry, ReasonNone},
		{"", actRetry, ReasonNone},
	} {
		v := classifyEntry(c.code, "m")
		if v.action != c.action || v.reason != c.reason || v.uncertain || v.code != c.code || v.message != "m" {
			t.Errorf("unexpected classification for %q; got %+v; want action %d, reason %v", c.code, v, c.action, c.reason)
		}
	}
}

func TestMessagesRepeatNoValues(t *testing.T) {
	for in, want := range map[string]string{
		"1 validation error detected: Value 'pod 7' at 'records.1.member.partitionKey' failed to satisfy": "1 validation error detected: Value '...' at 'records.1.member.partitionKey' failed to satisfy",
		"Value 'a' at 'x' failed; Value 'it's' at 'b\nc' at 'y' failed":                                   "Value '...' at 'y' failed",
		"Rate exceeded for stream a": "Rate exceeded for stream a",
	} {
		v := classifyRequest(&smithy.GenericAPIError{Code: "ValidationException", Message: in})
		if v.message != want {
			t.Errorf("unexpected message; got %q; want %q", v.message, want)
		}
	}
}
