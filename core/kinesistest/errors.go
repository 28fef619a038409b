// SPDX-License-Identifier: Apache-2.0

package kinesistest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// failure is a call that went wrong, before it is put into the words of the
// transport: an SDK error in process, a status and a body over HTTP.
type failure struct {
	code, message string
	status        int
	emptyBody     bool  // over HTTP: a status without a body
	reset         bool  // the connection breaks instead of an answer
	cause         error // the caller's context ended
}

func fail(code, format string, args ...any) *failure {
	return &failure{code: code, message: fmt.Sprintf(format, args...), status: defaultStatus(code)}
}

func validation(format string, args ...any) *failure {
	return fail("ValidationException", "1 validation error detected: "+format, args...)
}

func invalid(format string, args ...any) *failure {
	return fail("InvalidArgumentException", format, args...)
}

func canceled(ctx context.Context) *failure { return &failure{cause: ctx.Err()} }

// defaultStatus is the HTTP status that goes with an error code.
func defaultStatus(code string) int {
	switch code {
	case "InternalFailure", "InternalFailureException", "InternalServerError":
		return http.StatusInternalServerError
	case "ServiceUnavailable", "ServiceUnavailableException":
		return http.StatusServiceUnavailable
	case "RequestEntityTooLarge":
		return http.StatusRequestEntityTooLarge
	}
	return http.StatusBadRequest
}

// sdkError is the error that the SDK returns for the failure, same types and
// same nesting, so that errors.As finds the same things as over HTTP.
func (f *failure) sdkError(operation, requestID, address string) error {
	var status int
	var err error
	switch {
	case f.cause != nil:
		requestID = ""
		err = &smithy.CanceledError{Err: f.cause}
	case f.reset:
		requestID = ""
		err = &smithyhttp.RequestSendError{Err: &url.Error{
			Op: "Post", URL: address,
			Err: &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)},
		}}
	case f.emptyBody:
		status = f.status
		err = &smithy.GenericAPIError{Code: "UnknownError", Message: "UnknownError"}
	default:
		status = f.status
		err = apiError(f.code, f.message)
	}
	return &smithy.OperationError{ServiceID: "Kinesis", OperationName: operation, Err: responseError(status, requestID, err)}
}

func responseError(status int, requestID string, err error) error {
	header := http.Header{}
	if requestID != "" {
		header.Set("x-amzn-requestid", requestID)
	}
	return &awshttp.ResponseError{
		ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: status, Header: header, Body: http.NoBody}},
			Err:      err,
		},
		RequestID: requestID,
	}
}

// apiError returns the modelled type of an error code, or what the SDK makes of
// a code that it does not know.
func apiError(code, message string) error {
	m := &message
	switch code {
	case "AccessDeniedException":
		return &types.AccessDeniedException{Message: m}
	case "DryRunOperationException":
		return &types.DryRunOperationException{Message: m}
	case "ExpiredIteratorException":
		return &types.ExpiredIteratorException{Message: m}
	case "ExpiredNextTokenException":
		return &types.ExpiredNextTokenException{Message: m}
	case "InternalFailureException":
		return &types.InternalFailureException{Message: m}
	case "InvalidArgumentException":
		return &types.InvalidArgumentException{Message: m}
	case "KMSAccessDeniedException":
		return &types.KMSAccessDeniedException{Message: m}
	case "KMSDisabledException":
		return &types.KMSDisabledException{Message: m}
	case "KMSInvalidStateException":
		return &types.KMSInvalidStateException{Message: m}
	case "KMSNotFoundException":
		return &types.KMSNotFoundException{Message: m}
	case "KMSOptInRequired":
		return &types.KMSOptInRequired{Message: m}
	case "KMSThrottlingException":
		return &types.KMSThrottlingException{Message: m}
	case "LimitExceededException":
		return &types.LimitExceededException{Message: m}
	case codeThroughput:
		return &types.ProvisionedThroughputExceededException{Message: m}
	case "ResourceInUseException":
		return &types.ResourceInUseException{Message: m}
	case "ResourceNotFoundException":
		return &types.ResourceNotFoundException{Message: m}
	case "ValidationException":
		return &types.ValidationException{Message: m}
	}
	return &smithy.GenericAPIError{Code: code, Message: message}
}

const (
	codeThroughput      = "ProvisionedThroughputExceededException"
	codeInternalFailure = "InternalFailure"
)
