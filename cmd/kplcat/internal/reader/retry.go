// SPDX-License-Identifier: Apache-2.0

package reader

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/outkpl/outkpl/core"
)

const (
	// callTimeout bounds an attempt of GetRecords; a page of 10 MiB is 13 MiB in
	// transit. smallCallTimeout is for the others.
	callTimeout      = 60 * time.Second
	smallCallTimeout = 10 * time.Second
	// minBackoff and maxBackoff bound the pause after a failed attempt; it
	// doubles from one to the next.
	minBackoff = 500 * time.Millisecond
	maxBackoff = 10 * time.Second
	// warnEvery: of the failed attempts in a row every so many-th is reported.
	warnEvery = 10
)

// class is what an error means for the next attempt.
type class uint8

const (
	fatal     class = iota
	throttled       // the limits are shared with other consumers: try again, without bound
	passing         // the network, or a fault of the service: try again, some times
	stale           // credentials are refused: the client resolves new ones for the next call
)

// classify says what is to be done about the error of a call.
func classify(err error) class {
	if NoCredentials(err) {
		return fatal
	}
	var api smithy.APIError
	if errors.As(err, &api) {
		switch api.ErrorCode() {
		case "ProvisionedThroughputExceededException", "LimitExceededException", "KMSThrottlingException",
			"ThrottlingException", "Throttling", "RequestLimitExceeded", "TooManyRequestsException", "SlowDown":
			return throttled
		case "InternalFailure", "InternalServerError", "InternalFailureException", "ServiceUnavailable", "RequestTimeout", "RequestTimeoutException":
			return passing
		}
		if core.RefusesCredentials(api.ErrorCode()) {
			return stale
		}
	}
	var resp *smithyhttp.ResponseError
	if errors.As(err, &resp) && resp.HTTPStatusCode() >= 500 {
		return passing
	}
	var send *smithyhttp.RequestSendError
	if errors.As(err, &send) || errors.Is(err, context.DeadlineExceeded) {
		return passing
	}
	var broken *smithy.DeserializationError // the answer broke off
	if errors.As(err, &broken) {
		return passing
	}
	return fatal
}

// Throttled reports whether a call was refused because there were too many.
func Throttled(err error) bool { return err != nil && classify(err) == throttled }

// NoCredentials reports whether a call failed before it was sent, because no
// credentials were found. The SDK has no type for that; the chain of errors can
// hold the answer of another service.
func NoCredentials(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	return strings.Contains(text, "get credentials") || strings.Contains(text, "get identity")
}

// call makes a call until it succeeds, fails for good, or fails by chance once too
// often.
func call[T any](ctx context.Context, r *run, what string, f func(context.Context) (T, error)) (T, error) {
	pause := minBackoff
	var failures, throttles, expiries int
	for {
		out, err := f(ctx)
		if err == nil {
			return out, nil
		}
		var zero T
		if ctx.Err() != nil {
			return zero, ctx.Err()
		}
		switch v := classify(err); {
		case v == throttled:
			if throttles%warnEvery == 0 {
				r.warn("%s: throttled; trying again", what)
			}
			throttles++
		case v == passing && (r.patient || failures < r.cfg.Retries):
			if failures%warnEvery == 0 {
				r.warn("%s: %v; trying again", what, err)
			}
			failures++
		case (v == stale || NoCredentials(err)) && r.patient:
			// They were good for the first list, and may be rotated later than they expire.
			if expiries%warnEvery == 0 {
				r.warn("%s: %v; trying again", what, err)
			}
			expiries++
		case v == stale && expiries == 0:
			expiries++
		default:
			return zero, fmt.Errorf("%s: %w", what, err)
		}
		// Half of the pause is random, so that shards that were throttled
		// together do not come back together.
		if err := wait(ctx, pause/2+rand.N(pause/2)); err != nil {
			return zero, err
		}
		pause = min(2*pause, maxBackoff)
	}
}
