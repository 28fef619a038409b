// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"context"
	"errors"
	"regexp"
	"syscall"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// TestErrorsAreTheSameInProcessAndOverHTTP compares everything a producer may
// look at.
func TestErrorsAreTheSameInProcessAndOverHTTP(t *testing.T) {
	effects := map[string]Effect{
		"throttle of the call":      Fail(codeThroughput, "slow down"),
		"resource not found":        Fail("ResourceNotFoundException", "gone"),
		"access denied":             Fail("AccessDeniedException", "no"),
		"limit exceeded":            Fail("LimitExceededException", "often"),
		"validation":                Fail("ValidationException", "bad"),
		"invalid argument":          Fail("InvalidArgumentException", "bad"),
		"in use":                    Fail("ResourceInUseException", "busy"),
		"expired iterator":          Fail("ExpiredIteratorException", "old"),
		"expired next token":        Fail("ExpiredNextTokenException", "old"),
		"dry run":                   Fail("DryRunOperationException", "dry"),
		"KMS access denied":         Fail("KMSAccessDeniedException", "kms"),
		"KMS disabled":              Fail("KMSDisabledException", "kms"),
		"KMS state":                 Fail("KMSInvalidStateException", "kms"),
		"KMS not found":             Fail("KMSNotFoundException", "kms"),
		"KMS opt in":                Fail("KMSOptInRequired", "kms"),
		"KMS throttling":            Fail("KMSThrottlingException", "kms"),
		"internal failure":          Fail("InternalFailure", "oops"),
		"internal failure, modeled": Fail("InternalFailureException", "oops"),
		"service unavailable":       Fail("ServiceUnavailable", "later"),
		"expired token":             Fail("ExpiredTokenException", "credentials"),
		"status of its own":         {ErrorCode: "ThrottlingException", ErrorMessage: "x", HTTPStatus: 429},
		"500 without body":          Status(500),
		"503 without body":          Status(503),
		"reset":                     Reset(),
		"lost reply":                LoseReply(),
		"hang until the deadline":   Hang(),
	}
	s := startServer(t, WithStream("demo", 1))
	clients := map[string]api{"in process": s.Client(), "over HTTP": s.SDK()}
	for name, effect := range effects {
		t.Run(name, func(t *testing.T) {
			seen := map[string]string{}
			for name, c := range clients {
				h := s.Fault(Fault{Operation: "PutRecords", Effect: effect})
				ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
				if !effect.Hang {
					cancel()
					ctx, cancel = context.WithCancel(context.Background())
				}
				_, err := c.PutRecords(ctx, puts(entry("a", "x")))
				cancel()
				h.Remove()
				if err == nil {
					t.Fatalf("unexpected success %s", name)
				}
				equal(t, "hits", h.Hits(), 1)
				seen[name] = fingerprint(err)
			}
			equal(t, "error in process", seen["in process"], seen["over HTTP"])
		})
	}
}

var (
	addresses = regexp.MustCompile(`read tcp( [0-9.:>-]+)?:|Post "[^"]*"`)
	requestID = regexp.MustCompile(`RequestID: [0-9a-f-]{36}`)
)

// fingerprint is what a producer can find out about an error.
func fingerprint(err error) string {
	out := requestID.ReplaceAllString(addresses.ReplaceAllString(err.Error(), "(address)"), "RequestID: (id)")
	var oe *smithy.OperationError
	if errors.As(err, &oe) {
		out += "\noperation " + oe.OperationName
	}
	var ae smithy.APIError
	if errors.As(err, &ae) {
		out += "\napi " + ae.ErrorCode() + " " + ae.ErrorFault().String()
	}
	var te *types.ProvisionedThroughputExceededException
	if errors.As(err, &te) {
		out += "\ntyped throttle"
	}
	var re *awshttp.ResponseError
	if errors.As(err, &re) {
		out += "\nstatus " + string(rune('0'+re.HTTPStatusCode()/100))
		if re.ServiceRequestID() != "" {
			out += " with id"
		}
	}
	var se *smithyhttp.RequestSendError
	if errors.As(err, &se) {
		out += "\nsend error"
	}
	var ce *smithy.CanceledError
	if errors.As(err, &ce) {
		out += "\ncanceled"
	}
	if errors.Is(err, syscall.ECONNRESET) {
		out += "\nconnection reset"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		out += "\ndeadline"
	}
	return out
}

func fingerprintCode(err error) string {
	var ae smithy.APIError
	if errors.As(err, &ae) {
		return ae.ErrorCode()
	}
	return ""
}
